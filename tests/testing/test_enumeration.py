"""Likelihoods and draws over all images of a tiny space: what lies is found out."""

from functools import partial
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from repr_toolkit.cli import main
from repr_toolkit.decoders import Decoder, Deconv, GatedPixelCNN
from repr_toolkit.testing import ContractError, Remark, check, check_encoder
from repr_toolkit.testing.enumeration import MOST_IMAGES, Shape, all_images, check_enumerated
from toys.autoregressive import ByColumns, Coupled, Dequantised, Striped
from toys.encoders import Thumbnail

SMALL: dict[str, Any] = {"features": 6, "layers": 2}


class Black(GatedPixelCNN):
    def sample(self, *arguments: Any, **options: Any) -> Tensor:
        return super().sample(*arguments, **options) * 0


class AlwaysWarm(GatedPixelCNN):
    """Knows no temperature."""

    def sample(self, *arguments: Any, temperature: float = 1.0, **options: Any) -> Tensor:
        return super().sample(*arguments, **options)


class Flattered(Deconv):
    def log_prob(self, *arguments: Any, **options: Any) -> Tensor:
        return 0.9 * super().log_prob(*arguments, **options)


class FlatteredGivenH(Deconv):
    """It lies of some h only."""

    def log_prob(self, x: Tensor, h: Tensor | None = None, **options: Any) -> Tensor:
        log_prob = super().log_prob(x, h, **options)
        return log_prob if h is None else log_prob * torch.where(h.flatten(1)[:, 0] > 0, 1, 0.9)


class NoBound(Dequantised):
    def log_prob(self, *arguments: Any, **options: Any) -> Tensor:
        return 0.2 * super().log_prob(*arguments, **options)


class Large(Deconv):
    check_shapes: ClassVar[tuple[Shape, ...]] = ((1, 5, 12),)

    def __init__(self, image_shape: Shape, *arguments: Any, **options: Any) -> None:
        if image_shape[1] < 5:
            raise ValueError("too small")
        super().__init__(image_shape, *arguments, **options)


def built(cls: type[Decoder], h_dim: int, arguments: Any, shape: Shape, levels: int) -> Decoder:
    decoder: Decoder = cls(image_shape=shape, h_dim=h_dim, levels=levels, **arguments)
    return decoder


@pytest.mark.parametrize("shape", [(1, 5, 12), (3, 5, 12)])
@pytest.mark.parametrize("h_dim", [0, 4])
@pytest.mark.parametrize(
    ("cls", "arguments"),
    [(GatedPixelCNN, SMALL), (Deconv, {"features": 4}), (Coupled, {}), (ByColumns, {})],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_true_holds(
    cls: type[Decoder], arguments: dict[str, Any], h_dim: int, shape: Shape
) -> None:
    space = "256 images of 2×2 in 4 levels" if shape[0] == 1 else "729 images of 1×2 in 3 levels"
    assert check_enumerated(partial(built, cls, h_dim, arguments), shape) == [
        f"the probabilities of all {space} sum to one",
        f"4,000 draws at T = 1 are of the likelihood of the {space}",
        f"4,000 draws at T = 0.6 are of the likelihood of the {space}",
    ]


@pytest.mark.parametrize(
    ("cls", "arguments", "h_dim", "sentence"),
    [
        (Black, SMALL, 0, "draws at T = 1 are of the likelihood"),
        (AlwaysWarm, SMALL, 4, "draws at T = 0.6 are of the likelihood"),
        (Flattered, {"features": 4}, 0, "sum to one; found 1.5"),
        (FlatteredGivenH, {"features": 4}, 4, "sum to one; found 1.4"),
        (NoBound, {}, 0, "sums to at most one"),
    ],
)
def test_what_lies_is_found_out(
    cls: type[Decoder], arguments: dict[str, Any], h_dim: int, sentence: str
) -> None:
    with pytest.raises(ContractError, match=sentence):
        check_enumerated(partial(built, cls, h_dim, arguments), (1, 5, 12))


def test_a_stochastic_bound_holds_beyond_chance() -> None:
    (sentence,) = check_enumerated(partial(built, Dequantised, 0, {}), (1, 5, 12))
    assert (
        sentence == "what the bound says of the 256 images of 2×2 in 4 levels sums to at most one"
    )


def test_what_takes_no_tiny_space_is_told() -> None:
    (sentence,) = check_enumerated(partial(built, Large, 0, {"features": 4}), (1, 5, 12))
    assert sentence == f"it takes no space of at most {MOST_IMAGES:,} images: no sum is checked"
    assert isinstance(sentence, Remark)


def test_only_what_was_checked_is_ticked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a sentence looks like."""
    said = ["grey: a sentence (that holds)", Remark("grey: pixel (4, 6) sees 21 of 54")]
    monkeypatch.setattr("repr_toolkit.testing.check", lambda *_, **__: said)
    assert main(["check", "repr_toolkit.decoders.Deconv"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"✓ {said[0]}", f"– {said[1]}"]
    passed = check(f"{Large.__module__}.Large", features=4)
    assert {type(s) for s in passed if "no sum" in s} == {Remark}


def test_all_images_are_different() -> None:
    images = all_images((3, 1, 2), 3)
    assert images.shape == (729, 3, 1, 2)
    assert len(torch.unique(images.flatten(1), dim=0)) == 729


def test_sentences_are_of_what_was_built(capsys: pytest.CaptureFixture[str]) -> None:
    name = f"{Striped.__module__}.Striped"
    assert {s.split(":")[0] for s in check(name, channels=1)} == {"grey, h_dim=0", "grey, h_dim=4"}
    sentences = check(name, image_shape=[3, 4, 4], h_dim=2)
    assert {s.split(":")[0] for s in sentences} == {"RGB, h_dim=2"}
    assert main(["check", name, "--channels", "2"]) == 1
    assert "states no check_shapes of 2 channels" in capsys.readouterr().err


class Detached(Thumbnail):
    """A weight that no gradient reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale.detach()


def test_an_encoder_that_cannot_learn_is_named() -> None:
    with pytest.raises(ContractError, match=r"requires a gradient gets one; found \['scale'\]"):
        check_encoder(Detached())
