"""The run directory: its files, its results, and its bits/dim."""
