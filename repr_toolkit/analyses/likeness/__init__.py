"""Whether portraits keep the person."""

from repr_toolkit.analyses.base import Analysis
from repr_toolkit.analyses.likeness.blocks import blocks
from repr_toolkit.analyses.likeness.measure import measure, obstacle

__all__ = ["ANALYSIS", "blocks", "measure"]

ANALYSIS = Analysis(
    name="likeness",
    command="likeness",
    title="Whether portraits keep the person",
    lead="Portraits are drawn from the face embeddings of people, embedded again, and matched with "
    "the people.",
    tells="whether portraits keep the person",
    measure=measure,
    blocks=blocks,
    obstacle=obstacle,
    protocol=2,
)
