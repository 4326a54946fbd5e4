"""Class paths and arguments become modules; whatever does not fit is refused by name."""

from copy import deepcopy
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from repr_toolkit.config.build import build, build_metric
from repr_toolkit.encoders import ConvBottleneck
from repr_toolkit.models.autoencoder import EncoderDecoder
from toys.decoders import PIXELCNN
from toys.encoders import CONV, ONE_HOT, TRIPLET, WIDE_CONV
from toys.runs import small, small_metric

DATA = SimpleNamespace(image_shape=(1, 8, 8), levels=17)


VARIANTS: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    (decoder, encoder)
    for decoder in (
        {"class_path": "repr_toolkit.decoders.Deconv", "init_args": {"features": 4}},
        *(
            {**PIXELCNN, "init_args": {**PIXELCNN["init_args"], "conditioning": kind}}
            for kind in ("vector", "positional", "cells", "spatial")
        ),
    )
    for encoder in (CONV, WIDE_CONV, ONE_HOT, None)
]


@pytest.mark.parametrize(("decoder", "encoder"), VARIANTS)
def test_a_decoder_starts_alike_whatever_its_encoder(
    decoder: dict[str, Any], encoder: dict[str, Any] | None
) -> None:
    def start(encoder: dict[str, Any] | None, seed: int = 0) -> dict[str, Tensor]:
        torch.rand(seed + 3)  # what was drawn before makes no difference
        config = small(model__encoder=encoder, model__decoder=decoder, seed=seed)
        return dict(build(config, DATA).decoder.named_parameters())

    one, other, again = start(CONV), start(encoder), start(CONV, seed=1)
    reads_h = {
        name for name in one if "project.0." in name or ".coarse." in name
    }  # its bias by a spread that m decides
    alike = {n for n in one if n in other and one[n].shape == other[n].shape} - reads_h
    if encoder is None:
        reads_h |= {name for name in one if name.startswith("conditioning.")}
    assert one.keys() - alike - reads_h <= {f"layers.{i}.condition.weight" for i in range(2)}
    for name in alike:
        assert torch.equal(one[name], other[name]), name
    assert all(not torch.equal(one[name], again[name]) for name in one)


def test_the_parts_of_a_model_draw_numbers_of_their_own() -> None:
    """The encoder's are those of the run's seed; torch's own generator is not moved on."""
    torch.manual_seed(1)
    encoder = build(small(model__encoder=CONV, seed=5), DATA).encoder
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(1)))
    torch.manual_seed(5)
    same = ConvBottleneck(DATA.image_shape, **CONV["init_args"]).state_dict()
    state = cast(torch.nn.Module, encoder).state_dict()
    assert all(torch.equal(state[name], same[name]) for name in same)


def test_a_metric_loss_starts_alike_whatever_the_encoder() -> None:
    path = "pytorch_metric_learning.losses.ArcFaceLoss"
    loss = {"class_path": path, "init_args": {"num_classes": 10}}
    narrow, wide = (
        {**TRIPLET, "init_args": {**TRIPLET["init_args"], "features": features}}
        for features in (8, 16)
    )
    one, other, again = (
        build_metric(
            small_metric(model__encoder=encoder, model__metric={"loss": loss}, seed=seed), DATA
        ).loss.W
        for encoder, seed in ((narrow, 0), (wide, 0), (wide, 1))
    )
    assert torch.equal(one, other)
    assert not torch.equal(one, again)


def test_shape_levels_and_h_dim_are_resolved_and_rebuild_without_data() -> None:
    config = small()
    before = deepcopy(config)
    encoder, decoder, resolved = build(config, DATA)
    assert config == before
    assert encoder is not None
    assert (decoder.image_shape, decoder.levels, decoder.h_dim) == ((1, 8, 8), 17, 3)
    arguments = resolved["model"]["decoder"]["init_args"]
    assert (arguments["image_shape"], arguments["levels"]) == ([1, 8, 8], 17)
    assert arguments["h_dim"] == 3
    # ChannelMean's signature asks for neither, so it gets neither; its default stands there.
    assert resolved["model"]["encoder"]["init_args"] == {"h_dim": 3, "channels": 1}
    again = build(resolved)
    assert again.config == resolved
    assert again.decoder.state_dict().keys() == decoder.state_dict().keys()


def test_without_an_encoder_the_decoder_is_unconditional() -> None:
    encoder, decoder, resolved = build(small(model__encoder=None), DATA)
    assert encoder is None
    assert decoder.h_dim == 0
    assert resolved["model"]["decoder"]["init_args"]["h_dim"] == 0


def test_the_toolkits_own_classes() -> None:
    encoder = {"class_path": "repr_toolkit.encoders.ConvBottleneck", "init_args": {"h_dim": 5}}
    decoder = {
        "class_path": "repr_toolkit.decoders.GatedPixelCNN",
        "init_args": {"features": "8", "layers": 2},  # texts are read as the type asked for
    }
    built = build(small(model__encoder=encoder, model__decoder=decoder), DATA)
    assert built.config["model"]["encoder"]["init_args"]["levels"] == 17
    assert built.decoder.h_dim == 5


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        (
            {"decoder__init_args__h_dim": 4},
            ValueError,
            r"decoder.*h_dim is 4, but the encoder's h_",
        ),
        (
            {"decoder__init_args__levels": 4},
            ValueError,
            r"levels is 4, but the data's levels is 17",
        ),
        (
            {"decoder__init_args__image_shape": [1, 8, 9]},
            ValueError,
            r"image_shape is \[1, 8, 9\], but the data's image_shape is \[1, 8, 8\]",
        ),
        (
            {"decoder__init_args__droput": 0.1},
            ValueError,
            r"model\.decoder\.init_args\.droput: .*did you mean dropout",
        ),
        ({"decoder__init_args__xyz": 1}, ValueError, r"init_args\.xyz: .*it takes .*dropout"),
        ({"decoder__init_args": {1: 2}}, ValueError, r"decoder\.init_args\.1: .*it takes"),
        ({"decoder__init_args__dropout": "much"}, ValueError, r"model\.decoder.*dropout.*much"),
        ({"encoder__init_args": {}}, ValueError, r"model\.encoder.*h_dim"),
        ({"encoder__class_path": "toys.encoders.ChanelMean"}, ImportError, "mean ChannelMean"),
        ({"encoder__class_path": "no_such_module.X"}, ImportError, "no_such_module"),
        (
            {"encoder__class_path": "X"},
            ImportError,
            "not an import path of the form package.module.name",
        ),
        ({"encoder__class_path": "toys.encoders.NotAModule"}, TypeError, "subclass of Module"),
        ({"encoder__class_path": "toys.decoders.NoShape"}, ValueError, "NoShape.h_dim is None"),
        (
            {"decoder": {"class_path": "toys.decoders.NoShape"}},
            ValueError,
            "NoShape is no Decoder; inherit",
        ),
    ],
)
def test_models_that_cannot_be(
    settings: dict[str, Any], kind: type[Exception], message: str
) -> None:
    config = small(**{f"model__{key}": value for key, value in settings.items()})
    with pytest.raises(kind, match=message):
        build(config, DATA)


def test_a_configuration_without_shape_needs_data() -> None:
    with pytest.raises(ValueError, match="image_shape"):
        build(small())


def test_a_null_argument_is_stated_too() -> None:
    """Where a default is not null, leaving null out would rebuild another model."""
    config = small(
        model__decoder={
            "class_path": "repr_toolkit.decoders.GatedPixelCNN",
            "init_args": {"features": 4, "layers": 1, "head_features": None},
        }
    )
    resolved = build(config, DATA).config
    assert resolved["model"]["decoder"]["init_args"]["head_features"] is None


@pytest.mark.parametrize("conditioning", ["vector", "positional", "cells", "spatial"])
def test_a_map_shaped_h_comes_from_the_encoder(conditioning: str) -> None:
    config = small(
        model__encoder={"class_path": "toys.encoders.Thumbnail"},
        model__decoder={
            "class_path": "repr_toolkit.decoders.GatedPixelCNN",
            "init_args": {"features": 4, "layers": 1, "conditioning": conditioning},
        },
    )
    encoder, decoder, resolved = build(config, DATA)
    assert decoder.h_shape == (1, 2, 2)
    assert resolved["model"]["decoder"]["init_args"]["h_shape"] == [1, 2, 2]
    model = EncoderDecoder(encoder, decoder)
    batch = {"image": torch.zeros(3, *DATA.image_shape, dtype=torch.uint8)}
    h = model.encode(batch)
    assert h is not None
    assert h.shape == (3, 4)
    assert torch.equal(model.log_prob(batch, h), model.log_prob(batch, h.view(3, 1, 2, 2)))
    again = build(resolved, DATA)
    assert again.decoder.h_shape == (1, 2, 2)
