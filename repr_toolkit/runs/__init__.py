"""The run directory: what training writes into it, and what is measured of it."""

from repr_toolkit.runs.run import Run, load, load_with_decoder

__all__ = ["Run", "load", "load_with_decoder"]
