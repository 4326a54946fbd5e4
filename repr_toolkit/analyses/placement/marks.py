"""Crosses on enlarged images, and their names."""

from collections.abc import Iterable

import torch
from torch import Tensor

SCALE = 6  # screen pixels an image pixel
ARM = 5  # screen pixels from a cross's middle to its ends
COLOUR = (0, 255, 80)


def with_crosses(images: Tensor, points: Tensor, *, levels: int = 256) -> Tensor:
    """Rows of images uint8 (N, n, C, H, W), six times enlarged, with a cross at each point.

    `points` is float (N, P, 2), those of a row, in pixels of the images, x before y; (0, 0) is the
    outer corner of the first pixel, and crosses are cut off at the edge. Values 0…levels−1 are
    stretched to 0…255. Returns uint8 (N, n, 3, 6·H, 6·W).
    """
    height, width = images.shape[-2:]
    stretched = (images.float() * (255 / (levels - 1))).round().to(torch.uint8)
    enlarged = stretched.repeat_interleave(SCALE, -2).repeat_interleave(SCALE, -1)
    y, x = torch.meshgrid(torch.arange(height * SCALE), torch.arange(width * SCALE), indexing="ij")
    middle = (points * SCALE).round().long()[..., None, None]  # (N, P, 2, 1, 1)
    across, down = (x - middle[:, :, 0]).abs(), (y - middle[:, :, 1]).abs()  # (N, P, 6H, 6W)
    marked = (torch.minimum(across, down) == 0) & (torch.maximum(across, down) <= ARM)
    colour = torch.tensor(COLOUR, dtype=torch.uint8)[:, None, None]
    return torch.where(marked.any(1)[:, None, None], colour, enlarged.expand(-1, -1, 3, -1, -1))


def image_names(split: str, index: Iterable[int]) -> list[str]:
    """The names of images by their numbers in a split, such as "test 7"."""
    return [f"{split} {number}" for number in index]
