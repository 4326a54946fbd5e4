"""Images, labels and vectors whose statistics are known."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.representations import Representation

Array = NDArray[Any]
SHAPE = (1, 2, 3)
CODE_LENGTHS = torch.tensor([1.0, 2.0, 3.0, 3.0])  # bits of the levels 0…3: a pmf of ½, ¼, ⅛, ⅛
SIDE = 16
FACE = torch.tensor([[4.0, 5.0], [10.0, 5.0], [7.0, 8.0], [5.0, 11.0], [9.0, 11.0]])
FAINT = torch.tensor([200.0, 200.0, 60.0, 90.0, 90.0])  # the eyes stand out


def random_split(count: int, seed: int = 0) -> ImageSplit:
    generator = np.random.default_rng(seed)
    arrays = {
        "image": generator.integers(0, 4, (count, *SHAPE), dtype=np.uint8),
        "label": np.arange(count, dtype=np.int64) % 2,
    }
    return ImageSplit(arrays, np.arange(count), 4)


def image_data(
    train: int = 240, val: int = 120, test: int = 160, size: int = 1, **keys: Array
) -> ImageData:
    """`size`×`size` images of noise with these keys, the splits one after the other."""
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


def cloud(count: int = 400, seed: int = 0) -> np.ndarray:
    """Vectors of four dimensions with standard deviations 3, 1, 2, 0.5, off the origin."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(count, 4)) * [3, 1, 2, 0.5] + [5, 0, -1, 2]
    return values.astype(np.float32)


def write_faces(path: Path, people: int = 16, images: int = 5, **more: Any) -> Path:
    """An .npz of noisy 8×8 pictures of people, a pattern each, in no splits of their own."""
    draw = np.random.default_rng(0)
    codes = np.repeat(np.arange(people), images)
    patterns = draw.normal(128, 40, (people, 1, 8, 8))
    noisy = patterns[codes] + draw.normal(0, 40, (len(codes), 1, 8, 8))
    image = noisy.clip(0, 255).astype(np.uint8)
    np.savez(path, image=image, identity=codes, **more)
    return path


def faces(landmarks: Tensor) -> Tensor:
    """Spots of light at landmarks (N, 5, 2) on a dark ground: uint8 (N, 1, SIDE, SIDE)."""
    middles = torch.arange(SIDE) + 0.5
    x, y = landmarks[..., 0, None, None], landmarks[..., 1, None, None]
    squared = (middles - x).square() + (middles[:, None] - y).square()  # (N, 5, SIDE, SIDE)
    light = (FAINT[:, None, None] * (-squared / 4).exp()).sum(1, keepdim=True)
    return (20 + light).clamp(max=255).to(torch.uint8)


def random_landmarks(count: int, seed: int = 0) -> Tensor:
    """Faces of somewhat different shapes at random places: (N, 5, 2)."""
    generator = torch.Generator().manual_seed(seed)
    move = 5 * torch.rand(count, 1, 2, generator=generator) - 1.5
    return FACE + move + 0.5 * torch.randn(count, 5, 2, generator=generator)


def face_file(path: Path, counts: tuple[int, int, int] = (300, 40, 60), seed: int = 0) -> Path:
    """An .npz of such faces, split into train, val and test."""
    landmarks = random_landmarks(sum(counts), seed)
    draw = np.random.default_rng(seed)
    images = faces(landmarks).numpy()
    noisy = images + draw.integers(-5, 6, images.shape)
    np.savez(
        path,
        image=noisy.clip(0, 255).astype(np.uint8),
        landmarks=landmarks.numpy(),
        split=np.repeat(["train", "val", "test"], counts),
    )
    return path


def quadrant_file(path: Path, counts: tuple[int, int, int] = (40, 20, 30)) -> Path:
    """An .npz of images with one bright quadrant."""
    quadrant = np.random.default_rng(0).integers(0, 4, sum(counts))
    images = bright_quadrants(torch.from_numpy(quadrant)).numpy()
    split = np.repeat(["train", "val", "test"], counts)
    np.savez(path, image=images, quadrant=quadrant, split=split)
    return path


def bright_quadrants(codes: Tensor) -> Tensor:
    """Images uint8 (N, 1, SIDE, SIDE), bright in the quadrant of each code."""
    images = torch.zeros(len(codes), 1, SIDE, SIDE, dtype=torch.uint8)
    half = SIDE // 2
    for image, code in zip(images, codes.tolist(), strict=True):
        top, left = half * (code // 2), half * (code % 2)
        image[:, top : top + half, left : left + half] = 255
    return images
