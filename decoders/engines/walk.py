"""A model's way through an image, pixel by pixel, as the cached and the graph engine make it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.engines.draw import Draw


def obstacle(model: Any, draw: Draw | None = None) -> str | None:
    """Why a model cannot be sampled by its walk, or None if it can."""
    return None if model.in_raster_order else "it walks in raster order, and the model does not"


class Walk:
    """The three phases of sampling in raster order, each computed once, on buffers of its own.

    The row phase is all that depends on the rows above alone, the pixel phase what depends on the
    pixels to the left, the group phase the likelihood's parameters of R, then G given R, then B
    given both. What one phase leaves for another stands in buffers that are written in place, and
    which pixel is next in a tensor on the device: so a phase makes the same operations on the same
    memory whenever it is of the same kind, and a CUDA graph can record it once and replay it.

    A model makes its walk by a method `walk(h, batch)`, and names the engines that make it:

        engines = {
            **AutoregressiveDecoder.engines,
            "cached": Engine(cached.sample, walk.obstacle),
            "graph": Engine(graph.sample, graph.obstacle),
        }
    """

    def __init__(self, likelihood: Any, groups: int, device: torch.device) -> None:
        self.likelihood = likelihood
        self.groups = groups
        """How many parameters a pixel has: one for each channel, or one that couples them."""
        self.position = torch.zeros(1, dtype=torch.int64, device=device)
        """The current pixel's number in the raster, (1,); `take` of the last channel adds 1."""

    def kinds(self, row: int, column: int) -> tuple[Hashable, Hashable]:
        """The kinds of the row and of the pixel, where some make other operations than others."""
        return 0, 0

    def restart(self) -> None:
        """Back to the first row, whatever steps were made."""
        raise NotImplementedError

    def row(self, kind: Hashable) -> None:
        """Begin the row of the current pixel."""
        raise NotImplementedError

    def pixel(self, kind: Hashable) -> None:
        """Begin the current pixel."""
        raise NotImplementedError

    def params(self, group: int) -> Tensor:
        """The likelihood's parameters (B, K) of a group, whose earlier channels are taken."""
        raise NotImplementedError

    def take(self, channel: int, level: Tensor) -> None:
        """Take in the levels of a channel, integers (B,); after the last one the pixel is done."""
        raise NotImplementedError


def decide(walk: Walk, draw: Draw, x: Tensor, row: int | Tensor, column: int | Tensor) -> None:
    """Let a draw decide the current pixel's levels, into the images x, uint8 (B, C, H, W).

    Row and column are numbers, or tensors (1,) on the device.
    """
    channels = x.shape[1]
    for c in range(channels):
        if c < walk.groups:
            params = walk.params(c)
            if isinstance(column, Tensor):
                params = params.unsqueeze(1)  # as an index (1,) leaves an axis of 1
        at = (slice(None), c, row, column)
        before = None
        if walk.groups < channels:
            before = x[:, :c, row, column].movedim(1, -1).long()
        level = draw.level(walk.likelihood, params, at, before)
        x[at] = level.to(x.dtype)
        walk.take(c, level.flatten())
