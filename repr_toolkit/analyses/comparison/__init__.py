"""Runs side by side: bits/dim, reconstructions, probes."""
