"""Class paths and arguments become modules; whatever does not fit is refused by name."""

from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from repr_toolkit.config.build import build
from repr_toolkit.models.autoencoder import EncoderDecoder
from toys.runs import small

DATA = SimpleNamespace(image_shape=(1, 8, 8), levels=17)


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


@pytest.mark.parametrize("conditioning", ["vector", "positional", "spatial"])
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
