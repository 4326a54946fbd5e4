"""Pictures of a report: images side by side, and maps over images.

They have the images' pixels, which the page enlarges, and are transparent between the images.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from repr_toolkit.page.blocks import ColourBar
from repr_toolkit.support.pictures import displayable

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]  # (rows, columns, H, W, 3)

SIGNED, FROM_ZERO = "PuOr", "cividis"  # people of any colour vision can read both
SHOWN_SIDE = 84  # pixels of the screen, about, for an image
PALE = 0.35  # the contrast of an image under a map
CLEAR = 0.35  # the share of a scale's end from which on a map hides the image


def scale_of(image_shape: Sequence[int], side: int = SHOWN_SIDE) -> int:
    """The size on the screen, in whole pixels, of one pixel of an image (…, H, W)."""
    return max(1, round(side / max(image_shape[-2:])))


def shown(images: Array, levels: int) -> Pixels:
    """Images (rows, columns, C, H, W) with values 0…levels−1 as colours."""
    rows, columns = images.shape[:2]
    flat = displayable(torch.from_numpy(images.reshape(-1, *images.shape[2:])), levels)
    colours = np.broadcast_to(flat, (*flat.shape[:3], 3))
    return colours.reshape(rows, columns, *colours.shape[1:])


def tiled(cells: Pixels, gap: int = 1) -> tuple[bytes, tuple[int, int]]:
    """A PNG of cells with `gap` transparent pixels between them, and its size."""
    rows, columns, height, width, _ = cells.shape
    size = (columns * (width + gap) - gap, rows * (height + gap) - gap)
    canvas = np.zeros((size[1], size[0], 4), np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + gap), column * (width + gap)
            canvas[top : top + height, left : left + width, :3] = cells[row, column]
            canvas[top : top + height, left : left + width, 3] = 255
    return _png(Image.fromarray(canvas)), size


def overlay(bits: Array, images: Array, levels: int, end: float) -> Pixels:
    """Maps (columns, C, H, W) over their images, one row: violet above 0, orange below.

    Bits are summed over the channels. A map is clear at 0, where the pale image shows through, and
    has its full colour at ±`end`.
    """
    from matplotlib import colormaps

    sums = bits.sum(1)  # (columns, H, W)
    colours = colormaps[SIGNED](0.5 + 0.5 * np.clip(sums / end, -1, 1))[..., :3] * 255
    grey = shown(images[None], levels)[0].mean(-1, keepdims=True)
    pale = 255 - (255 - grey) * PALE
    opaque = np.clip(np.abs(sums) / (CLEAR * end), 0, 1)[..., None]
    mixed: Pixels = np.rint(opaque * colours + (1 - opaque) * pale).astype(np.uint8)
    return mixed[None]


def heat(values: Array, end: float) -> Pixels:
    """Values (columns, H, W) from 0 to `end` as colours from dark to bright, one row."""
    from matplotlib import colormaps

    colours: Pixels = colormaps[FROM_ZERO](np.clip(values / end, 0, 1), bytes=True)[..., :3]
    return colours[None]


def end_of(bits: Array) -> float:
    """The end of a scale for maps (n, C, H, W): the 99.5 % quantile of their bits' sizes."""
    return max(float(np.quantile(np.abs(bits.sum(1)), 0.995)), 1e-6)


def signed_bar(title: str) -> ColourBar:
    """The scale of `overlay`, with "costs" and "saves" at its ends."""
    return ColourBar(_ramp(SIGNED), "costs", "saves", title, middle="0")


def heat_bar(end: float, title: str) -> ColourBar:
    """The scale of `heat`."""
    return ColourBar(_ramp(FROM_ZERO), "0", f"{end:.2g}", title)


def _ramp(scale: str) -> bytes:
    from matplotlib import colormaps

    colours = colormaps[scale](np.linspace(0, 1, 256), bytes=True)[None, :, :3]
    return _png(Image.fromarray(np.ascontiguousarray(colours)))


def _png(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return written.getvalue()
