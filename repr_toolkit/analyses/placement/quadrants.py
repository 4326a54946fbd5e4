"""The quadrant of a canvas in which something is drawn."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from repr_toolkit.data import ImageSplit

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class QuadrantReader:
    """The quadrant that holds more than half of an image's ink, the sum of its intensities.

    Codes are 0…3: top left, top right, bottom left, bottom right; −1 where no quadrant holds so
    much, as in an image with a digit in each of two quadrants, or none at all.
    """

    share: ClassVar[bool] = True
    measure: ClassVar[str] = "share of images with more than half of their ink where h says"

    def __init__(self, train: ImageSplit, val: ImageSplit) -> None:
        """Learn nothing; the splits only say how large the images are."""
        _, self.height, self.width = train.image_shape

    def read(self, images: Tensor) -> Codes:
        """Codes int64 (N,) of images uint8 (N, C, H, W).

        The middle row or column of an odd side counts as below or right.
        """
        ink = images.numpy().astype(np.int64).sum(1)
        halves = np.add.reduceat(ink, [0, ink.shape[1] // 2], axis=1)
        quarters = np.add.reduceat(halves, [0, ink.shape[2] // 2], axis=2).reshape(len(ink), 4)
        most: Codes = quarters.argmax(1)
        return np.where(2 * quarters.max(1) > quarters.sum(1), most, -1)

    def score(self, read: Codes, stated: Codes) -> Floats:
        """1 where the quadrant is the stated one, else 0: float64 (N,)."""
        hits: Floats = (read == stated).astype(np.float64)
        return hits

    def marks(self, stated: Codes) -> Floats:
        """The middle of the quadrant: (N, 1, 2) in pixels, x before y."""
        column, row = stated % 2, stated // 2
        x, y = (column + 0.5) * self.width / 2, (row + 0.5) * self.height / 2
        return np.stack([x, y], axis=-1)[:, None]
