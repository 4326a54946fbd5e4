"""A positive control: an h whose worth to a decoder can be bounded from below."""

import torch.nn.functional as F
from torch import Tensor, nn


class Thumbnail(nn.Module):
    """h is the image at `side`×`side`, each value the exact mean of a block, in −1…1.

    With `as_map` a decoder is told that h is a map; without, h is a vector like any other.

    Whoever knows these means needs fewer bits for the image by what they cost: a decoder that
    does not save them has not found h.
    """

    source = "image"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        levels: int = 256,
        *,
        side: int = 4,
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
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        """Images uint8 (B, C, H, W) to float32 (B, h_dim)."""
        means = F.avg_pool2d(x.float(), self.block)
        return means.flatten(1) * (2 / (self.levels - 1)) - 1
