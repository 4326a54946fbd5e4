"""Whether h tells people apart, by the protocol of LFW."""

from repr_toolkit.analyses.base import Analysis
from repr_toolkit.analyses.verification.blocks import blocks
from repr_toolkit.analyses.verification.measure import measure, obstacle

__all__ = ["ANALYSIS", "blocks", "measure"]

ANALYSIS = Analysis(
    name="verification",
    command="verify",
    title="Whether h tells people apart",
    lead="Two images of one person should have a more similar h than images of two people, also of "
    "people whom the model never saw.",
    tells="whether h tells people apart",
    measure=measure,
    blocks=blocks,
    obstacle=obstacle,
    protocol=2,
)
