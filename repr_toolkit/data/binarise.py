"""Images of two levels: cut at half, or sampled with the intensities as probabilities."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

BinariseKind = Literal["threshold", "fixed", "dynamic"]


class Draw(NamedTuple):
    """Which of the draws of an image: one for every seed and step of training."""

    seed: int
    step: int


class DrawnIndices(list[int]):
    """The indices of a training batch, and the draw of its images if they are sampled."""

    def __init__(self, indices: list[int], draw: Draw) -> None:
        super().__init__(indices)
        self.draw = draw


def sampled(
    images: NDArray[np.uint8], rows: NDArray[Any], levels: int, draw: Draw | None
) -> NDArray[np.uint8]:
    """Images (B, C, H, W) of 0…levels−1 as zeros and ones: one with probability v / (levels−1).

    The noise of an image follows from its row in the data and the draw alone, whatever the batch;
    None is the draw that never changes.
    """
    # Numbers of equal count, since numpy takes a shorter list for one that ends in zeros.
    key = (0, 0, 0) if draw is None else (1, *draw)
    noise = np.empty(images.shape, np.uint64)
    for into, row in zip(noise, rows.tolist(), strict=True):
        # The raw stream, which alone NumPy promises to keep.
        into.flat = np.random.PCG64([*key, row]).random_raw(into.size)
    uniform = (noise >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
    return (uniform * (levels - 1) < images).astype(np.uint8)
