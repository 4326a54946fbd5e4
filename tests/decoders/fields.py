"""Which inputs each sub-pixel may depend on, from the kernels' footprints alone.

Boolean (C, H, W, C, H, W), outputs first, for images of a shape by a model of these arguments.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]
Field = NDArray[np.bool_]


def gated_field(shape: Shape, settings: dict[str, Any]) -> Field:
    channels, height, width = shape
    k, layers = settings.get("kernel_size", 3) // 2, settings.get("layers", 3)
    coupled = settings.get("likelihood") == "logistic_mixture"
    above = np.zeros((height, width, channels, height, width), bool)
    left = np.zeros((channels, height, width, channels, height, width), bool)
    for layer in range(layers):
        above_before, left_before = above.copy(), left.copy()
        for r, c in product(range(height), range(width)):
            columns = slice(max(c - k, 0), c + k + 1)
            if layer == 0:
                above[r, c, :, max(r - k - 1, 0) : r, columns] = True
            else:
                above[r, c] = above_before[max(r - k, 0) : r + 1, columns].any((0, 1))
            for g in range(channels):
                seen = left[g, r, c]
                seen |= above[r, c]
                if layer == 0:
                    seen[:, r, max(c - k, 0) : c] = True
                    seen[: 0 if coupled else g, r, c] = True
                else:
                    seen |= left_before[: g + 1, r, c].any(0)
                    seen |= left_before[:, r, max(c - k, 0) : c].any((0, 1))
    return np.stack([left[: g + 1].any(0) for g in range(1 if coupled else channels)])


def pixelcnn_field(shape: Shape, settings: dict[str, Any]) -> Field:
    k = settings.get("kernel_size", 3) // 2

    def block(before: Field, after: Field, g: int, r: int, c: int) -> None:
        after[g, r, c] = before[: g + 1, r, c].any(0)
        after[g, r, c] |= before[:, max(r - k, 0) : r, max(c - k, 0) : c + k + 1].any((0, 1, 2))
        after[g, r, c] |= before[:, r, max(c - k, 0) : c].any((0, 1))

    return network_field(shape, settings, block)


def row_field(shape: Shape, settings: dict[str, Any]) -> Field:
    k = settings.get("kernel_size", 3) // 2

    def block(before: Field, after: Field, g: int, r: int, c: int) -> None:
        after[g, r, c] = before[: g + 1, r, c].any(0)
        after[g, r, c] |= before[:, r, max(c - k, 0) : c].any((0, 1))
        if r:
            after[g, r, c] |= after[:, r - 1, max(c - k, 0) : c + k + 1].any((0, 1))

    return network_field(shape, settings, block)


def diagonal_field(shape: Shape, settings: dict[str, Any]) -> Field:
    """Of maps that are a column wider than the image."""
    channels, height, width = shape

    def block(before: Field, after: Field, g: int, r: int, c: int) -> None:
        after[g, r, c] = before[: g + 1, r, c].any(0)
        after[g, r, c] |= before[:, r, :c].any((0, 1))
        after[g, r, c] |= before[:, :r, : c + 1].any((0, 1, 2))
        if r:
            # From the right, shifted: the group itself right above, and all groups beyond.
            after[g, r, c] |= before[: g + 1, r - 1, c].any(0)
            after[g, r, c] |= before[:, r - 1, c + 1 :].any((0, 1))
            after[g, r, c] |= before[:, : r - 1, c:].any((0, 1, 2))

    return network_field((channels, height, width + 1), settings, block)[:, :, :-1, :, :, :-1]


def network_field(
    shape: Shape, settings: dict[str, Any], block: Callable[[Field, Field, int, int, int], None]
) -> Field:
    """The field of a masked first layer, blocks, and masked 1×1 layers.

    `block` fills in what group g of pixel (r, c) sees, given what the maps before see, pixel by
    pixel in raster order. There is one group where the likelihood couples channels.
    """
    channels, height, width = shape
    groups = 1 if settings.get("likelihood") == "logistic_mixture" else channels
    k = settings.get("first_kernel_size", 7) // 2
    seen = np.zeros((groups, height, width, channels, height, width), bool)
    positions = list(product(range(height), range(width), range(groups)))
    for r, c, g in positions:
        seen[g, r, c, :, max(r - k, 0) : r, max(c - k, 0) : c + k + 1] = True
        seen[g, r, c, :, r, max(c - k, 0) : c] = True
        seen[g, r, c, :g, r, c] = True
    for _ in range(settings.get("layers", 2)):
        after = np.zeros_like(seen)
        for r, c, g in positions:
            block(seen, after, g, r, c)
        seen = np.logical_or.accumulate(after)
    return np.logical_or.accumulate(seen)


def pixelcnnpp_field(shape: Shape, settings: dict[str, Any]) -> Field:
    """Of maps whose size is padded to a multiple of the coarsest resolution's cells."""
    channels, height, width = shape
    blocks, scales = settings.get("blocks", 1), settings.get("scales", 3)
    rows, columns = (side + -side % 2 ** (scales - 1) for side in (height, width))
    image = np.zeros((rows, columns, height, width), bool)  # (r, c, of the image)
    for r, c in product(range(height), range(width)):
        image[r, c, r, c] = True
    steps = {"down": ((-1, 0), (-1, 0, 1)), "right": ((-1, 0), (-1, 0))}

    def conv(before: Field, places: tuple[tuple[int, ...], tuple[int, ...]], s: int = 1) -> Field:
        after = np.zeros_like(before[::s, ::s])
        for r, c in product(*map(range, after.shape[:2])):
            for y, x in product(*places):
                if s * r + y >= 0 and 0 <= s * c + x < before.shape[1]:
                    after[r, c] |= before[s * r + y, s * c + x]
        return after

    def layer(maps: list[Field], shortcut: list[Field] | None = None) -> list[Field]:
        down, right = maps
        besides = shortcut or [np.zeros_like(down)] * 2
        down = down | conv(conv(down, steps["down"]) | besides[0], steps["down"])
        inside = conv(right, steps["right"]) | down | besides[1]
        return [down, right | conv(inside, steps["right"])]

    def doubled(maps: list[Field]) -> list[Field]:
        down, right = (m.repeat(2, 0).repeat(2, 1) for m in maps)
        down[:, 1:-1:2] |= down[:, 2::2]
        return [down, right]

    above = conv(image, ((-1,), (-1, 0, 1)))
    maps = [conv(image, ((-2, -1), (-1, 0, 1))), above | conv(image, ((-1, 0), (-1,)))]
    passed = [maps]
    for scale in range(scales):
        if scale:
            maps = [conv(m, steps[name], 2) for m, name in zip(maps, steps, strict=True)]
            passed.append(maps)
        for _ in range(blocks):
            maps = layer(maps)
            passed.append(maps)
    maps = passed.pop()
    for scale in reversed(range(scales)):
        for _ in range(blocks + (scale < scales - 1)):
            maps = layer(maps, passed.pop())
        if scale:
            maps = doubled(maps)
    past = maps[1][:height, :width]  # (r, c, of the image)
    if settings.get("likelihood", "logistic_mixture") == "logistic_mixture":
        return past[None, :, :, None].repeat(channels, 3)
    seen = past[None, :, :, None].repeat(channels, 3).repeat(channels, 0)
    for r, c, g in product(range(height), range(width), range(channels)):
        seen[g, r, c, :g, r, c] = True
    return seen
