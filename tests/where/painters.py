"""Images whose landmarks or quadrant are known, and decoders that paint what h says, or do not."""

from pathlib import Path

import numpy as np
import torch
from plugin_models import Independent
from torch import Tensor

SIDE = 16
FACE = torch.tensor([[4.0, 5.0], [10.0, 5.0], [7.0, 8.0], [5.0, 11.0], [9.0, 11.0]])
FAINT = torch.tensor([200.0, 200.0, 60.0, 90.0, 90.0])  # the eyes stand out


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


class EyePainter(Independent):
    """Draws the face whose landmarks h is."""

    def sample(self, h: Tensor | None = None, n: int | None = None, **_: object) -> Tensor:
        assert h is not None
        return faces(h.unflatten(1, (5, 2)))


class QuadrantPainter(Independent):
    """Draws the quadrant of which h is the one-hot vector."""

    def sample(self, h: Tensor | None = None, n: int | None = None, **_: object) -> Tensor:
        assert h is not None
        return bright_quadrants(h.argmax(1))


class StubbornPainter(Independent):
    """Draws the first quadrant, whatever h says."""

    def sample(self, h: Tensor | None = None, n: int | None = None, **_: object) -> Tensor:
        assert h is not None
        return bright_quadrants(torch.zeros(len(h), dtype=torch.int64))
