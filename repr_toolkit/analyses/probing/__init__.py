"""Probes: what does h know?"""

from repr_toolkit.analyses.base import Analysis, needs_code
from repr_toolkit.analyses.probing.blocks import blocks
from repr_toolkit.analyses.probing.linear import linear_probe
from repr_toolkit.analyses.probing.mdl import online_code
from repr_toolkit.analyses.probing.measure import measure, probe
from repr_toolkit.analyses.probing.targets import find_targets

__all__ = ["ANALYSIS", "find_targets", "linear_probe", "measure", "online_code", "probe"]

ANALYSIS = Analysis(
    name="probing",
    command="probe",
    title="Probes",
    lead="How well simple classifiers, trained on h alone, name what is on images that they were "
    "not trained on. A probe of an untrained encoder and one of the pixels show what reading h is "
    "worth.",
    tells="what probes read from h",
    measure=measure,
    blocks=blocks,
    obstacle=needs_code,
    only_split="test",
    protocol=2,
)
