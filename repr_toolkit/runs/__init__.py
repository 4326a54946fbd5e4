"""The run directory: what training leaves, and what is measured of it."""
