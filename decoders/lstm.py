"""The LSTM layer of the PixelRNNs (1601.06759 §3.1, §3.2, Eq. 3), over rows or over diagonals."""

import torch
from torch import Tensor, nn

from repr_toolkit.decoders.conditioning import condition_layer, conditioned
from repr_toolkit.decoders.masked import RowLeft
from repr_toolkit.decoders.matrices import parts, state_matrices
from repr_toolkit.decoders.pixel_network import Block
from repr_toolkit.decoders.recurrence import lstm


class LSTMLayer(nn.Module):
    """From maps (B, 2·h, H, W) by an LSTM of h features back to 2·h, and added to them.

        [o, f, i, g] = [σ, σ, σ, tanh](K_ss ∗ h_before + K_is ∗ maps + V·s)
        c = f ⊙ c_before + i ⊙ g,   h = o ⊙ tanh(c)

    `groups` and `maps_groups` are the channel groups of the h and the 2·h features. State-to-state,
    K_ss, is unmasked, as it sees earlier pixels only. What is at the current pixel passes from
    group to group through masks B alone: in input-to-state, each gate by itself, in the 1×1
    convolution up and in that to the head; the cell is elementwise. States outside the image are
    learned, one a feature.

    Over rows K_is sees ⌈n/2⌉ pixels of the row up to the current one, and K_ss n of the row above.
    Over diagonals K_is is 1×1, and K_ss sees the pixels above and before, in two directions; the
    states of the one from the right are shifted down by a row, so that they see nothing later, and
    added to the others.
    """

    def __init__(
        self,
        maps_groups: Tensor,
        groups: Tensor,
        *,
        kernel_size: int,
        diagonal: bool,
        map_channels: int,
        residual: bool,
        up: bool,
        skip: bool,
    ) -> None:
        super().__init__()
        directions, taps = (2, 2) if diagonal else (1, kernel_size)
        gates, h = 4 * directions, len(groups)
        self.features, self.diagonal, self.residual = h, diagonal, residual
        self.input_to_state = RowLeft(maps_groups, groups.repeat(gates), kernel_size, halves=gates)
        self.condition = condition_layer(map_channels, gates * h, gates)
        self.state_to_state = nn.Conv2d(
            directions * h, gates * h, (1, taps), groups=directions, bias=False
        )
        state_matrices(self.state_to_state.weight, parts(gates * h, gates))
        self.outside_state = nn.Parameter(torch.zeros(directions * h))
        self.outside_cell = nn.Parameter(torch.zeros(directions * h))
        self.first_row = nn.Parameter(torch.zeros(h)) if diagonal else None
        """What the direction from the right, shifted, gives to the first row."""
        self.up = RowLeft(groups, maps_groups) if up else None
        self.skip = RowLeft(groups, maps_groups) if skip else None

    def forward(self, maps: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The next maps, and those for the head if there is a connection to it."""
        gates = conditioned(self.input_to_state(maps), self.condition, s)
        kernel = self.state_to_state.weight.squeeze(2)
        state, cell = (t.view(-1, self.features) for t in (self.outside_state, self.outside_cell))
        states = lstm(gates, kernel, state, cell, diagonal=self.diagonal)  # (D, H, W, B, h)
        state = states[0]
        if self.first_row is not None:
            first = self.first_row.expand(1, *states.shape[2:])
            state = state + torch.cat([first, states[1, :-1]])
        state = state.permute(2, 3, 0, 1)  # (B, h, H, W)
        skip = None if self.skip is None else self.skip(state)
        if self.up is None:
            return maps, skip
        return maps + self.up(state) if self.residual else self.up(state), skip


def lstm_block(kernel_size: int, *, diagonal: bool, residual: bool, skip: bool) -> Block:
    """What makes each `LSTMLayer` of a network; with `skip` the last has no maps but the head's."""

    def block(maps: Tensor, groups: Tensor, map_channels: int, last: bool) -> nn.Module:
        return LSTMLayer(
            maps,
            groups,
            kernel_size=kernel_size,
            diagonal=diagonal,
            map_channels=map_channels,
            residual=residual,
            up=not (skip and last),
            skip=skip,
        )

    return block
