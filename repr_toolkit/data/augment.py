"""Flips, shifts and crops, which make more of few training images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repr_toolkit.data.binarise import Draw

STAYING = ("image", "label", "identity", "group", "photograph", "embedding")
"""The keys that are as true of an image as of what flips, shifts and crops make of it."""


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to every training image, anew at each step.

    It is mirrored from left to right in half of the cases if `flips`, moved by up to `shifts` whole
    pixels down or up and to the right or left, and replaced by a part of it whose sides are
    `crops`…1 of its own, at a random place and enlarged to its size between the pixels (bilinearly,
    rounded to whole levels). What moves into an image is its own mirror image at that edge. All of
    it is drawn from the seed, the step and the image alone, so that it is the same in any batch, on
    any number of processes and after a resume.
    """

    flips: bool = False
    shifts: int = 0
    crops: float = 1.0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Augmentation | None":
        """That of a recipe's section `data`; None where it asks for nothing."""
        stated = cls(data["flips"], data["shifts"], data["crops"])
        return None if stated == cls() else stated

    def __str__(self) -> str:
        words = ["mirrored"] if self.flips else []
        pixels = "pixel" if self.shifts == 1 else "pixels"
        words += [f"moved by up to {self.shifts} {pixels}"] if self.shifts else []
        words += [f"cropped to {self.crops:g}…1 of their sides"] if self.crops < 1 else []
        return ", ".join(words) + ", at random, anew at each step"

    def require(self, image_shape: tuple[int, int, int], source: str | None) -> None:
        """Raise ValueError unless images can be changed so, and what an encoder reads of them."""
        most = min(image_shape[1:]) - 1
        if self.shifts > most:
            raise ValueError(
                f"data.shifts is at most {most} for images of {image_shape[1]}×{image_shape[2]} "
                f"pixels, not {self.shifts}"
            )
        if source is not None and source not in STAYING:
            raise ValueError(
                f"data.flips, data.shifts and data.crops move what is in an image, and the encoder "
                f"reads {source!r}, which may say where that was; leave them off"
            )

    def apply(self, images: NDArray[np.uint8], rows: NDArray[Any], draw: Draw) -> NDArray[np.uint8]:
        """Images uint8 (B, C, H, W), which stand in these rows of the data, changed by a draw."""
        changed = np.empty_like(images)
        for into, image, row in zip(changed, images, rows.tolist(), strict=True):
            # Another stream than that of pixels sampled in two levels; see `binarise.sampled`.
            raw = np.random.PCG64([2, *draw, row]).random_raw(6)
            into[...] = self._changed(image, (raw >> np.uint64(11)) * 2.0**-53)
        return changed

    def _changed(self, image: NDArray[np.uint8], uniform: NDArray[Any]) -> NDArray[Any]:
        """An image (C, H, W) changed by six numbers in [0, 1)."""
        flip, size, *places = uniform.tolist()
        scale = self.crops + (1 - self.crops) * size
        changed: NDArray[Any] = image
        for axis, start, shift in zip((1, 2), places[:2], places[2:], strict=True):
            side = image.shape[axis]
            moved = int(shift * (2 * self.shifts + 1)) - self.shifts
            where = start * (1 - scale) * side + (np.arange(side) + 0.5) * scale - 0.5 + moved
            where = np.abs(where)
            where = np.abs(np.minimum(where, 2 * (side - 1) - where))  # from one edge to the other
            changed = _taken(changed, where, axis)
        if self.flips and flip < 0.5:
            changed = changed[:, :, ::-1]
        return changed if changed.dtype == np.uint8 else np.rint(changed)


def _taken(image: NDArray[Any], where: NDArray[np.float64], axis: int) -> NDArray[Any]:
    """The values of an image at places along an axis, linearly between two pixels."""
    first = where.astype(np.intp)
    share = (where - first).astype(np.float32)
    values = image.take(first, axis)
    if not share.any():
        return values
    nexts = image.take(np.minimum(first + 1, image.shape[axis] - 1), axis).astype(np.float32)
    between: NDArray[Any] = values + (nexts - values) * (share[:, None] if axis == 1 else share)
    return between
