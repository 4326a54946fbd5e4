"""A positive control: an h whose worth to a decoder can be bounded from below."""

from math import prod
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.representations.thumbnail import block_means, block_of

SOURCE = "tinyimagenet32_20cls.npz"


def halved(root: str | Path | None = None) -> ImageData:
    """Tiny-ImageNet at 16×16, each pixel the rounded mean of four."""
    data = load_data(SOURCE, root=root)
    images = data.arrays["image"]
    quarters = images.reshape(*images.shape[:2], 16, 2, 16, 2).mean((3, 5), dtype=np.float32)
    halves = {**data.arrays, "image": quarters.round().astype(np.uint8)}
    return ImageData(f"{SOURCE}, halved", halves, data.rows, names=data.names)


class Thumbnail(nn.Module):
    """h is the thumbnail that `representations.thumbnail` makes, in −1…1.

    Whoever knows these means needs fewer bits for the image by what they cost: a decoder that
    does not save them has not found h. With `blank` h is 0: what the same decoder needs without it.
    With `as_map` a decoder is told that h is a map; without, h is a vector like any other.
    """

    source = "image"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        levels: int = 256,
        *,
        blank: bool = False,
        as_map: bool = False,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        block = block_of(image_shape)
        shape = (channels, height // block[0], width // block[1])
        self.h_dim = prod(shape)
        if as_map:
            self.h_shape = shape
        self.scale = 0 if blank else 2 / (levels - 1)
        self.shift = 0 if blank else -1

    def forward(self, x: Tensor) -> Tensor:
        """Images uint8 (B, C, H, W) to float32 (B, h_dim)."""
        return block_means(x).flatten(1) * self.scale + self.shift
