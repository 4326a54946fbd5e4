"""In how many directions h varies."""

import pytest
import torch

from repr_toolkit.models.encode import effective_dimension


def test_the_effective_dimension_counts_directions_that_vary_alike() -> None:
    draw = torch.Generator().manual_seed(0)
    alike = torch.randn(20_000, 8, generator=draw) + 5
    assert effective_dimension(alike) == pytest.approx(8, rel=0.01)
    line = torch.arange(9.0)[:, None] * torch.tensor([1.0, -2.0, 3.0])
    assert effective_dimension(line) == pytest.approx(1)
    scaled = alike * torch.tensor([3.0, 1, 0, 0, 0, 0, 0, 0])
    assert effective_dimension(scaled) == pytest.approx(10**2 / 82, rel=0.02)
    wide = torch.randn(5, 40, generator=draw)
    values = torch.linalg.eigvalsh(torch.cov(wide.T.double()))
    assert effective_dimension(wide) == pytest.approx(values.sum() ** 2 / values.square().sum())
    assert effective_dimension(torch.ones(4, 3)) == 0
    assert effective_dimension(wide[:, :, None]) == pytest.approx(effective_dimension(wide))
