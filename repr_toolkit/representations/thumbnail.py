"""A thumbnail of the image as h: a positive control, whose worth can be bounded from below."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from repr_toolkit.data import ImageData
from repr_toolkit.representations.representation import Representation

SIDE = 4
CHUNK = 1024  # images

Shape = tuple[int, int, int]


def thumbnail(data: ImageData) -> Representation:
    """The image in at most `SIDE`×`SIDE` numbers a channel, each the exact mean of a block.

    Whoever knows the mean of a block and all its sub-pixels but one knows that one too, so that of
    each block the sub-pixel that comes last (`last_of_blocks`) costs no bits. A decoder to which h
    is worth less than that has not learnt to use it.
    """
    shape = data.image_shape
    block = block_of(shape)
    h = {}
    for key, split in data.splits.items():
        blocks = shape[0] * (shape[1] // block[0]) * (shape[2] // block[1])
        h[key] = np.empty((len(split), blocks), np.float32)
        for start in range(0, len(split), CHUNK):
            part = range(start, min(start + CHUNK, len(split)))
            means = block_means(split[part]["image"])
            h[key][part.start : part.stop] = means.flatten(1).numpy() / (data.levels - 1)
    made_by = f"means of blocks of {block[0]}×{block[1]} pixels"
    return Representation("thumbnail", made_by, data.fingerprint, data.levels, h)


def block_means(x: Tensor) -> Tensor:
    """The mean level of each block of images uint8 (B, C, H, W), float32 (B, C, rows, columns)."""
    return F.avg_pool2d(x.float(), block_of((x.shape[1], x.shape[2], x.shape[3])))


def block_of(image_shape: Shape) -> tuple[int, int]:
    """The height and width of a block: the image has the most of them, up to `SIDE` each way.

    >>> block_of((3, 28, 28)), block_of((1, 6, 7))
    ((7, 7), (2, 7))
    """
    _, height, width = image_shape
    parts = (max(n for n in range(1, SIDE + 1) if s % n == 0) for s in (height, width))
    rows, columns = parts
    return height // rows, width // columns


def last_of_blocks(image_shape: Shape, order: Tensor) -> Tensor:
    """Where each block's last sub-pixel is, bool (C, H, W), in an order of the sub-pixels.

    `order`, int64 (C·H·W,), is that of an `AutoregressiveDecoder`. Each channel has its own blocks.
    """
    block = block_of(image_shape)
    place = order.argsort().view(image_shape).float()
    latest = F.max_pool2d(place, block)
    for axis, length in zip((1, 2), block, strict=True):
        latest = latest.repeat_interleave(length, axis)
    return place == latest
