"""Any layer of any network as h: exactly what it gives, of images brought to what it wants."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from repr_toolkit.config.build import build
from repr_toolkit.config.recipe import complete
from repr_toolkit.encoders import ConvBottleneck, LayerActivations
from repr_toolkit.encoders.networks import build_network, inputs_of
from repr_toolkit.testing import check_encoder

SMALL = "torchvision.models.squeezenet1_1"  # 5 MB, and takes images of 32 pixels


class Net(nn.Module):
    """Maps, a norm and a rectifier in place, tokens, and a vector."""

    def __init__(self, channels: int = 3, width: int = 4, last: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.last = ToLast()
        self.tokens = Tokens()
        self.unused = nn.Identity()
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.relu(self.drop(self.norm(self.conv(x))))
        self.last(maps)
        tokens, _ = self.tokens(self.relu(maps - 0.1))
        vector: Tensor = self.head(tokens.mean(1))
        return vector


class ToLast(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class Tokens(nn.Module):
    """Gives a tuple, as attention does."""

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x.flatten(2).transpose(1, 2), None


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    net = Net()
    for _ in range(3):  # the norm's averages are no longer those of a new one
        net(torch.rand(8, 3, 12, 12) * 3)
    return net


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (6, 3, 12, 12), dtype=torch.uint8)


def by_hand(net: Net, images: Tensor) -> dict[str, Tensor]:
    """Every activation, without any hook."""
    net = net.eval()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        conv = net.conv((images / 255 - mean) / std)
        norm = net.norm(conv)
        relu = norm.clamp(min=0)
        tokens = (relu - 0.1).clamp(min=0).flatten(2).transpose(1, 2)
        return {
            "conv": conv,
            "norm": norm,
            "relu": relu,
            "tokens": tokens.transpose(1, 2),
            "head": net.head(tokens.mean(1)),
        }


@pytest.mark.parametrize("layer", ["conv", "norm", "relu", "tokens", "head"])
def test_h_is_what_the_layer_gives_pooled(net: Net, images: Tensor, layer: str) -> None:
    """What comes after it, in place or called again, changes nothing of it."""
    wanted = by_hand(net, images)[layer]  # (B, C) or (B, C, …)
    flat = wanted.flatten(2) if wanted.ndim > 2 else wanted[:, :, None]
    pooled = {"mean": flat.mean(2), "max": flat.amax(2), "none": wanted.flatten(1)}
    if layer == "tokens":
        pooled["none"] = wanted.transpose(1, 2).flatten(1)
    for pool, h in pooled.items():
        encoder = LayerActivations(net, layer, pool, image_shape=(3, 12, 12))
        assert encoder.h_dim == h.shape[1]
        torch.testing.assert_close(encoder(images), h)


def test_maps_with_channels_last_are_pooled_over_places(net: Net, images: Tensor) -> None:
    maps = by_hand(net, images)["relu"]
    encoder = LayerActivations(net, "last", image_shape=(3, 12, 12))
    torch.testing.assert_close(encoder(images), maps.mean((2, 3)))
    wide = LayerActivations(net, "last", "max", image_shape=(3, 4, 14))
    assert wide.h_dim == 4


class Vit(nn.Module):
    """Class token, a register and patches; batch-first, or the images in the second axis."""

    def __init__(self, prefixed: int = 2, batch_first: bool = True) -> None:
        super().__init__()
        self.cut = nn.Conv2d(3, 4, 4, stride=4)
        self.first = nn.Parameter(torch.randn(prefixed, 4))
        self.batch_first = batch_first
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.cut(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(x), -1, -1), patches], 1)
        out: Tensor = self.norm(tokens if self.batch_first else tokens.transpose(0, 1))
        return out


@pytest.mark.parametrize("batch_first", [True, False])
def test_class_and_patch_tokens_are_kept_apart(images: Tensor, batch_first: bool) -> None:
    torch.manual_seed(0)
    net = Vit(batch_first=batch_first).eval()
    whole = LayerActivations(net, "norm", "mean", image_shape=(3, 12, 12))
    with torch.no_grad():
        tokens = net(whole.prepared(images))
    tokens = tokens if batch_first else tokens.transpose(0, 1)
    wanted = {"mean": tokens.mean(1), "cls": tokens[:, 0], "patches": tokens[:, 2:].mean(1)}
    for pool, h in wanted.items():
        encoder = LayerActivations(net, "norm", pool, image_shape=(3, 12, 12))
        torch.testing.assert_close(encoder(images), h)
        torch.testing.assert_close(encoder(images[:2]), h[:2])
    assert "class token" in LayerActivations(net, None, "cls", image_shape=(3, 12, 12)).identity
    bare = Vit(prefixed=0)
    patches = LayerActivations(bare, "norm", "patches", image_shape=(3, 12, 12))
    mean = LayerActivations(bare, "norm", "mean", image_shape=(3, 12, 12))
    torch.testing.assert_close(patches(images), mean(images))
    for model, layer, told in (
        (bare, "norm", "has 9 tokens of 9 patches, so that there is no telling"),
        (net, "cut", r"gives no tokens but \(4, 3, 3\): pool it by mean"),
        (Net(), "tokens", "cuts no patches"),
    ):
        with pytest.raises(ValueError, match=told):
            LayerActivations(model, layer, "cls", image_shape=(3, 12, 12))


def test_images_need_not_be_square(net: Net) -> None:
    x = torch.randint(0, 256, (2, 3, 20, 6), dtype=torch.uint8)
    encoder = LayerActivations(net, "conv", size=(12, 10), image_shape=(3, 20, 6))
    assert encoder.prepared(x).shape == (2, 3, 12, 10)
    assert "images bilinear to 12×10" in encoder.identity


def test_a_network_of_torchvision_is_known_whoever_made_it() -> None:
    from torchvision.models import efficientnet_b3, resnet18

    assert inputs_of(resnet18()).size == (224, 224)
    assert inputs_of(efficientnet_b3()).size == (300, 300)
    headless = resnet18()
    headless.fc = nn.Identity()
    assert inputs_of(nn.Sequential(headless, nn.Flatten())).size == (224, 224)
    assert inputs_of(Net()).size is None


def test_maps_of_one_pixel_are_told() -> None:
    def cautious(side: int, **how: Any) -> str:
        shape = (3, side, side)
        return LayerActivations(deep, image_shape=shape, **how).caution

    deep = nn.Sequential(*(nn.Conv2d(3, 3, 3, stride=2, padding=1) for _ in range(5)))
    assert "of images of 32×32 its last maps are of 1×1: it may have been" in cautious(32)
    assert cautious(64) == cautious(32, size=64) == ""


def test_without_a_layer_h_is_the_networks_output(net: Net, images: Tensor) -> None:
    encoder = LayerActivations(net)
    torch.testing.assert_close(encoder(images), by_hand(net, images)["head"])


def test_the_network_stays_frozen_in_eval_mode_and_the_users_own_as_it_was(
    net: Net, images: Tensor
) -> None:
    net.train()
    encoder = LayerActivations(net, "relu", image_shape=(3, 12, 12))
    before = encoder(images)
    outer = nn.Sequential(encoder).train()
    assert encoder.training
    assert not any(module.training for module in encoder.net.modules())
    with torch.autocast("cpu", torch.bfloat16):
        h = outer(images)
    assert h.dtype == torch.float32
    assert not h.requires_grad
    assert torch.equal(h, before)  # no dropout, no bfloat16, and the norm's averages stand still
    assert all(weight.requires_grad for weight in net.parameters())
    assert net.training
    assert not net.relu._forward_hooks
    assert not encoder.net.get_submodule("relu")._forward_hooks


def test_images_are_scaled_to_the_full_range_repeated_and_resized(net: Net) -> None:
    x = torch.randint(0, 5, (2, 1, 6, 6), dtype=torch.uint8)
    encoder = LayerActivations(net, "conv", image_shape=(1, 6, 6), levels=5, size=12)
    prepared = encoder.prepared(x) * encoder.std + encoder.mean
    assert prepared.shape == (2, 3, 12, 12)
    torch.testing.assert_close(prepared[:, 0], prepared[:, 2])
    own = LayerActivations(net, "conv", image_shape=(1, 6, 6), levels=5)
    torch.testing.assert_close(
        (own.prepared(x) * own.std + own.mean)[:, 1], x[:, 0] / 4, rtol=0, atol=1e-6
    )
    with pytest.raises(ValueError, match="value 5, but this encoder's levels are 0…4"):
        encoder(torch.full((1, 1, 6, 6), 5, dtype=torch.uint8))
    with pytest.raises(TypeError, match="uint8"):
        encoder(torch.zeros(1, 1, 6, 6))


def test_a_network_of_grey_images_is_given_grey_ones() -> None:
    grey = LayerActivations(Net(channels=1), "conv", image_shape=(3, 8, 8))
    x = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    prepared = grey.prepared(x) * grey.std + grey.mean
    luma = (0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]) / 255
    torch.testing.assert_close(prepared[:, 0], luma, rtol=0, atol=1e-6)


def test_what_does_not_fit_is_named(net: Net) -> None:
    with pytest.raises(ValueError, match=r"no layer 'cnv'; close ones are conv"):
        LayerActivations(net, "cnv")
    with pytest.raises(ValueError, match=r"among others, conv, norm, relu"):
        LayerActivations(net, "zzzzz")
    with pytest.raises(ValueError, match="does not use its layer 'unused'"):
        LayerActivations(net, "unused")
    with pytest.raises(ValueError, match="pool is one of mean, max, none, cls, patches, not 'sum'"):
        LayerActivations(net, "conv", "sum")
    encoder = LayerActivations(net, "conv", "none", image_shape=(3, 12, 12))
    with pytest.raises(ValueError, match="give 16 activations, but h_dim is 144"):
        encoder(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"alexnet does not take images of 3×8×8 \("):
        LayerActivations("torchvision.models.alexnet", "features", size=8)


@pytest.mark.parametrize(
    ("path", "kind", "told"),
    [
        ("resnet18", ImportError, "not an import path"),
        ("torchvision.models.resnet19", ImportError, "did you mean resnet1"),
        ("no_such_module.net", ImportError, "No module named"),
        ("math.sqrt", ValueError, "argument"),
        ("fractions.Fraction", TypeError, "gives a Fraction, not a torch network"),
    ],
)
def test_a_path_that_leads_to_no_network(path: str, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        LayerActivations(path)


def test_equal_makers_have_equal_identities_and_others_have_not(net: Net, tmp_path: Path) -> None:
    def identity(**changed: Any) -> str:
        options: dict[str, Any] = {"layer": "relu", "image_shape": (3, 12, 12), **changed}
        return LayerActivations(changed.pop("model", net), **options).identity

    other = Net()
    others = [
        identity(),
        identity(layer="norm"),
        identity(pool="max"),
        identity(size=20),
        identity(mean=[0.5, 0.5, 0.5]),
        LayerActivations(other, "relu", image_shape=(3, 12, 12)).identity,
    ]
    assert len(set(others)) == len(others)
    assert identity() == others[0]
    assert (
        "relu, mean over places, images in their own size, in RGB, scaled by ImageNet's"
        in (others[0])
    )


def test_weights_of_a_file(net: Net, tmp_path: Path, images: Tensor) -> None:
    torch.save(net.state_dict(), tmp_path / "net.pt")
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    path = f"{__name__}.Net"
    made = [
        LayerActivations(path, "relu", weights=str(tmp_path / name), image_shape=(3, 12, 12))
        for name in ("net.pt", "net.safetensors")
    ]
    torch.testing.assert_close(made[0](images), by_hand(net, images)["relu"].mean((2, 3)))
    assert made[0].identity == made[1].identity
    torch.save(Net(width=6).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"another architecture.*'head.weight'"):
        build_network(path, {}, str(tmp_path / "other.pt"))
    torch.save(net, tmp_path / "pickled.pt")
    with pytest.raises(ValueError, match="holds more than a state dict"):
        build_network(path, {}, str(tmp_path / "pickled.pt"))
    with pytest.raises(FileNotFoundError, match=r"no file .*missing\.pt"):
        build_network(path, {}, str(tmp_path / "missing.pt"))
    with pytest.raises(FileNotFoundError, match="takes no name of weights"):
        build_network(path, {}, "DEFAULT")
    with pytest.raises(ValueError, match="give weights beside init_args, not in them as 'pretrai"):
        build_network(path, {"pretrained": True}, None)
    with pytest.raises(ValueError, match=r"depth.*; its arguments are its init_args"):
        build_network(path, {"depth": 3}, None)


def test_random_weights_follow_their_seed_alone() -> None:
    path = f"{__name__}.Net"
    torch.manual_seed(5)
    first = build_network(path, {}, None, seed=3)[0].state_dict()["conv.weight"]
    state = torch.get_rng_state()
    again = build_network(path, {}, None, seed=3)[0].state_dict()["conv.weight"]
    other = build_network(path, {}, None, seed=4)[0].state_dict()["conv.weight"]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_torchvisions_networks_want_what_their_weights_transforms_say() -> None:
    from torchvision.models import SqueezeNet1_1_Weights

    encoder = LayerActivations(SMALL, "features.3", image_shape=(1, 8, 8))
    transforms = SqueezeNet1_1_Weights.DEFAULT.transforms()
    assert encoder.size == (transforms.crop_size[0],) * 2
    assert encoder.mean.flatten().tolist() == pytest.approx(transforms.mean)
    assert encoder.std.flatten().tolist() == pytest.approx(transforms.std)
    assert "images bilinear to 224×224" in encoder.identity
    with pytest.raises(ValueError, match=r"no weights 'V7'; there are DEFAULT, IMAGENET1K_V1"):
        LayerActivations(SMALL, "features.3", weights="V7")


def test_a_layer_of_an_encoder_sees_the_images_as_they_are() -> None:
    torch.manual_seed(0)
    encoder = ConvBottleneck((1, 8, 8), 3, levels=16, features=4)
    x = torch.randint(0, 16, (2, 1, 8, 8), dtype=torch.uint8)
    tapped = LayerActivations(encoder, "bottleneck", image_shape=(1, 8, 8), levels=16)
    torch.testing.assert_close(tapped(x), encoder(x))
    assert tapped.h_dim == 3


def test_a_recipe_trains_on_a_layer_and_its_configuration_alone_rebuilds_it() -> None:
    class Shape:
        image_shape = (1, 8, 8)
        levels = 17

    encoder = {"model": SMALL, "layer": "features.3", "size": 32, "seed": 2}
    raw = {
        "data": {"source": "digits"},
        "model": {
            "encoder": {
                "class_path": "repr_toolkit.encoders.LayerActivations",
                "init_args": encoder,
            },
            "decoder": {
                "class_path": "repr_toolkit.decoders.GatedPixelCNN",
                "init_args": {"features": 4, "layers": 2},
            },
        },
    }
    built = build(complete(raw), Shape())
    assert built.encoder is not None
    assert built.decoder.h_dim == built.encoder.h_dim == 128
    again = build(built.config).encoder
    x = torch.randint(0, 17, (2, 1, 8, 8), dtype=torch.uint8)
    assert again is not None
    assert torch.equal(again(x), built.encoder(x))
    assert check_encoder(again, {"image": x})


def test_trained_weights_bring_their_size_and_scale_with_them(net: Net, images: Tensor) -> None:
    """As when a run is loaded, for which no weights are read, and so no transforms known."""
    first = LayerActivations(net, "conv", size=20, mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7])
    second = LayerActivations(Net(), "conv")
    second.load_state_dict(first.state_dict())
    assert second.identity == first.identity
    assert torch.equal(second(images), first(images))


def test_timms_networks_want_what_their_data_config_says() -> None:
    timm = pytest.importorskip("timm")
    init_args = {"model_name": "test_vit"}
    encoder = LayerActivations("timm.create_model", "blocks.0", init_args=init_args)
    config = timm.data.resolve_model_data_config(encoder.net)
    assert encoder.size == config["input_size"][1:]
    assert encoder.interpolation == config["interpolation"]
    assert encoder.mean.flatten().tolist() == pytest.approx(config["mean"])
    x = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    given = encoder.net.forward_features(encoder.prepared(x))
    assert encoder(x).shape == (2, given.shape[-1])
    assert "timm.create_model(model_name=test_vit) blocks.0" in encoder.identity


def test_weights_that_cannot_be_fetched_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: Any, **options: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(FileNotFoundError, match=r"weights 'DEFAULT' of .* \(no network\); give"):
        LayerActivations(SMALL, "features.3", weights="DEFAULT")


def test_named_weights_are_those_of_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own function loads them, so that nothing of the network is guessed."""
    wanted = build_network(SMALL, {}, None, seed=7)[0].state_dict()
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: wanted)
    named = LayerActivations(SMALL, "features.3", weights="IMAGENET1K_V1", size=32)
    drawn = LayerActivations(SMALL, "features.3", seed=7, size=32)
    assert named.identity == drawn.identity
    assert named.identity != LayerActivations(SMALL, "features.3", seed=8, size=32).identity
