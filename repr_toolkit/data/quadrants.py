"""Digits in the quadrants of a canvas: images whose content has a known place."""

from pathlib import Path

import numpy as np

from repr_toolkit.data.cache import Contents, cached
from repr_toolkit.data.images import SPLITS, Array, ImageData
from repr_toolkit.data.splits import consecutive
from repr_toolkit.data.wheels import mnist5k

QUADRANTS = ("top left", "top right", "bottom left", "bottom right")


def mnist_quadrants() -> ImageData:
    """The 5,000 digits of mnist5k at half their size, placed by `place_in_quadrants` on 28×28.

    For a recipe: `data.source: repr_toolkit.data.quadrants.mnist_quadrants`.
    """
    digits = mnist5k()
    small = ImageData(
        "mnist5k",
        {"image": halved(digits.arrays["image"]), "digit": digits.arrays["label"]},
        digits.rows,
        names={"digit": digits.names["label"]},
    )
    return place_in_quadrants(small)


def halved(images: Array) -> Array:
    """Images uint8 (N, C, 2H, 2W) to (N, C, H, W), each pixel the rounded mean of four."""
    count, channels, height, width = images.shape
    fours = images.reshape(count, channels, height // 2, 2, width // 2, 2)
    mean: Array = np.rint(fours.mean((3, 5))).astype(np.uint8)
    return mean


def place_in_quadrants(data: ImageData, *, jitter: int = 2, seed: int = 0) -> ImageData:
    """Every image (C, H, W) in a quadrant of a canvas (C, 2H, 2W) of zeros.

    A training image stands once in each of the four quadrants, any other image in one of them. It
    starts in the outer corner of its quadrant, moved by 0…jitter pixels towards the middle in both
    directions. `quadrant` int64 (N,) is 0…3 in the order of `QUADRANTS`, `centre` float32 (N, 2)
    the middle of the image's square in pixels, x before y; the other keys of the data stay. Made
    once and cached (see `cached`).

    Raises ValueError for a jitter that would move the middle of an image out of its quadrant.
    """
    channels, height, width = data.image_shape
    if not 0 <= jitter < min(height, width) / 2:
        raise ValueError(
            f"jitter must be less than half of {data.name}'s {height}×{width} pixels, not {jitter}"
        )

    def build(folder: Path) -> Contents:
        draw = np.random.default_rng(seed)
        sources, quadrants = [], []
        for split in SPLITS:
            count = len(data.rows[split])
            every = split == "train"
            sources.append(np.repeat(data.rows[split], 4 if every else 1))
            quadrants.append(np.tile(np.arange(4), count) if every else draw.integers(0, 4, count))
        source, quadrant = np.concatenate(sources), np.concatenate(quadrants)
        below, right = quadrant // 2, quadrant % 2
        moved = draw.integers(0, jitter + 1, (2, len(source)))
        top = np.where(below, height - moved[0], moved[0])
        left = np.where(right, width - moved[1], moved[1])
        canvas = np.zeros((len(source), channels, 2 * height, 2 * width), np.uint8)
        for image, picture, y, x in zip(canvas, source, top, left, strict=True):
            image[:, y : y + height, x : x + width] = data.arrays["image"][picture]
        centre = np.stack([left + width / 2, top + height / 2], axis=1)
        np.save(folder / "image.npy", canvas)
        np.save(folder / "quadrant.npy", quadrant.astype(np.int64))
        np.save(folder / "centre.npy", centre.astype(np.float32))
        for key in data.arrays.keys() - {"image", "quadrant", "centre"}:
            np.save(folder / f"{key}.npy", data.arrays[key][source])
        rows = consecutive({split: len(part) for split, part in zip(SPLITS, sources, strict=True)})
        return Contents(rows, data.stored_levels, {**data.names, "quadrant": QUADRANTS})

    key = f"quadrants {data.fingerprint} {jitter} {seed}"
    return cached(f"{data.name} in quadrants", key, build)
