"""Encoders make h of the promised shape and dtype, and name what does not fit."""

import pytest
import torch

from repr_toolkit.encoders import ConvBottleneck, OneHot


@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 32, 32), (3, 5, 17), (1, 1, 1)])
def test_bottleneck_takes_any_size(image_shape: tuple[int, int, int]) -> None:
    encoder = ConvBottleneck(image_shape, 10)
    x = torch.randint(0, 256, (4, *image_shape), dtype=torch.uint8)
    h = encoder(x)
    assert h.shape == (4, 10)
    assert h.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder(x).dtype == torch.float32
    assert encoder.source == "image"


def test_bottleneck_sees_every_pixel() -> None:
    torch.manual_seed(0)
    encoder = ConvBottleneck((3, 9, 13), 64).double()
    x = torch.rand(1, 3, 9, 13, dtype=torch.float64, requires_grad=True)
    encoder.bottleneck(encoder.features(x)).abs().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()


def test_bottleneck_scales_levels() -> None:
    """The same picture at any number of levels gives the same h."""
    torch.manual_seed(0)
    fine = ConvBottleneck((1, 8, 8), 4, levels=256)
    coarse = ConvBottleneck((1, 8, 8), 4, levels=16)
    coarse.load_state_dict(fine.state_dict())
    x = torch.randint(0, 16, (2, 1, 8, 8), dtype=torch.uint8)
    torch.testing.assert_close(coarse(x), fine(x * 17))


def test_bottleneck_names_a_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"\(B, 1, 8, 8\) expected, not \(2, 1, 8, 9\)"):
        ConvBottleneck((1, 8, 8), 4)(torch.zeros(2, 1, 8, 9, dtype=torch.uint8))
    with pytest.raises(TypeError, match="uint8"):
        ConvBottleneck((1, 8, 8), 4)(torch.zeros(2, 1, 8, 8))
    with pytest.raises(ValueError, match="value 17, but this encoder's levels are 0…15"):
        ConvBottleneck((1, 8, 8), 4, levels=16)(torch.full((2, 1, 8, 8), 17, dtype=torch.uint8))
    with pytest.raises(ValueError, match="at least 1"):
        ConvBottleneck((1, 8, 8), 0)


def test_one_hot() -> None:
    encoder = OneHot(4)
    assert encoder.source == "label"
    assert encoder.h_dim == 4
    h = encoder(torch.tensor([0, 3, 1]))
    assert torch.equal(h, torch.eye(4)[[0, 3, 1]])
    with pytest.raises(ValueError, match="labels 0…4 do not fit num_classes=4"):
        encoder(torch.tensor([0, 4]))
    with pytest.raises(TypeError, match="int64"):
        encoder(torch.tensor([0.0]))


def test_one_hot_of_another_key() -> None:
    encoder = OneHot(3, source="quadrant")
    assert encoder.source == "quadrant"
    assert torch.equal(encoder(torch.tensor([2, 0])), torch.eye(3)[[2, 0]])
