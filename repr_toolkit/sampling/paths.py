"""From one h to another in equal steps, and how smoothly the pictures follow."""

from typing import Literal

import torch
from torch import Tensor

Way = Literal["linear", "spherical"]


def path(a: Tensor, b: Tensor, steps: int, way: Way = "linear") -> Tensor:
    """`steps` equally spaced h from a to b, both (h_dim,) and both included: (steps, h_dim).

    "linear" is the straight line. "spherical" turns the direction of a into that of b at constant
    speed (slerp), while the length changes linearly: unit vectors, such as face embeddings, stay
    unit vectors. Of parallel vectors both ways are the same. Raises ValueError for fewer than two
    steps, vectors of different shape, another way, and for the spherical way between opposite
    vectors, or from or to a zero vector, which has no direction.
    """
    if steps < 2:
        raise ValueError(f"a path has at least 2 steps, its ends, not {steps}")
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(
            f"a path leads between two vectors, not {tuple(a.shape)} and {tuple(b.shape)}"
        )
    t = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[:, None]
    if way == "linear":
        return torch.lerp(a, b, t)
    if way != "spherical":
        raise ValueError(f'a path is "linear" or "spherical", not {way!r}')
    lengths = a.norm(), b.norm()
    if min(lengths) == 0:
        raise ValueError("a zero vector has no direction that a spherical path could turn")
    a, b = a / lengths[0], b / lengths[1]
    # From the chord, which is exact where the cosine of a small angle is not.
    angle = 2 * torch.atan2((a - b).norm(), (a + b).norm())
    if torch.pi - angle < 1e-3:
        raise ValueError("between opposite vectors there is no shortest way on the sphere")
    # sin(xθ)/sin θ, which is x where θ is 0.
    weights = [x * torch.sinc(x * angle / torch.pi) for x in (1 - t, t)]
    directions = (weights[0] * a + weights[1] * b) / torch.sinc(angle / torch.pi)
    return directions * torch.lerp(*lengths, t)


def smoothness(images: Tensor, levels: int = 256) -> tuple[Tensor, Tensor]:
    """How far apart rows of pictures along one path are, each row under another noise.

    For each row two mean absolute differences, of intensities in [0, 1], float64 (rows,): over its
    pairs of neighbouring steps, and over the other rows at the same step, which have the same h and
    other noise. A row is smooth where the first is smaller. `images` is uint8 with values
    0…levels−1, (rows, steps, C, H, W). Raises ValueError for fewer than two rows or steps.
    """
    rows, steps = images.shape[:2]
    if rows < 2 or steps < 2:
        raise ValueError(f"smoothness compares at least 2 rows of 2 steps, not {rows} of {steps}")
    scaled = images.flatten(2).double() / (levels - 1)  # (rows, steps, C·H·W)
    adjacent = (scaled[:, 1:] - scaled[:, :-1]).abs().mean((1, 2))
    apart = torch.stack([(scaled - row).abs().mean((1, 2)).sum() / (rows - 1) for row in scaled])
    return adjacent, apart
