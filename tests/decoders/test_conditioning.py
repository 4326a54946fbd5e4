"""h reaches every position, by every kind of conditioning, as a vector and as a map."""

from typing import Any

import pytest
import torch
from cases import gated
from torch import Tensor

from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.decoders.conditioning import MapConditioning, conditioning_of
from repr_toolkit.testing.autoregression import jacobians

SIZE = (4, 6)


def reached(model: GatedPixelCNN, h: Tensor) -> Tensor:
    """Whether h's values reach the parameters: bool (C, H, W, h_dim)."""
    x = torch.zeros(model.image_shape, dtype=torch.uint8)
    _, by_h = jacobians(model, x, h, 0)
    assert by_h is not None
    return (by_h != 0).view(*model.image_shape, -1)


@pytest.mark.parametrize("conditioning", ["vector", "positional", "cells", "spatial"])
@pytest.mark.parametrize("h", [{"h_dim": 4}, {"h_shape": (4, 1, 1)}])
@pytest.mark.parametrize("channels", [1, 3])
def test_h_reaches_every_position(channels: int, h: dict[str, Any], conditioning: str) -> None:
    torch.manual_seed(0)
    model = gated((channels, *SIZE), layers=1, map_features=12, conditioning=conditioning).build(
        features=18, **h
    )
    values = torch.randn(model.h_shape, dtype=torch.float64)
    assert reached(model, values).any(-1).all()


@pytest.mark.parametrize("conditioning", ["vector", "positional", "cells"])
def test_a_map_says_what_stands_where(conditioning: str) -> None:
    """Each quarter of an h of 2×2 reaches its own quarter of the image, and no pixel before it."""
    torch.manual_seed(0)
    model = gated((1, *SIZE), kernel_size=1, layers=2, conditioning=conditioning).build(
        h_shape=(1, 2, 2)
    )
    # With kernels of 1×1 the only way between positions is down a column.
    where = reached(model, torch.randn(1, 2, 2, dtype=torch.float64))[0]
    for quarter, (top, left) in enumerate([(0, 0), (0, 3), (2, 0), (2, 3)]):
        assert where[top : top + 2, left : left + 3, quarter].all()
        assert not where[:top, :, quarter].any()
        assert not where[:, : left or 0, quarter].any()
        assert not where[:, left + 3 :, quarter].any()


def test_a_cell_says_the_same_everywhere_and_its_positions_are_told_apart() -> None:
    """One value of h's own map a cell of 4×4, the last cut off, and one of 16 places a position."""
    s = conditioning_of("cells", (2,), (6, 5), 3)
    assert s is not None
    assert s.channels == 3 + 16
    maps = s(torch.randn(2, 2))
    assert maps.shape == (2, s.channels, 6, 5)
    cells, place = maps.split([3, 16], dim=1)
    for top, left in [(0, 0), (0, 4), (4, 0), (4, 4)]:
        cell = cells[:, :, top : top + 4, left : left + 4]
        assert torch.equal(cell, cell[:, :, :1, :1].expand_as(cell))
    assert len(cells[0, 0, ::4, ::4].unique()) == 4
    assert torch.equal(place[0], place[1])
    assert torch.equal(place.sum(1), torch.ones(2, 6, 5))
    assert torch.equal(place[0, :, 4:], place[0, :, :2])
    assert torch.equal(place[0, :, :4, :4].argmax(0), torch.arange(16).view(4, 4))


def test_resizing_takes_the_cell_that_a_position_lies_in() -> None:
    h = torch.arange(8.0).view(1, 2, 2, 2)
    resize = MapConditioning((2, 2, 2), (4, 6))
    assert torch.equal(resize(h), h.repeat_interleave(2, 2).repeat_interleave(3, 3))
    assert torch.equal(resize(h.flatten(1)), resize(h))
    smaller = MapConditioning((1, 4, 4), (2, 2))
    assert smaller(torch.arange(16.0).view(1, 1, 4, 4)).shape == (1, 1, 2, 2)


def test_h_is_taken_flattened_too() -> None:
    model = gated((3, 4, 4), h_shape=(2, 2, 3)).build()
    assert model.h_dim == 12
    h = torch.randn(2, 2, 2, 3, dtype=torch.float64)
    x = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    assert torch.equal(model.log_prob(x, h), model.log_prob(x, h.flatten(1)))
    u = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    assert torch.equal(model.sample(h, noise=u), model.sample(h.flatten(1), noise=u))
    with pytest.raises(ValueError, match=r"\(2, 2, 2, 3\) expected, not \(2, 2, 3, 2\)"):
        model.log_prob(x, h.mT)


def test_what_cannot_condition_is_named() -> None:
    with pytest.raises(ValueError, match="vector or a map"):
        conditioning_of("vector", (2, 3), (4, 4), 1)
    with pytest.raises(ValueError, match="not 'both'"):
        conditioning_of("both", (2,), (4, 4), 1)
    with pytest.raises(ValueError, match="has not the 5 values of h_dim"):
        GatedPixelCNN((1, 4, 4), 5, h_shape=(1, 2, 2), features=4, layers=1)
    assert conditioning_of("vector", (0,), (4, 4), 1) is None
