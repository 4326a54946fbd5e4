"""Does what is drawn stand where h says? Positions read from samples, and compared to h's."""

from repr_toolkit.analyses.placement.landmarks import LandmarkReader
from repr_toolkit.analyses.placement.measure import Placement, Reader
from repr_toolkit.analyses.placement.quadrants import QuadrantReader

__all__ = ["LandmarkReader", "Placement", "QuadrantReader", "Reader"]
