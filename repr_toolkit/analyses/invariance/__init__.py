"""What samples of one h have in common, and so what h has fixed; what differs it leaves open."""

from repr_toolkit.analyses.base import Analysis, needs_code_and_decoder
from repr_toolkit.analyses.invariance.blocks import blocks
from repr_toolkit.analyses.invariance.measure import measure

__all__ = ["ANALYSIS", "blocks", "measure"]

ANALYSIS = Analysis(
    name="invariance",
    command="invariance",
    title="What h fixes, and what it leaves open",
    lead="Several pictures are drawn from one h. What they share, h has fixed; what differs among "
    "them, it leaves open.",
    tells="what h leaves open",
    measure=measure,
    blocks=blocks,
    obstacle=needs_code_and_decoder,
)
