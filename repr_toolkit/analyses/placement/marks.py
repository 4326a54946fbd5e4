"""Crosses on enlarged images."""

import torch
from torch import Tensor

SCALE = 6  # screen pixels an image pixel
ARM = 5  # screen pixels from a cross's middle to its ends
COLOUR = (0, 255, 80)


def with_crosses(images: Tensor, points: Tensor, *, levels: int = 256) -> Tensor:
    """Images uint8 (N, C, H, W), values 0…levels−1, six times enlarged, with a cross at each point.

    `points` is float (N, P, 2) in pixels of the images, x before y; (0, 0) is the outer corner of
    the first pixel, and crosses are cut off at the edge. Returns uint8 (N, 3, 6·H, 6·W).
    """
    _, _, height, width = images.shape
    stretched = (images.float() * (255 / (levels - 1))).round().to(torch.uint8)
    enlarged = stretched.repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3)
    y, x = torch.meshgrid(torch.arange(height * SCALE), torch.arange(width * SCALE), indexing="ij")
    middle = (points * SCALE).round().long()[..., None, None]  # (N, P, 2, 1, 1)
    across, down = (x - middle[:, :, 0]).abs(), (y - middle[:, :, 1]).abs()  # (N, P, 6H, 6W)
    marked = (torch.minimum(across, down) == 0) & (torch.maximum(across, down) <= ARM)
    colour = torch.tensor(COLOUR, dtype=torch.uint8)[:, None, None]
    return torch.where(marked.any(1, keepdim=True), colour, enlarged.expand(-1, 3, -1, -1))
