"""The conformance check passes what keeps the contract and names what breaks it."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from repr_toolkit.decoders import AutoregressiveDecoder, Deconv, GatedPixelCNN
from repr_toolkit.encoders import ConvBottleneck, OneHot
from repr_toolkit.testing import ContractError, check, check_decoder, check_encoder

SMALL: dict[str, Any] = {"features": 6, "layers": 3}


def test_own_classes_pass() -> None:
    passed = check("repr_toolkit.decoders.GatedPixelCNN", **SMALL)
    assert sum("no blind spot" in sentence for sentence in passed) == 4
    assert sum("h reaches every sub-pixel" in sentence for sentence in passed) == 2
    assert check("repr_toolkit.decoders.Deconv")
    assert check("repr_toolkit.encoders.ConvBottleneck")
    assert check("repr_toolkit.encoders.OneHot")
    assert check_encoder(OneHot(10))
    assert check_encoder(ConvBottleneck((1, 7, 5), 4, levels=16))
    assert check_decoder(Deconv((3, 3, 3), h_dim=2, levels=4))


class OnePixelAhead(GatedPixelCNN):
    """Sees the image shifted by one column too little."""

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return super().params(x.roll(-1, dims=3), h)


class ClassicPixelCNN(AutoregressiveDecoder):
    """One stack of masked 3×3 convolutions: causal, with the well-known blind spot."""

    def __init__(self, image_shape: tuple[int, int, int], h_dim: int = 0, levels: int = 256):
        super().__init__(image_shape, h_dim, levels)
        widths = [1, 8, 8, levels]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        maps = x.to(self.convs[0].weight.dtype)
        for i, conv in enumerate(self.convs):
            mask = torch.ones(3, 3, dtype=maps.dtype)
            mask[1, 1 + (i > 0) :] = 0
            mask[2] = 0
            maps = nn.functional.conv2d(torch.tanh(maps), conv.weight * mask, conv.bias, padding=1)
        return maps.permute(0, 2, 3, 1)[:, None]


class DeafToH(GatedPixelCNN):
    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        assert h is not None
        return super().params(x, h * (torch.arange(len(h))[:, None] < 0))


class Careless(GatedPixelCNN):
    def log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return super().log_prob(x.to(torch.uint8), h)


class BatchMean(nn.Module):
    """h of an image depends on its batch."""

    source = "image"
    h_dim = 3

    def forward(self, x: Tensor) -> Tensor:
        h = x.float().mean((2, 3))
        return h - h.mean(0)


def test_a_leak_is_named() -> None:
    with pytest.raises(ContractError, match="no sub-pixel depends on itself or a later one"):
        check_decoder(OnePixelAhead((1, 4, 4), levels=3, **SMALL))


def test_a_blind_spot_is_named() -> None:
    with pytest.raises(ContractError, match=r"it has no blind spot.*does not see"):
        check_decoder(ClassicPixelCNN((1, 6, 6), levels=3))


def test_an_h_that_reaches_nothing_is_named() -> None:
    with pytest.raises(ContractError, match="h reaches every sub-pixel"):
        check_decoder(DeafToH((1, 4, 4), 2, levels=3, **SMALL))


def test_unchecked_floats_are_named() -> None:
    with pytest.raises(ContractError, match="log_prob refuses floats"):
        check_decoder(Careless((1, 4, 4), levels=3, **SMALL))


def test_a_faulty_encoder_is_named() -> None:
    with pytest.raises(ContractError, match="does not depend on the others of its batch"):
        check_encoder(BatchMean())
    with pytest.raises(ContractError, match="source: str"):
        check_encoder(nn.Linear(2, 2))


def test_a_class_that_cannot_be_built_is_named() -> None:
    with pytest.raises(ValueError, match=r"GatedPixelCNN cannot be built.*features"):
        check("repr_toolkit.decoders.GatedPixelCNN")


def test_checking_leaves_the_decoder_as_it_was() -> None:
    model = GatedPixelCNN((1, 4, 4), levels=3, **SMALL)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check_decoder(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.head_hidden.weight.dtype == torch.float32
    assert model.training
