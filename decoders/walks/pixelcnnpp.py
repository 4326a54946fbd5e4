"""The walk of PixelCNN++: every layer is computed only where the maps that it sees are new.

At resolution k, the k-th after the finest, the down stream makes a row in every 2^k-th row of the
image, and the right stream a pixel in every 2^k-th pixel of those. So a row's and a pixel's kind
is the coarsest resolution that it begins.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from repr_toolkit.decoders.engines.walk import Walk
from repr_toolkit.decoders.walks.pixelcnnpp_streams import DownStream, RightStream, convolved
from repr_toolkit.decoders.walks.weights import bias, matrix


class PixelCNNppWalk(Walk):
    """The walk of a PixelCNN++, `model`, for a batch of images given h, or given nothing."""

    def __init__(self, model: Any, h: Tensor | None, batch: int) -> None:
        weight = model.head_logits.weight
        super().__init__(model.likelihood, model.groups, weight.device)
        _, self.height, self.width = model.image_shape
        self.first = _First(model, batch)
        self.scaled = model.scale(torch.arange(model.levels, device=weight.device))
        self.resolutions = [_Resolution(model, k, batch) for k in range(model.scales)]
        self.s = [None if s is None else s.permute(2, 0, 3, 1) for s in model.condition_maps(h)]
        """s at each resolution, (H or 1, B, W or 1, S)."""
        self.head = _Head(model, batch)
        # Of each pixel and resolution: row, column, the same within a cell of the next coarser one.
        place = torch.arange(self.height * self.width, device=weight.device)
        row, column = place // self.width, place % self.width
        self.places = torch.stack(
            [
                value
                for k, one in enumerate(self.resolutions)
                for r, c in [(row >> k, column >> k)]
                for value in (r, c, r % 2, r % 2 * one.width + c)
            ],
            1,
        )
        self.place = self.places[:1].clone()
        self.at = [self.place[0, 4 * k : 4 * k + 4].split(1) for k in range(model.scales)]
        """Row, column, row in the cell, and place in the table of doubled maps: (1,) each."""

    def kinds(self, row: int, column: int) -> tuple[Hashable, Hashable]:
        of_row = max(k for k in range(len(self.resolutions)) if row % 2**k == 0)
        return of_row, max(k for k in range(of_row + 1) if column % 2**k == 0)

    def restart(self) -> None:
        self.position.zero_()
        self.first.restart()
        for resolution in self.resolutions:
            resolution.restart()

    def row(self, kind: Any) -> None:
        self._find()
        maps = self.first.row(self.position >= self.width)
        begun = self.resolutions[: kind + 1]
        for k, resolution in enumerate(begun):
            maps = resolution.inward_row(maps, self._s(k))
            if k < kind:
                maps = resolution.halved_row()
        for k, resolution in reversed([*enumerate(begun)]):
            maps = resolution.outward_row(maps, self.at[k][2], self._s(k))
            if k:
                self.resolutions[k - 1].double_row(maps)

    def pixel(self, kind: Any) -> None:
        self._find()
        begun = self.resolutions[: kind + 1]
        self.first.pixel(self.at[0][1], begun[0].right.start)
        for k, resolution in enumerate(begun):
            resolution.right.begin(self.at[k][1])
            if k:
                begun[k - 1].halve(self.at[k][1], resolution.right.start)
            resolution.right.inward()
        for k, resolution in reversed([*enumerate(begun)]):
            resolution.outward(self.at[k][3])
            if k:
                begun[k - 1].double(self.at[k][1], resolution.right.result)
            resolution.end(self.at[k][1])
        self.head.begin(begun[0].right.result)

    def params(self, group: int) -> Tensor:
        return self.head.logits(group, self.first.seen)

    def take(self, channel: int, level: Tensor) -> None:
        seen = self.first.seen  # (B, C + 1)
        seen[:, channel] = self.scaled.index_select(0, level.long())
        if channel == seen.shape[1] - 2:
            self.first.end(self.at[0][1])
            self.position += 1

    def _find(self) -> None:
        torch.index_select(self.places, 0, self.position, out=self.place)

    def _s(self, k: int) -> Tensor | None:
        s = self.s[k]
        if s is not None:
            s = s[0] if len(s) == 1 else s.index_select(0, self.at[k][0])[0]
        return s


class _First:
    """The first layers: the image's rows above, and the pixel to the left."""

    def __init__(self, model: Any, batch: int) -> None:
        first = model.first
        self.width = model.image_shape[2]
        self.down, self.above = ((c.kernel(), bias(c)) for c in (first.down, first.above))
        (self.above_left,), (self.left,) = first.left.kernel().permute(2, 3, 1, 0)
        self.bias = bias(first.left)
        channels, features = self.left.shape
        zeros, wide = self.left.new_zeros, self.width + model.beyond
        self.seen = zeros(batch, channels)
        """The pixel as the network sees it: the one to the left until its levels are taken."""
        self.window = zeros(batch, 2, wide + 2, channels)  # rows r − 2 and r − 1
        self.row_seen = zeros(self.width, batch, channels)
        self.handed = zeros(wide, batch, features)
        self.collected = zeros(1, batch, features)

    def restart(self) -> None:
        self.window.zero_()
        self.row_seen.zero_()

    def row(self, below: Tensor) -> Tensor:
        """The down stream's first maps (B, W, p); `below` says whether there is a row above."""
        self.window[:, 0].copy_(self.window[:, 1])
        self.window[:, 1, 1 : 1 + self.width] = self.row_seen.transpose(0, 1)
        row_above = self.window[:, 1:]
        self.handed.copy_((convolved(row_above, *self.above) * below).transpose(0, 1))
        self.handed[1:] += row_above[:, 0, 1:-2].transpose(0, 1) @ self.above_left + self.bias
        self.seen.zero_()
        return convolved(self.window, *self.down) * below

    def pixel(self, column: Tensor, out: Tensor) -> None:
        """The right stream's first maps of a pixel (B, p)."""
        torch.index_select(self.handed, 0, column, out=self.collected)
        torch.addmm(self.collected[0], self.seen, self.left, out=out)

    def end(self, column: Tensor) -> None:
        self.seen[:, -1] = 1
        self.row_seen.index_copy_(0, column, self.seen.unsqueeze(0))


class _Resolution:
    """Both streams at resolution k, and how their maps are halved from it and doubled to it."""

    def __init__(self, model: Any, k: int, batch: int) -> None:
        inward, outward = model.inward[k], model.outward[k]
        self.width = (model.image_shape[2] + model.beyond) >> k
        self.coarsest = k == model.scales - 1
        self.there = len(inward)
        self.down = DownStream(inward, outward, batch, self.width)
        self.right = RightStream(inward, outward, batch, self.width, self.coarsest)
        self.passed: list[Tensor] = []
        """The down stream's maps in this row, for the layers on the way back."""
        if self.coarsest:
            return
        halve, double = model.shrink[k], model.enlarge[k]
        zeros, features = self.right.left.new_zeros, model.features
        self.halve_down = (halve.down.kernel(), bias(halve.down), 2)
        kernel = halve.right.kernel().permute(2, 3, 1, 0).contiguous()
        self.halve_above = kernel[0]  # of two columns, (p, p) each
        self.halve_here, self.halve_bias = kernel[1].flatten(0, 1), bias(halve.right)
        self.double_down = double.down
        self.double_right = double.right.kernel().permute(0, 2, 3, 1).flatten(1).contiguous()
        self.double_bias = bias(double.right).repeat(4)
        self.rows = zeros(batch, 2, self.width + 2, features)
        """The down stream's last maps on the way there, in the row above and in this one."""
        self.row_above = zeros(self.width + 1, batch, features)
        """The right stream's, in the row above until the pixel is made; padded at the left."""
        self.row_seen = self.row_above[1:]
        self.handed = zeros(self.width // 2, batch, features)
        self.collected = zeros(1, batch, features)
        self.down_doubled = zeros(2, batch, self.width, features)
        self.doubled = zeros(2, self.width // 2, 2, batch, features)
        self.doubled_pixels = self.doubled.view(2 * self.width, batch, features)

    def restart(self) -> None:
        self.down.restart()
        self.right.restart()
        if not self.coarsest:
            self.rows.zero_()
            self.row_above.zero_()

    def inward_row(self, maps: Tensor, s: Tensor | None) -> Tensor:
        """The down stream's maps (B, W, p) on the way there, from the first to the last."""
        self.down.start_row()
        self.passed = [maps]
        for i in range(self.there):
            maps = self.down.layer(i, maps, s)
            self.passed.append(maps)
        if self.coarsest:
            self.passed.pop()
        else:
            self.rows[:, 0].copy_(self.rows[:, 1])
            self.rows[:, 1, 1:-1] = maps
        return maps

    def halved_row(self) -> Tensor:
        """The next resolution's first maps (B, W/2, p), and what its pixels take from above."""
        left, above = self.halve_above
        columns = (self.row_above[:-1:2] @ left, self.row_above[1::2] @ above)
        self.handed.copy_(columns[0] + columns[1] + self.halve_bias)
        return convolved(self.rows, *self.halve_down)

    def outward_row(self, maps: Tensor, row: Tensor, s: Tensor | None) -> Tensor:
        """The down stream's last maps (B, W, p); `row` is the row's place in its cell, 0 or 1."""
        if not self.coarsest:
            maps = self.down_doubled.index_select(0, row)[0]
        for i in range(self.there, len(self.down.blocks)):
            maps = self.down.layer(i, maps, s, self.passed.pop())
        self.right.row(self.down.maps, s)
        return maps

    def double_row(self, maps: Tensor) -> None:
        """Take in the next resolution's last maps (B, W/2, p), for two rows."""
        doubled = self.double_down(maps.transpose(1, 2).unsqueeze(2))  # (B, p, 2, W)
        self.down_doubled.copy_(doubled.permute(2, 0, 3, 1))

    def halve(self, column: Tensor, out: Tensor) -> None:
        """The next resolution's first maps of a pixel, of its column."""
        torch.index_select(self.handed, 0, column, out=self.collected)
        torch.addmm(self.collected[0], self.right.last_window, self.halve_here, out=out)

    def outward(self, place: Tensor) -> None:
        if not self.coarsest:
            back = self.right.back.unsqueeze(0)
            torch.index_select(self.doubled_pixels, 0, place, out=back)
        self.right.outward()

    def double(self, column: Tensor, maps: Tensor) -> None:
        """Take in the next resolution's last maps of a pixel, of its column, for four pixels."""
        doubled = torch.addmm(self.double_bias, maps, self.double_right)
        cells = doubled.view(len(maps), 2, 2, -1).permute(1, 2, 0, 3)
        self.doubled.index_copy_(1, column, cells.unsqueeze(1))

    def end(self, column: Tensor) -> None:
        """Keep of the pixel what the next row sees."""
        self.right.end(column)
        if not self.coarsest:
            self.row_seen.index_copy_(0, column, self.right.last.unsqueeze(0))


class _Head:
    """The head's layers: one, or one for each channel group after one of all, both masked."""

    def __init__(self, model: Any, batch: int) -> None:
        self.groups, features = model.groups, model.features
        self.logits_bias = bias(model.head_logits).chunk(self.groups)
        weight, width = matrix(model.head_logits), len(self.logits_bias[0])
        self.top = weight.new_zeros(batch, features)
        self.hidden = self.top  # what the last layer sees
        if self.groups > 1:
            hidden = matrix(model.head_hidden)
            self.of_maps, of_channels = hidden.split([features, len(hidden) - features])
            self.hidden_bias = bias(model.head_hidden)
            self.hidden = weight.new_zeros(batch, len(weight))
            self.parts = self.hidden.split(features, 1)
            self.of_channels = of_channels.split(features, 1)  # of each group, (C, p)
        sizes = [(g + 1) * len(weight) // self.groups for g in range(self.groups)]
        self.of_hidden = [
            weight[:size, g * width : (g + 1) * width].contiguous() for g, size in enumerate(sizes)
        ]
        self.seen = [self.hidden[:, :size] for size in sizes]

    def begin(self, maps: Tensor) -> None:
        self.top.copy_(maps)
        F.elu_(self.top)
        if self.groups > 1:
            torch.addmm(self.hidden_bias, self.top, self.of_maps, out=self.hidden)

    def logits(self, g: int, pixel: Tensor) -> Tensor:
        """The parameters (B, K) of a group; the pixel's channels before it stand in `pixel`."""
        if self.groups > 1:
            self.parts[g].addmm_(pixel[:, :g], self.of_channels[g][:g])
            F.elu_(self.parts[g])
        return torch.addmm(self.logits_bias[g], self.seen[g], self.of_hidden[g])
