"""The walk of the Diagonal BiLSTM.

The direction from the right is made for a whole row when the next one begins: what all pixels take
from their input and from above at once, and then a pixel after the other, for all layers together.
The direction from the left is made pixel by pixel, what it takes from above a row at a time.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar

import torch
from torch import Tensor

from repr_toolkit.decoders.walks.lstm import GATES, LSTMWalk, update
from repr_toolkit.decoders.walks.pixel_network import Condition
from repr_toolkit.decoders.walks.weights import bias


class DiagonalBiLSTMWalk(LSTMWalk):
    """The walk of a Diagonal BiLSTM, `model`, for a batch of images given h, or given nothing."""

    adds: ClassVar[bool] = True

    def __init__(self, model: Any, h: Tensor | None, batch: int) -> None:
        super().__init__(model, h, batch)
        layers, zeros = list(model.layers), self.maps.new_zeros
        count, features, wide = len(layers), self.features, self.wide
        self.last_column = torch.full_like(self.position, self.width)
        self.above, self.before = self.from_states.unbind(1)
        self.row_states = zeros(wide, count, batch, features)
        self.row_maps = zeros(wide, count, batch, self.maps.shape[2])
        self.handed = zeros(wide, count, batch, GATES * features)
        # The direction from the right, whose gates stay in their own order.
        second = slice(GATES * features, None)
        self.right_above, self.right_before = self.kernel[..., second].unbind(1)
        convs = [layer.input_to_state for layer in layers]
        self.right_input = torch.stack([c.causal_weight()[second, :, 0, 0].t() for c in convs])
        self.right_bias = torch.stack([bias(c)[second] for c in convs]).unsqueeze(1)
        conditions = [layer.condition for layer in layers]
        order = torch.arange(GATES * features, 2 * GATES * features, device=self.position.device)
        self.right_condition = Condition(conditions, order)
        self.right_map = torch.zeros_like(self.handed)
        """V·s of the row that is being drawn."""
        self.right_states = torch.zeros_like(self.row_states)
        self.shifted = torch.zeros_like(self.row_states)
        """The states of the direction from the right in the row above, or what stands for them."""
        self.right_cell = torch.zeros_like(self.cell)
        self.first_row = torch.stack([layer.first_row for layer in layers]).unsqueeze(1)
        self.restart()

    def kinds(self, row: int, column: int) -> tuple[Hashable, Hashable]:
        return ("first" if row == 0 else "later"), 0

    def row(self, kind: Hashable) -> None:
        if kind == "later":
            self.end_row()
            self.from_right()
        super().row(kind)

    def end_row(self) -> None:
        """Make the maps in the column beyond the image."""
        self.column = self.last_column
        self.first.pixel(self.column)
        self.seen.zero_()
        self.start_pixel()
        for group in range(self.groups):
            self.last_maps(group)
        self.end_pixel()

    def restart(self) -> None:
        super().restart()
        self.row_states.copy_(self.outside_state[:, :1])
        self.shifted.copy_(self.first_row)
        self.right_states.copy_(self.outside_state[:, 1:])

    def from_right(self) -> None:
        """The direction from the right in the row that was drawn, for the one below."""
        both = torch.baddbmm(self.right_bias, _rows(self.row_maps), self.right_input)
        both.baddbmm_(_rows(self.right_states), self.right_above)
        gates = both.unflatten(1, (self.wide, -1)).transpose(0, 1) + self.right_map
        self.right_cell.copy_(self.outside_cell[:, 1:])
        before = self.outside_state[:, 1:].expand_as(self.right_cell)
        for column in reversed(range(self.wide)):
            state = self.right_states[column]
            update(torch.baddbmm(gates[column], before, self.right_before), self.right_cell, state)
            before = state
        self.shifted.copy_(self.right_states)

    def start_row(self, s: Tensor | None) -> None:
        handed = torch.baddbmm(self.left.bias, _rows(self.row_states), self.above)
        self.handed.copy_(handed.unflatten(1, (self.wide, -1)).transpose(0, 1))
        self.condition.add_to(self.handed, s)
        self.right_condition.add_to(self.right_map.zero_(), s)
        self.state.copy_(self.outside_state[:, :1])
        self.cell.copy_(self.outside_cell[:, :1])

    def start_pixel(self) -> None:
        torch.index_select(self.handed, 0, self.column, out=self.collected)
        self.collected[0].baddbmm_(self.state, self.before)
        torch.index_select(self.shifted, 0, self.column, out=self.added.unsqueeze(0))

    def end_pixel(self) -> None:
        self.row_states.index_copy_(0, self.column, self.state.unsqueeze(0))
        self.row_maps.index_copy_(0, self.column, self.maps[:-1].unsqueeze(0))


def _rows(maps: Tensor) -> Tensor:
    """A row's maps (W, L, B, p) as matrices (L, W·B, p)."""
    return maps.transpose(0, 1).flatten(1, 2)
