"""Both streams of PixelCNN++ at one resolution: rows of the down stream, pixels of the right one.

Shapes: batch B, p features, W columns, L layers: those on the way to the coarsest resolution, then
those on the way back. What a convolution sees is the concatenated ELU of its maps, 2·p wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from repr_toolkit.decoders.walks.weights import bias, matrix


class DownStream:
    """The down stream, a row at a time: `maps` (L, B, W, p) are what its layers give."""

    def __init__(self, inward: Sequence[Any], outward: Sequence[Any], batch: int, width: int):
        self.blocks = [layer.down for layer in (*inward, *outward)]
        self.convs = [
            [(conv.kernel(), bias(conv)) for conv in (block.first, block.second)]
            for block in self.blocks
        ]
        self.besides = [
            None if block.beside is None else (block.beside.kernel()[:, :, 0, 0], block.beside.bias)
            for block in self.blocks
        ]
        like, count = self.convs[0][0][0], len(self.blocks)
        features = len(like)
        self.seen = like.new_zeros(count, 2, batch, 2, width + 2, 2 * features)
        """What both convolutions of a layer see of the row above and of this one, padded."""
        self.maps = like.new_zeros(count, batch, width, features)
        self.condition = _conditions(self.blocks)

    def restart(self) -> None:
        self.seen.zero_()

    def start_row(self) -> None:
        self.seen[:, :, :, 0].copy_(self.seen[:, :, :, 1])

    def layer(self, i: int, maps: Tensor, s: Tensor | None, beside: Tensor | None = None) -> Tensor:
        """What layer i makes of the row's maps (B, W, p), given s (B, W or 1, S)."""
        inside = self._conv(i, 0, maps)
        if (weights := self.besides[i]) is not None and beside is not None:
            inside = inside + F.linear(concatenated_elu(beside), *weights)
        both = self._conv(i, 1, inside)
        if s is not None and self.condition is not None:
            both = both + s @ self.condition[i]
        f, g = both.chunk(2, 2)
        return torch.addcmul(maps, f, torch.sigmoid(g), out=self.maps[i])

    def _conv(self, i: int, which: int, maps: Tensor) -> Tensor:
        seen = self.seen[i, which]  # (B, 2, W + 2, 2·p)
        seen[:, 1, 1:-1] = concatenated_elu(maps)
        return convolved(seen, *self.convs[i][which])


class RightStream:
    """The right stream, a pixel at a time.

    What its layers take from above stands in tables for a whole row, and what they take from the
    pixel to the left comes in one product for all. Layers are kept in slots: those on the way there
    from last to first, then those on the way back, so that a slot of the latter takes the shortcut
    from the slot of the former at the same place.
    """

    def __init__(
        self, inward: Sequence[Any], outward: Sequence[Any], batch: int, width: int, coarsest: bool
    ) -> None:
        blocks = [layer.right for layer in (*reversed(inward), *outward)]
        firsts, seconds = ([getattr(block, x) for block in blocks] for x in ("first", "second"))
        there, back = len(inward), len(outward)
        count, p = len(blocks), len(bias(firsts[0]))
        self.there, self.coarsest, self.width = there, coarsest, width
        self.order = [*reversed(range(there)), *range(there, count)]
        self.first = _Convs(firsts, batch, width, 1)
        self.second = _Convs(seconds, batch, width, 0)
        zeros = self.first.left.new_zeros
        # A shortcut's maps stand behind the down stream's, in both halves of the concatenated ELU.
        besides = [block.beside.kernel()[:, :, 0, 0].unflatten(1, (2, -1, p)) for block in blocks]
        self.beside = torch.stack([w[:, :, 0].flatten(1).t() for w in besides])  # (L, 2·p, p)
        self.shortcut = torch.stack([w[:, :, 1].flatten(1).t() for w in besides[there:]])
        biases = torch.stack([bias(block.beside) for block in blocks])
        self.first.bias = self.first.bias + biases.unsqueeze(1)
        self.condition = _conditions(blocks)
        # The last maps on the way there have a slot of their own, before all others.
        first = slice(1, 1 + there) if coarsest else slice(0, 1 + there)
        self.passed = self.first.windows[first]
        self.to_outward = self.first.collected[0, there:]
        self.last_window = zeros(batch, 2 * p)
        """The last maps on the way there, left of the pixel and at it, as halving sees them."""
        self.left, self.last = self.last_window.chunk(2, 1)
        self.signs = zeros(2, 1) + torch.tensor([[1.0], [-1.0]], device=self.left.device)
        maps = [*zeros(there, batch, p), self.last]
        back_maps = [self.last if coarsest else zeros(batch, p), *zeros(back, batch, p)]
        self.start, self.back, self.result = maps[0], back_maps[0], back_maps[-1]
        layers = [
            _PixelLayer(slot, self.first, self.second, before, after, self.signs)
            for slot, (before, after) in enumerate(
                [*reversed([*pairwise(maps)]), *pairwise(back_maps)]
            )
        ]
        self.inward_layers, self.outward_layers = layers[:there][::-1], layers[there:]
        self.last_maps = self.last.unsqueeze(1)
        self.last_seen = self.first.windows[0].unflatten(1, (2, p))

    def restart(self) -> None:
        self.first.rows.zero_()
        self.second.rows.zero_()

    def row(self, down: Tensor, s: Tensor | None) -> None:
        """Begin a row: `down` (L, B, W, p) is what the down stream's layers give in it."""
        seen = concatenated_elu(down[self.order].transpose(1, 2))  # (L, W, B, 2·p)
        self.first.row().baddbmm_(seen.flatten(1, 2), self.beside)
        self.second.row()
        if s is not None and self.condition is not None:
            v = torch.matmul(s.transpose(0, 1), self.condition.unsqueeze(1))
            self.second.handed += v  # (L, W or 1, B, 2·p)
        self.last_window.zero_()

    def begin(self, column: Tensor) -> None:
        """Begin a pixel: what its layers take from above and from the left."""
        self.first.pixel(column)
        self.second.pixel(column)
        self.left.copy_(self.last)

    def inward(self) -> None:
        """The layers on the way there, from `start` to `last`."""
        for layer in self.inward_layers:
            layer()
        if not self.coarsest:
            F.elu_(torch.mul(self.last_maps, self.signs, out=self.last_seen))
        self.to_outward.baddbmm_(self.passed, self.shortcut)

    def outward(self) -> None:
        """The layers on the way back, from `back` to `result`."""
        for layer in self.outward_layers:
            layer()

    def end(self, column: Tensor) -> None:
        """Keep of the pixel what the next row sees."""
        self.first.keep(column)
        self.second.keep(column)


class _PixelLayer:
    """The layer of a slot at a pixel, from maps `before` (B, p) to `after`. Views are made once."""

    def __init__(
        self,
        slot: int,
        first: _Convs,
        second: _Convs,
        before: Tensor,
        after: Tensor,
        signs: Tensor,
    ) -> None:
        batch, p = before.shape
        self.before, self.after, self.signs = before, after, signs
        self.inside, self.gate = before.new_empty(2, batch, p)
        self.both = before.new_empty(batch, 2 * p)
        self.f, self.g = self.both.chunk(2, 1)
        self.seen = [first.seen[slot], second.seen[slot]]
        # The concatenated ELU of maps (B, 1, p), in two halves (B, 2, p).
        self.maps = [before.unsqueeze(1), self.inside.unsqueeze(1)]
        self.halves = [seen.unflatten(1, (2, p)) for seen in self.seen]
        self.collected = [first.collected[0, slot], second.collected[0, slot]]
        self.here = [first.here[slot], second.here[slot]]

    def __call__(self) -> None:
        F.elu_(torch.mul(self.maps[0], self.signs, out=self.halves[0]))
        torch.addmm(self.collected[0], self.seen[0], self.here[0], out=self.inside)
        F.elu_(torch.mul(self.maps[1], self.signs, out=self.halves[1]))
        torch.addmm(self.collected[1], self.seen[1], self.here[1], out=self.both)
        torch.sigmoid(self.g, out=self.gate)
        torch.addcmul(self.before, self.f, self.gate, out=self.after)


class _Convs:
    """L convolutions (2, 2) of one size, and what they see: in the row above, left and here."""

    def __init__(self, convs: Sequence[Any], batch: int, width: int, spare: int) -> None:
        kernels = torch.stack([conv.kernel() for conv in convs]).permute(3, 4, 0, 2, 1)
        (self.above_left, self.above), (self.left, self.here) = kernels.contiguous()
        self.bias = torch.stack([bias(conv) for conv in convs]).unsqueeze(1)  # (L, 1, out)
        count, inputs, outputs = self.here.shape
        zeros = self.here.new_zeros
        self.rows = zeros(count, width + 1, batch, inputs)
        """What they see of a row, padded at the left."""
        self.row_seen = self.rows[:, 1:]
        self.windows = zeros(spare + count, batch, inputs)
        """What they see at a pixel, behind `spare` slots that belong to none."""
        self.seen = self.windows[spare:]
        self.handed = zeros(count, width, batch, outputs)
        """What comes to each pixel of the row from above, biases included."""
        self.collected = zeros(1, count, batch, outputs)
        """And of the current pixel from the left, too."""
        self.collected_row = self.collected.transpose(0, 1)

    def row(self) -> Tensor:
        """Begin a row; what is handed, (L, W·B, out), to be added to."""
        handed: Tensor = self.handed.flatten(1, 2)
        torch.baddbmm(self.bias, self.rows[:, :-1].flatten(1, 2), self.above_left, out=handed)
        handed.baddbmm_(self.rows[:, 1:].flatten(1, 2), self.above)
        self.windows.zero_()
        return handed

    def pixel(self, column: Tensor) -> None:
        torch.index_select(self.handed, 1, column, out=self.collected_row)
        self.collected[0].baddbmm_(self.seen, self.left)

    def keep(self, column: Tensor) -> None:
        self.row_seen.index_copy_(1, column, self.seen.unsqueeze(1))


def concatenated_elu(maps: Tensor) -> Tensor:
    """ELU of maps (…, p) and of their negatives, (…, 2·p)."""
    return F.elu_(torch.cat([maps, -maps], -1))


def convolved(seen: Tensor, kernel: Tensor, bias: Tensor | None, stride: int = 1) -> Tensor:
    """A row (B, W/stride, out) of a convolution, from the rows that it sees, (B, n, W + 2, in)."""
    row: Tensor = F.conv2d(seen.permute(0, 3, 1, 2), kernel, bias, stride)
    return row[:, :, 0].transpose(1, 2)


def _conditions(blocks: Sequence[Any]) -> Tensor | None:
    """V of the blocks, (L, S, 2·p), if they have any."""
    layers = [block.condition for block in blocks]
    return None if layers[0] is None else torch.stack([matrix(v) for v in layers])
