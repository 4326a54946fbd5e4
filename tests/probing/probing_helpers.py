"""Data whose images do not matter, and representations of them that are known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repr_toolkit.data import ImageData
from repr_toolkit.representations import Representation

Array = NDArray[Any]


def image_data(
    train: int = 240, val: int = 120, test: int = 160, size: int = 1, **keys: Array
) -> ImageData:
    """``size``×``size`` images of noise with these keys, the splits one after the other."""
    count = train + val + test
    images = np.random.default_rng(0).integers(0, 256, (count, 1, size, size)).astype(np.uint8)
    ends = np.cumsum([0, train, val, test])
    rows = {
        split: np.arange(ends[i], ends[i + 1]) for i, split in enumerate(("train", "val", "test"))
    }
    return ImageData("made", {"image": images, **keys}, rows)


def representation(data: ImageData, h: Array, name: str = "h") -> Representation:
    """h (N, d) of all images in their order, parted by the splits."""
    parts: Mapping[str, Array] = {s: h[r].astype(np.float32) for s, r in data.rows.items()}
    return Representation(name, f"test.{name}", data.fingerprint, data.levels, parts)


def codes(count: int = 520, classes: int = 4, seed: int = 1) -> Array:
    return np.random.default_rng(seed).integers(0, classes, count)


def noise(count: int = 520, width: int = 4, seed: int = 2) -> Array:
    return np.random.default_rng(seed).normal(size=(count, width))


def telling(labels: Array, spread: float = 0.05) -> Array:
    """The one-hot of each label, with some noise."""
    width = int(labels.max()) + 1
    return np.eye(width)[labels] + spread * noise(len(labels), width)
