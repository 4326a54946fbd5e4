"""Whether things stand where h says: positions read from samples, and compared to those of h."""

from repr_toolkit.analyses.base import Analysis
from repr_toolkit.analyses.placement.blocks import blocks
from repr_toolkit.analyses.placement.measure import measure, obstacle

__all__ = ["ANALYSIS", "blocks", "measure"]

ANALYSIS = Analysis(
    name="placement",
    command="where",
    title="Whether things stand where h says",
    lead="h says where something stands in an image. A reader finds it in samples, and in the "
    "images themselves.",
    tells="whether things stand where h says",
    measure=measure,
    blocks=blocks,
    obstacle=obstacle,
    protocol=2,
)
