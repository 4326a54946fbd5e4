"""The conformance check passes what keeps the contract and names what breaks it."""

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from repr_toolkit.decoders import AutoregressiveDecoder, Decoder, Deconv, GatedPixelCNN
from repr_toolkit.decoders.engines.draw import Engine
from repr_toolkit.decoders.masked import RowLeft
from repr_toolkit.encoders import ConvBottleneck, OneHot
from repr_toolkit.testing import ContractError, check, check_decoder, check_encoder
from toys.autoregressive import Centred, Coupled, Dequantised, Masked
from toys.encoders import Thumbnail

SMALL: dict[str, Any] = {"features": 6, "layers": 3}


def test_own_classes_pass() -> None:
    passed = check("repr_toolkit.decoders.GatedPixelCNN", **SMALL)
    assert sum("no blind spot" in sentence for sentence in passed) == 5
    assert sum("h reaches every sub-pixel" in sentence for sentence in passed) == 3
    assert any(sentence.startswith("grey, h a map: ") for sentence in passed)
    assert check("repr_toolkit.decoders.Deconv")
    assert check("repr_toolkit.encoders.ConvBottleneck")
    assert check("repr_toolkit.encoders.OneHot")
    assert check_encoder(OneHot(10))
    assert any("(B, *h_shape)" in sentence for sentence in check_encoder(Thumbnail()))
    assert check_encoder(ConvBottleneck((1, 7, 5), 4, levels=16))
    assert check_decoder(Deconv((3, 3, 3), h_dim=2, levels=4))


class OnePixelAhead(GatedPixelCNN):
    """Sees the image shifted by one column too little."""

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return super().params(x.roll(-1, dims=3), h)


class DeafToH(GatedPixelCNN):
    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        assert h is not None
        return super().params(x, h * (torch.arange(len(h))[:, None] < 0))


class Careless(GatedPixelCNN):
    def log_prob(
        self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None
    ) -> Tensor:
        return super().log_prob(x.to(torch.uint8), h, noise=noise)


class DeafToNoise(GatedPixelCNN):
    def _likelihood_noise(self, x: Tensor, noise: Tensor | None) -> Tensor | None:
        return None


class Halved(GatedPixelCNN):
    """Half of every log-probability: those of all images sum to far more than one."""

    def subpixel_log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return 0.5 * super().subpixel_log_prob(x, h)


class HalfAGaussian(Deconv):
    def subpixel_log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return 0.5 * super().subpixel_log_prob(x, h)


class SamplesBlack(GatedPixelCNN):
    """A likelihood, and samples that are not of it."""

    engines: ClassVar[Mapping[str, Engine]] = {
        "direct": Engine(lambda model, draw: draw.keep(torch.zeros_like(draw.noise).byte()))
    }


class BlindGreen(GatedPixelCNN):
    """Its G and B see nothing of their own pixel: mask A at every layer of the centre."""

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        for layer in self.gated_layers():
            mask = layer.horizontal.mask
            if layer.first and mask is not None:
                mask[:, :, 0, -1] = 0
        return super().params(x, h)


class BlindToBlue(GatedPixelCNN):
    """Its G sees B of pixels to the left, of none above; R and B see it everywhere."""

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        params = super().params(x, h)
        rows = []
        for row in range(x.shape[2]):
            seen = x.clone()
            seen[:, 2, :row] = 0
            rows.append(super().params(seen, h)[:, 1, row])
        return torch.stack([params[:, 0], torch.stack(rows, 1), params[:, 2]], 1).contiguous()


class OfTheBatch(Deconv):
    """The likelihood of an image depends on the others of its batch."""

    def subpixel_log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return super().subpixel_log_prob(x, h) * (1 + 0.1 * x.double().mean() / self.levels)


class Summed(Deconv):
    """The loss is a sum over the images."""

    def loss(self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None) -> Tensor:
        return super().loss(x, h, noise=noise) * len(x)


class NoNoise(GatedPixelCNN):
    def log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return super().log_prob(x, h)


class OtherNoise(Dequantised):
    """Draws its likelihood's noise anew, whatever noise it is given."""

    def log_prob(
        self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None
    ) -> Tensor:
        return super().log_prob(x, h)


class PreparedByChance(Centred):
    def prepare(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        self.centre.copy_(torch.randn(self.image_shape))


class Forgetful(Centred):
    """Keeps what it prepares where it is not saved."""

    shift = 0.0

    def prepare(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        self.shift = float(torch.cat([x for x, _ in batches]).double().mean())

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return super().params(x, h) * (1 + self.shift)


class Unprepared(Centred):
    def prepare(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        pass


class RowsAlone(AutoregressiveDecoder):
    """Sees the pixels left of it, and no row above."""

    def __init__(self, image_shape: Any, h_dim: int = 0, levels: int = 256) -> None:
        super().__init__(image_shape, h_dim, levels)
        grey = torch.zeros(1, dtype=torch.int64)
        self.row = RowLeft(grey, torch.zeros(levels, dtype=torch.int64), 7, mask_type="A")

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self.row(x.to(self.row.weight)).unsqueeze(1).movedim(2, -1).contiguous()


class RowPlanes(AutoregressiveDecoder):
    """Of a row R, then G, then B: linear in all that came before."""

    def __init__(self, image_shape: Any, h_dim: int = 0, levels: int = 256) -> None:
        places = torch.arange(prod(image_shape)).view(image_shape)
        super().__init__(image_shape, h_dim, levels, order=places.transpose(0, 1).flatten())
        size = len(self.order)
        self.weight = nn.Parameter(torch.randn(levels, size, size, generator=torch.manual_seed(0)))
        place = self.order.argsort()
        self.register_buffer("earlier", (place < place[:, None]).float(), persistent=False)

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        flat = x.flatten(1).to(self.weight)
        logits = torch.einsum("kde,be->bdk", self.weight * self.earlier, flat)
        return logits.view(*x.shape, self.levels)


class TurnedPixels(Coupled):
    """Its order has B before R, although its likelihood draws R first."""

    def __init__(self, image_shape: Any, h_dim: int = 0, levels: int = 256) -> None:
        super().__init__(image_shape, h_dim, levels)
        self.order = self.order.view(-1, 3).flip(1).flatten()


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


@pytest.mark.parametrize(
    "name", ["ByColumns", "Coupled", "Striped", "MaskedAndKnown", "Dequantised", "Centred"]
)
def test_what_the_contract_allows_passes(name: str) -> None:
    arguments = {"levels": 3} if name == "Coupled" else {}
    passed = check(f"toys.autoregressive.{name}", **arguments)
    if name == "MaskedAndKnown":
        field = "pixel (4, 6) sees 21 of 54 earlier pixels"  # 7 + 6 + 5 above it, 3 to its left
        assert [s for s in passed if "sees" in s] == [f"grey, h_dim={d}: {field}" for d in (0, 4)]
    if name == "Dequantised":
        assert any("what it cannot complete it refuses" in sentence for sentence in passed)
    assert any("saved with the weights" in sentence for sentence in passed) == (name == "Centred")


def test_an_order_may_hold_a_pixels_channels_apart() -> None:
    assert "it has no blind spot" in check_decoder(RowPlanes((3, 4, 4), levels=3))


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Masked((1, 5, 12), levels=3), r"it has no blind spot.*does not see"),
        (BlindGreen((3, 4, 4), levels=3, **SMALL), "G does not see R of its own pixel"),
        (
            BlindToBlue((3, 4, 4), levels=3, **SMALL),
            r"no blind spot.*channel 1 does not see channel 2 at rows -1, columns \+0",
        ),
        (Halved((1, 4, 4), levels=3, **SMALL), "subpixel_log_prob is the likelihood given params"),
        (HalfAGaussian((1, 4, 4), levels=3, features=4), "levels sum to one"),
        (SamplesBlack((1, 4, 4), levels=3, **SMALL), "the smallest whose CDF exceeds the noise"),
        (OfTheBatch((1, 4, 4), levels=3, features=4), "does not depend on the others of its batch"),
        (Summed((1, 4, 4), levels=3, features=4), "loss is a mean over images"),
        (DeafToNoise((1, 4, 4), levels=3, **SMALL), "a likelihood without noise refuses some"),
        (NoNoise((1, 4, 4), levels=3, **SMALL), r"\*, noise=None\) takes noise by its name"),
        (OtherNoise((1, 4, 4), levels=3), "does not depend on the others|the same noise"),
        (PreparedByChance((1, 4, 4), levels=3), "prepare draws no random number"),
        (Forgetful((1, 4, 4), levels=3), "what prepare makes is saved"),
        (Unprepared((1, 4, 4), levels=3), "prepare changes what is saved"),
        (RowsAlone((1, 4, 4), levels=3), r"it has no blind spot.*\(1, 0\) does not see \(0, 0\)"),
        (TurnedPixels((3, 4, 4), levels=3), "coupled channels stand in turn, R first"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_breaks_the_contract_is_named(model: Decoder, sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        check_decoder(model)


def test_an_error_of_the_model_is_not_called_one_of_building() -> None:
    with pytest.raises(TypeError, match="a mistake of mine"):
        check("toys.decoders.Mistaken")


def test_an_encoder_is_left_as_it_was() -> None:
    encoder = ConvBottleneck((1, 8, 8), 2, features=2).train()
    check_encoder(encoder)
    assert encoder.training


def test_a_blind_spot_needs_an_image_wider_than_the_kernel() -> None:
    assert check_decoder(Masked((1, 4, 2), levels=3))


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
    with pytest.raises(ValueError, match=r"GatedPixelCNN.init_args.*required: features"):
        check("repr_toolkit.decoders.GatedPixelCNN")


def test_checking_leaves_the_decoder_as_it_was() -> None:
    model = GatedPixelCNN((1, 4, 4), levels=3, **SMALL)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check_decoder(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.head_hidden.weight.dtype == torch.float32
    assert model.training
