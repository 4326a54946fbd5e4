"""A positive control: an h whose worth to a decoder can be bounded from below."""

from pathlib import Path

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.data import ImageData, load_data

SOURCE = "tinyimagenet32_20cls.npz"


def halved(root: str | Path | None = None) -> ImageData:
    """Tiny-ImageNet at 16×16, each pixel the rounded mean of four."""
    data = load_data(SOURCE, root=root)
    images = data.arrays["image"]
    quarters = images.reshape(*images.shape[:2], 16, 2, 16, 2).mean((3, 5), dtype=np.float32)
    halves = {**data.arrays, "image": quarters.round().astype(np.uint8)}
    return ImageData(f"{SOURCE}, halved", halves, data.rows, names=data.names)


class Thumbnail(nn.Module):
    """h is the image at `side`×`side`, each value the exact mean of a block, in −1…1.

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
        side: int = 4,
        blank: bool = False,
        as_map: bool = False,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        if height % side or width % side:
            raise ValueError(f"{height}×{width} images have no blocks of {side}×{side}")
        self.block = (height // side, width // side)
        self.h_dim = channels * side**2
        if as_map:
            self.h_shape = (channels, side, side)
        self.scale = 0 if blank else 2 / (levels - 1)
        self.shift = 0 if blank else -1

    def forward(self, x: Tensor) -> Tensor:
        """Images uint8 (B, C, H, W) to float32 (B, h_dim)."""
        means = F.avg_pool2d(x.float(), self.block)
        return means.flatten(1) * self.scale + self.shift
