"""Sampling engines: the same image for the same noise, at different speeds."""

from repr_toolkit.decoders.sampling.cached import sample_cached
from repr_toolkit.decoders.sampling.fixed_point import FixedPoint, sample_fixed_point
from repr_toolkit.decoders.sampling.graph import sample_graph
from repr_toolkit.decoders.sampling.naive import sample_naive
from repr_toolkit.decoders.sampling.native import native_obstacle, sample_native

__all__ = [
    "FixedPoint",
    "native_obstacle",
    "sample_cached",
    "sample_fixed_point",
    "sample_graph",
    "sample_naive",
    "sample_native",
]
