"""What the walks of Row LSTM and Diagonal BiLSTM share: an LSTM's group of the current pixel.

The gates o, f, i, g of h features are ordered group by group here (`gate_order`), so that σ is
taken of the first three quarters of a group's part, and tanh of the last.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from repr_toolkit.decoders.walks.pixel_network import Condition, Left, PixelNetworkWalk
from repr_toolkit.decoders.walks.weights import bias_parts, group_parts

GATES = 4


class LSTMWalk(PixelNetworkWalk):
    """The walk of a network of `LSTMLayer`s; a subclass makes what comes from above and before.

    At each pixel it puts what the gates take from there into `collected` (1, L, B, 4·h), the cell
    before into `cell` and, if it `adds` to the states, that into `added` (L, B, h).
    """

    adds: ClassVar[bool] = False

    def __init__(self, model: Any, h: Tensor | None, batch: int) -> None:
        super().__init__(model, h, batch)
        layers, groups = list(model.layers), model.groups
        first, zeros = layers[0], self.maps.new_zeros
        self.features = features = first.features
        count = len(layers)
        gates = slice(GATES * features)
        self.left = Left([layer.input_to_state for layer in layers], batch, groups, GATES, gates)
        self.condition = Condition([layer.condition for layer in layers], self.left.order)
        kernel = torch.stack([layer.state_to_state.weight[:, :, 0] for layer in layers])
        self.kernel = kernel.permute(0, 3, 2, 1)  # (L, n, h, D·4·h)
        self.from_states = self.kernel[..., self.left.order]
        """(L, n, h, 4·h), of the first direction, in the order of the gates here."""
        self.outside_state, self.outside_cell = (
            torch.stack([getattr(layer, name).view(-1, features) for layer in layers])  # (L, D, h)
            for name in ("outside_state", "outside_cell")
        )
        self.collected = zeros(1, count, batch, GATES * features)
        self.cell, self.state, self.added, self.sums = zeros(4, count, batch, features)
        if not self.adds:
            self.sums = self.state
        self.skips = zeros(batch, self.maps.shape[2])
        self.steps = [self._steps(layers, g, groups) for g in range(groups)]
        last = self.maps[-1] if first.skip is None else self.skips
        self.outputs = [last[:, part] for part in self.parts]

    def _steps(self, layers: list[Any], g: int, groups: int) -> list[tuple[Any, ...]]:
        """Of each layer, the views and matrices of a group; views are made once."""
        q = self.features // groups
        part, part_maps = slice(q * g, q * (g + 1)), self.parts[g]
        seen, seen_maps = slice(part.stop), slice(part_maps.stop)
        steps = []
        for i, layer in enumerate(layers):
            collected = self.collected[0, i, :, GATES * part.start : GATES * part.stop]
            into_gates = (collected, self.maps[i, :, seen_maps], self.left.centres[i][g])
            inside = [t[i, :, part] for t in (self.cell, self.state, self.added, self.sums)]
            up, skip = (
                conv and (bias_parts(conv, groups)[g], group_parts(conv, groups)[g])
                for conv in (layer.up, layer.skip)
            )
            maps = self.maps[i, :, part_maps] if layer.residual else None
            after = (self.sums[i, :, seen], up, maps, self.maps[i + 1, :, part_maps])
            steps.append((into_gates, inside, after, skip))
        return steps

    def output(self, group: int) -> Tensor:
        skips = self.skips[:, self.parts[group]].zero_()
        for into_gates, (cell, state, added, sums), (seen, up, maps, after), skip in self.steps[
            group
        ]:
            gates = torch.addmm(*into_gates)
            update(gates, cell, state)
            if self.adds:
                torch.add(state, added, out=sums)
            if skip is not None:
                bias, weight = skip
                skips += torch.addmm(bias, seen, weight)
            if up is not None:
                bias, weight = up
                torch.addmm(bias, seen, weight, out=after)
                if maps is not None:
                    after += maps
        output: Tensor = self.outputs[group]
        return output

    def end_pixel(self) -> None:
        self.left.here.copy_(self.maps[:-1])
        self.left.end_pixel()


def update(gates: Tensor, cell: Tensor, state: Tensor) -> None:
    """An LSTM's step, in place, from o, f, i, g (…, 4·q) before their nonlinearities."""
    q = cell.shape[-1]
    o, f, i = gates[..., : 3 * q].sigmoid_().chunk(3, dim=-1)
    cell.mul_(f).addcmul_(i, gates[..., 3 * q :].tanh_())
    torch.tanh(cell, out=state).mul_(o)
