"""What the walks of PixelCNN, Row LSTM and Diagonal BiLSTM share: windows, first layer and head.

Shapes: batch B, L layers, h features and 2·h maps between blocks, in G channel groups, reach
k = ⌊n/2⌋ of an n×n kernel. Convolutions that stand in all layers are batched over them wherever
they do not need each other's results.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from repr_toolkit.decoders.engines.walk import Walk
from repr_toolkit.decoders.masked import Masked, RowLeft
from repr_toolkit.decoders.walks.head import Head
from repr_toolkit.decoders.walks.weights import (
    bias,
    gate_order,
    group_parts,
    head_weights,
    matrix,
)


class Condition:
    """V·s of L layers, for a row of pixels."""

    def __init__(self, layers: Sequence[nn.Conv2d | None], order: Tensor) -> None:
        matrices = [matrix(v)[:, order] for v in layers if v is not None]
        self.v = torch.stack(matrices) if matrices else None  # (L, S, out)

    def add_to(self, handed: Tensor, s: Tensor | None) -> None:
        """Add V·s of a row's map s (B, W or 1, S) to what its pixels get (W, L, B, out)."""
        if s is not None and self.v is not None:
            handed += torch.matmul(s.transpose(0, 1).unsqueeze(1), self.v)


class Left:
    """The maps at the current pixel and the k left of it, as L convolutions of one size see them.

    `here` (L, B, in) is the current pixel's. Outputs, or a slice of them, the first, are ordered
    group by group (`gate_order`).
    """

    def __init__(
        self,
        convs: Sequence[RowLeft],
        batch: int,
        groups: int,
        halves: int = 1,
        outputs: slice = slice(None),
    ) -> None:
        conv = convs[0]
        k, inputs, count = conv.reach, conv.in_channels, len(bias(conv)[outputs])
        self.order = gate_order(count // halves, groups, halves).to(conv.weight.device)
        weight = torch.stack([c.causal_weight()[self.order, :, -1, :k] for c in convs])
        self.weight = weight.permute(0, 3, 2, 1).flatten(1, 2)  # (L, k·in, out)
        self.bias = torch.stack([bias(c)[self.order] for c in convs]).unsqueeze(1)  # (L, 1, out)
        self.window = conv.weight.new_zeros(len(convs), batch, (k + 1) * inputs)
        self.left, self.here = self.window.split([k * inputs, inputs], dim=2)
        self.centres = [group_parts(c, groups, halves, outputs) for c in convs]
        """Of each layer and group, the matrix of the current pixel."""

    def start_row(self) -> None:
        self.window.zero_()

    def add_to(self, handed: Tensor) -> None:
        """Add what comes from the left to (L, B, out)."""
        if len(self.weight[0]):
            handed.baddbmm_(self.left, self.weight)

    def end_pixel(self) -> None:
        size = self.here.shape[2]
        if len(self.weight[0]):
            self.window[..., :-size] = self.window[..., size:].clone()


class MaskedRows:
    """L masked n×n convolutions of one size: the rows above at once, then pixel by pixel."""

    def __init__(
        self,
        convs: Sequence[Masked],
        conditions: Sequence[nn.Conv2d | None],
        batch: int,
        width: int,
        groups: int,
    ) -> None:
        self.left = Left(convs, batch, groups)
        self.condition = Condition(conditions, self.left.order)
        k, zeros = convs[0].reach, convs[0].weight.new_zeros
        self.reach, self.width, self.here = k, width, self.left.here
        weight = torch.stack([c.causal_weight()[:, :, :k] for c in convs])
        self.above = weight.permute(0, 3, 4, 2, 1).flatten(1, 3)  # (L, k·n·in, out)
        count, inputs, outputs = len(convs), convs[0].in_channels, convs[0].out_channels
        self.maps = zeros(count, batch, k + 1, width + 2 * k, inputs)
        """Rows r−k…r of what the convolutions see, padded at both ends."""
        self.handed = zeros(width, count, batch, outputs)
        """What comes to each pixel of the row from above, biases and V·s included."""
        self.collected = zeros(1, count, batch, outputs)
        """And of the current pixel from the left, too."""

    def restart(self) -> None:
        self.maps.zero_()

    def row(self, s: Tensor | None) -> None:
        k = self.reach
        self.maps[:, :, :-1] = self.maps[:, :, 1:].clone()
        # (L, B, k, W, in, n) to (L, W·B, k·n·in)
        patches = self.maps[:, :, :k].unfold(3, 2 * k + 1, 1).permute(0, 3, 1, 2, 5, 4)
        patches = patches.reshape(len(self.maps), self.width * self.maps.shape[1], -1)
        handed = torch.baddbmm(self.left.bias, patches, self.above)
        self.handed.copy_(handed.view(len(handed), self.width, -1, handed.shape[2]).transpose(0, 1))
        self.condition.add_to(self.handed, s)
        self.left.start_row()

    def pixel(self, column: Tensor) -> None:
        torch.index_select(self.handed, 0, column, out=self.collected)
        self.left.add_to(self.collected[0])

    def end_pixel(self, column: Tensor) -> None:
        row = self.maps[:, :, self.reach]
        row.index_copy_(2, column + self.reach, self.here.unsqueeze(2))
        self.left.end_pixel()


class PixelNetworkWalk(Walk):
    """The walk of a `PixelNetwork`, for a batch of images given h, or given nothing.

    A subclass makes the blocks' part of each phase, on `self.maps` (L + 1, B, 2·h): what each
    block takes in, and what the last gives.
    """

    def __init__(self, model: Any, h: Tensor | None, batch: int) -> None:
        weight = model.first.weight
        super().__init__(model.likelihood, model.groups, weight.device)
        _, height, self.width = model.image_shape
        self.wide = self.width + model.beyond
        """The columns in which there are maps."""
        self.scaled = model.scale(torch.arange(model.levels, device=weight.device))
        self.s: Tensor | None = None  # (H, B, W or 1, S)
        if (s := model.condition_map(h)) is not None:
            self.s = s.expand(-1, -1, height, -1).permute(2, 0, 3, 1)
        self.first = MaskedRows(
            [model.first], [model.first_condition], batch, self.wide, model.groups
        )
        self.seen = self.first.here[0]  # (B, C), the pixel as the network sees it
        outputs = model.first.out_channels
        self.maps = weight.new_zeros(len(model.layers) + 1, batch, outputs)
        self.head = Head(head_weights(model), batch, model.groups)
        self.column = self.position % self.width
        q, channels = outputs // model.groups, model.first.in_channels // model.groups
        self.parts = [slice(q * g, q * (g + 1)) for g in range(model.groups)]
        self.starts = [
            (
                self.first.collected[0, 0, :, part],
                self.seen[:, : channels * (g + 1)],
                self.first.left.centres[0][g],
                self.maps[0, :, part],
            )
            for g, part in enumerate(self.parts)
        ]

    def restart(self) -> None:
        self.position.zero_()
        self.first.restart()

    def row(self, kind: Hashable) -> None:
        s = None
        if self.s is not None:
            s = self.s.index_select(0, self.position // self.width)[0]
        self.first.row(s)
        self.start_row(s)

    def pixel(self, kind: Hashable) -> None:
        self.column = self.position % self.width
        self.first.pixel(self.column)
        self.start_pixel()

    def params(self, group: int) -> Tensor:
        return self.head.logits(group, self.last_maps(group))

    def last_maps(self, group: int) -> Tensor:
        """What the head gets of a group, (B, 2·h/G)."""
        collected, seen, centre, maps = self.starts[group]
        torch.addmm(collected, seen, centre, out=maps)
        return self.output(group)

    def take(self, channel: int, level: Tensor) -> None:
        self.seen[:, channel] = self.scaled.index_select(0, level.long())
        if channel == self.seen.shape[1] - 1:
            self.first.end_pixel(self.column)
            self.end_pixel()
            self.position += 1

    def start_row(self, s: Tensor | None) -> None:
        """Begin a row in the blocks; s (B, W or 1, S) is the map of h in it."""
        raise NotImplementedError

    def start_pixel(self) -> None:
        """Begin the pixel at `self.column` in the blocks."""
        raise NotImplementedError

    def output(self, group: int) -> Tensor:
        """What the blocks give to the head for a group, (B, 2·h/G), from its `self.maps[0]`."""
        raise NotImplementedError

    def end_pixel(self) -> None:
        """Keep of the current pixel what the blocks take from it later."""
        raise NotImplementedError
