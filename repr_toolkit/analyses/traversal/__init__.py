"""How pictures change as their h moves along directions."""

from repr_toolkit.analyses.base import Analysis, needs_code_and_decoder
from repr_toolkit.analyses.traversal.blocks import blocks
from repr_toolkit.analyses.traversal.measure import measure

__all__ = ["ANALYSIS", "blocks", "measure"]

ANALYSIS = Analysis(
    name="traversal",
    command="traverse",
    title="Traversals of h",
    lead="h moves step by step along a direction and is decoded with the same noise at every "
    "step, so that only h changes.",
    tells="how pictures change as h moves",
    measure=measure,
    blocks=blocks,
    obstacle=needs_code_and_decoder,
)
