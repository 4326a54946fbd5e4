"""What is measured of trained models and of representations, one folder a question."""

from repr_toolkit.analyses.base import Analysis
from repr_toolkit.support.importing import find_module

ANALYSES = (
    "probing",
    "information",
    "invariance",
    "traversal",
    "placement",
    "classification",
    "verification",
    "likeness",
)
"""In the order in which the report shows them."""


def load_analysis(name: str) -> Analysis:
    """An analysis by its name in `ANALYSES`, or anybody's by the import path of its module.

    Raises ImportError where there is no such module, or no `ANALYSIS` in it.
    """
    path = f"{__name__}.{name}" if name in ANALYSES else name
    try:
        module = find_module(path)
    except ModuleNotFoundError as error:
        known = ", ".join(ANALYSES)
        raise ImportError(f"there is no analysis {name!r} ({error}); there are {known}") from error
    analysis = getattr(module, "ANALYSIS", None)
    if not isinstance(analysis, Analysis):
        raise ImportError(f"{path} has no ANALYSIS, which is a repr_toolkit.analyses.base.Analysis")
    return analysis
