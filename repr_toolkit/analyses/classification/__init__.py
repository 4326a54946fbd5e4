"""Which label an image has, by Bayes' rule and by classifiers of pixels."""

from repr_toolkit.analyses.base import Analysis
from repr_toolkit.analyses.classification.blocks import blocks
from repr_toolkit.analyses.classification.measure import measure, obstacle

__all__ = ["ANALYSIS", "blocks", "measure"]

ANALYSIS = Analysis(
    name="classification",
    command="classify",
    title="Classification by Bayes’ rule",
    lead="A model of p(x|y) classifies without having been trained to: it names the label under "
    "which an image is most probable.",
    tells="how well Bayes’ rule reads the label",
    measure=measure,
    blocks=blocks,
    obstacle=obstacle,
    protocol=2,
)
