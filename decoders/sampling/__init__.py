"""Sampling engines: the same image for the same noise, at different speeds."""

from repr_toolkit.decoders.sampling.cached import sample_cached
from repr_toolkit.decoders.sampling.naive import sample_naive

__all__ = ["sample_cached", "sample_naive"]
