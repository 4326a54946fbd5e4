"""What finds in an image where something stands."""

from typing import Any, ClassVar, Protocol

import numpy.typing as npt
from torch import Tensor

from repr_toolkit.analyses.placement.landmarks import LandmarkReader
from repr_toolkit.analyses.placement.quadrants import QuadrantReader
from repr_toolkit.data import ImageSplit

Array = npt.NDArray[Any]


class Reader(Protocol):
    """Finds in an image the position that a batch key states, such as its landmarks.

    It is made of the training and validation images.

    Attributes:
        measure: What the mean of `score` is, with its unit.
        share: Whether a score is 0 or 1, so that their mean is a share.
    """

    measure: ClassVar[str]
    share: ClassVar[bool]

    def __init__(self, train: ImageSplit, val: ImageSplit) -> None: ...

    def read(self, images: Tensor) -> Array:
        """The positions in images uint8 (N, C, H, W): (N, …), as the key states them."""

    def score(self, read: Array, stated: Array) -> Array:
        """How positions that were read compare to those that h states: float64 (N,)."""

    def marks(self, stated: Array) -> Array:
        """The points (N, P, 2) that a picture marks, in pixels, x before y."""


READERS: dict[str, type[Reader]] = {"landmarks": LandmarkReader, "quadrant": QuadrantReader}
"""The readers, by the batch key that states the position."""
