"""The walk of the Row LSTM: state-to-state of a whole row at once, for all layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.walks.lstm import GATES, LSTMWalk


class RowLSTMWalk(LSTMWalk):
    """The walk of a Row LSTM, `model`, for a batch of images given h, or given nothing."""

    def __init__(self, model: Any, h: Tensor | None, batch: int) -> None:
        super().__init__(model, h, batch)
        count, zeros = len(model.layers), self.maps.new_zeros
        self.reach = self.kernel.shape[1] // 2
        places = self.width + 2 * self.reach
        self.row_states = zeros(places, count, batch, self.features)
        """Of the row so far and of what stands outside at both ends; of the row above, before."""
        self.row_cells = zeros(self.width, count, batch, self.features)
        self.cells_above = torch.zeros_like(self.row_cells)
        self.handed = zeros(self.width, count, batch, GATES * self.features)
        self.restart()

    def restart(self) -> None:
        super().restart()
        self.row_states.copy_(self.outside_state)
        self.row_cells.copy_(self.outside_cell)

    def start_row(self, s: Tensor | None) -> None:
        # (W, L, B, h, n) to (L, W·B, n·h)
        patches = self.row_states.unfold(0, 2 * self.reach + 1, 1).permute(1, 0, 2, 4, 3)
        patches = patches.flatten(3).flatten(1, 2)
        handed = torch.baddbmm(self.left.bias, patches, self.from_states.flatten(1, 2))
        self.handed.copy_(handed.unflatten(1, (self.width, -1)).transpose(0, 1))
        self.condition.add_to(self.handed, s)
        self.cells_above.copy_(self.row_cells)
        self.left.start_row()

    def start_pixel(self) -> None:
        torch.index_select(self.handed, 0, self.column, out=self.collected)
        self.left.add_to(self.collected[0])
        torch.index_select(self.cells_above, 0, self.column, out=self.cell.unsqueeze(0))

    def end_pixel(self) -> None:
        super().end_pixel()
        self.row_states.index_copy_(0, self.column + self.reach, self.state.unsqueeze(0))
        self.row_cells.index_copy_(0, self.column, self.cell.unsqueeze(0))
