"""Whether h tells people apart, by the protocol of LFW."""
