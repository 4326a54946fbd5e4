"""Probes: what does h know?"""

from repr_toolkit.analyses.probing.classifiers import PROBES, Features
from repr_toolkit.analyses.probing.linear import Labels, Probe, linear_probe
from repr_toolkit.analyses.probing.mdl import OnlineCode, online_code
from repr_toolkit.analyses.probing.targets import Skipped, Target, find_targets

__all__ = [
    "PROBES",
    "Features",
    "Labels",
    "OnlineCode",
    "Probe",
    "Skipped",
    "Target",
    "find_targets",
    "linear_probe",
    "online_code",
]
