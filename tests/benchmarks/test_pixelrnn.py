"""The loops that PixelRNNs are timed against make the same states."""

import pytest
import torch

from benchmarks.pixelrnn import Recurrence, by_diagonals, by_pixels, by_rows
from repr_toolkit.decoders.recurrence import lstm


@pytest.mark.parametrize(
    ("loop", "diagonal", "outside"),
    [(by_rows, False, 1), (by_diagonals, True, 0), (by_pixels, True, 1)],
)
def test_a_loop_is_the_operator(loop: Recurrence, diagonal: bool, outside: int) -> None:
    torch.manual_seed(0)
    directions, taps, h = (2, 2, 3) if diagonal else (1, 3, 4)
    gates = torch.randn(2, directions * 4 * h, 4, 5, dtype=torch.float64)
    weight = torch.randn(directions * 4 * h, h, taps, dtype=torch.float64)
    state, cell = outside * torch.randn(2, directions, h, dtype=torch.float64)
    expected = lstm(gates, weight, state, cell, diagonal=diagonal)
    torch.testing.assert_close(loop(gates, weight, state, cell, diagonal=diagonal), expected)
