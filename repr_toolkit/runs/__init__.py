"""The run directory: its files, its results, and its bits/dim."""

from repr_toolkit.runs.run import Run, load, load_with_decoder

__all__ = ["Run", "load", "load_with_decoder"]
