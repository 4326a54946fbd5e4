"""The cached engine: a model's walk, made eagerly. Nothing is computed twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.engines.draw import Draw
from repr_toolkit.decoders.engines.walk import decide


def sample(model: Any, draw: Draw) -> Tensor:
    """Draw uint8 images (B, C, H, W) from a model with a `walk`."""
    x = torch.zeros(draw.noise.shape, dtype=torch.uint8, device=draw.noise.device)
    batch, _, height, width = x.shape
    with _one_thread(x.device):
        walk = model.walk(draw.h, batch)
        for row in range(height):
            for column in range(width):
                row_kind, pixel_kind = walk.kinds(row, column)
                if column == 0:
                    walk.row(row_kind)
                walk.pixel(pixel_kind)
                decide(walk, draw, x, row, column)
            draw.progress((row + 1) / height)
    return x


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """One thread on a CPU: splitting such small operations costs more than it gains."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
