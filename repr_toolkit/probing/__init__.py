"""Probes: what does h know?"""

from repr_toolkit.probing.linear import Features, Labels, Probe, linear_probe, wilson_interval

__all__ = ["Features", "Labels", "Probe", "linear_probe", "wilson_interval"]
