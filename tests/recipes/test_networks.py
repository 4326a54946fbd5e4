"""Recipes of several networks: what their studies compare, and the papers' sizes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from repr_toolkit.config.build import build
from repr_toolkit.config.recipe import differences, load_recipe, variants

RECIPES = Path(__file__).parents[2] / "recipes"


def opening(name: str) -> str:
    """What a recipe says before its keys, in one line."""
    text = (RECIPES / f"{name}.yaml").read_text("utf-8").partition("\n\nabout:")[0]
    return text.replace("\n# ", " ")


def decoder_size(
    config: dict[str, Any], image_shape: tuple[int, int, int] = (1, 28, 28), levels: int = 2
) -> int:
    built = build(config, SimpleNamespace(image_shape=image_shape, levels=levels))
    return sum(parameter.numel() for parameter in built.decoder.parameters())


def test_networks_are_compared_at_equal_parameters_and_steps_or_time() -> None:
    recipe = load_recipe("pixelrnn_mnist5k")
    found, timed = variants(recipe), variants(load_recipe("pixelrnn_time_mnist5k"))
    classes = [own["model"]["decoder"]["class_path"].rpartition(".")[2] for own in found.values()]
    assert classes == ["PixelCNN", "GatedPixelCNN", "RowLSTM", "DiagonalBiLSTM"]
    sizes = [decoder_size(own) for own in found.values()]
    assert max(sizes) < 1.05 * min(sizes)
    for size in sizes:
        assert f"{size:,}" in (RECIPES / "pixelrnn_mnist5k.yaml").read_text("utf-8")
    for own in found.values():
        assert all(key.startswith("model.decoder") for key in differences(recipe, own))
    assert list(found) == list(timed)
    longer = ["training.steps", "training.validate_every"]
    for name, own in found.items():
        same = name == "diagonal_bilstm"  # whose time the others have
        assert differences(own, timed[name]) == ([] if same else longer)


def test_ablations_change_one_thing() -> None:
    arguments = "model.decoder.init_args"
    changed = {
        name: {
            variant: {key.removeprefix(f"{arguments}."): value for key, value in settings.items()}
            for variant, settings in load_recipe(name)["study"].items()
        }
        for name in ("pixelrnn_residual_mnist5k", "pixelrnn_depth_mnist5k")
    }
    assert changed["pixelrnn_residual_mnist5k"] == {
        "neither": {"residual": False},
        "skip": {"residual": False, "skip": True},
        "residual": {},
        "both": {"skip": True},
    }
    depths = changed["pixelrnn_depth_mnist5k"]
    assert depths == {f"layers{n}": {"layers": n} if n > 1 else {} for n in (1, 2, 3, 6, 9, 12)}
    base = load_recipe("pixelrnn_depth_mnist5k")["model"]["decoder"]["init_args"]
    assert base["layers"] == 1


@pytest.mark.parametrize("name", ["bottleneck_rnn_mnist5k", "bottleneck_pixelcnnpp"])
def test_a_bottleneck_is_the_demo_with_another_decoder(name: str) -> None:
    demo = variants(load_recipe("bottleneck_mnist5k"))["pixelcnn_m10"]
    changed = differences(demo, load_recipe(name))
    others = [key for key in changed if not key.startswith("model.decoder.")]
    assert others == ["training.compile"]
    assert "not compiled" in opening(name)
    assert "model.decoder.class_path" in changed


def test_pixelcnnpp_stands_beside_the_gated_pixelcnn_at_equal_parameters() -> None:
    recipe = load_recipe("pixelcnnpp_photos")
    found = variants(recipe)
    decoders = {name: own["model"]["decoder"] for name, own in found.items()}
    assert {name: spec["class_path"].rpartition(".")[2] for name, spec in decoders.items()} == {
        "gated_softmax": "GatedPixelCNN",
        "gated_mixture": "GatedPixelCNN",
        "pixelcnnpp": "PixelCNNpp",
    }
    arguments = [decoders[f"gated_{kind}"]["init_args"] for kind in ("softmax", "mixture")]
    assert [a.get("likelihood") for a in arguments] == [None, "logistic_mixture"]
    sizes = [decoder_size(own, (3, 32, 32), 256) for own in found.values()]
    assert max(sizes) < 1.01 * min(sizes)
    for size in sizes:
        assert f"{size:,}" in (RECIPES / "pixelcnnpp_photos.yaml").read_text("utf-8")
    for own in found.values():
        for key in differences(recipe, own):
            assert key.startswith(("model.decoder.", "training.optimizer."))


def test_pixelcnnpp_cifar10_is_the_papers_model() -> None:
    config = load_recipe("pixelcnnpp_cifar10")
    arguments = config["model"]["decoder"]["init_args"]
    assert arguments == {
        "features": 160,
        "blocks": 5,
        "scales": 3,
        "mixtures": 10,
        "dropout": 0.5,
    }
    assert config["training"]["ema_decay"] == 0.9995
    assert f"batches of {config['data']['batch_size']} images" in opening("pixelcnnpp_cifar10")


@pytest.mark.parametrize(
    ("name", "layers", "features"),
    [
        ("pixelrnn_mnist", 7, 16),
        ("pixelrnn_cifar10", 12, 129),  # 128, but for three groups
        ("pixelrnn_imagenet32", 12, 384),
        ("pixelrnn_imagenet64", 4, 513),
    ],
)
def test_pixelrnns_of_the_papers_sizes(name: str, layers: int, features: int) -> None:
    config = load_recipe(name)
    for own in variants(config).values() if "study" in config else [config]:
        arguments = own["model"]["decoder"]["init_args"]
        cnn = own["model"]["decoder"]["class_path"].endswith(".PixelCNN")
        assert (arguments["layers"], arguments["features"]) == (15 if cnn else layers, features)
        assert arguments.get("head_features") == (None if name == "pixelrnn_mnist" else 1026)
        assert arguments.get("residual", True) == (name != "pixelrnn_imagenet64")
    text = opening(name)
    for here, paper in ((129, 128), (513, 512)):
        assert (f"{paper} features, here {here}" in text) == (features == here)
    assert ("1026" in text) == ("here 1026" in text)


def test_lines_are_of_100_characters_at_most() -> None:
    for file in RECIPES.glob("*.yaml"):
        assert max(map(len, file.read_text("utf-8").splitlines())) <= 100, file.name


@pytest.mark.parametrize("name", ["pixelrnn_imagenet32", "pixelrnn_imagenet64", "pixelrnn_mnist"])
def test_a_batch_is_that_of_all_devices(name: str) -> None:
    assert f"batches of {load_recipe(name)['data']['batch_size']} images" in opening(name)


def test_scales_are_compared_at_equal_parameters() -> None:
    recipe = load_recipe("multiscale_photos")
    found = variants(recipe)
    assert list(found) == ["single", "clamped", "as_published"]
    sizes = [decoder_size(own, (3, 32, 32), 256) for own in found.values()]
    assert sizes[1] == sizes[2]
    assert max(sizes) < 1.05 * min(sizes)
    for size in sizes:
        assert f"{size:,}" in (RECIPES / "multiscale_photos.yaml").read_text("utf-8")
    for own in found.values():
        assert all(key.startswith("model.decoder") for key in differences(recipe, own))
    changed = differences(found["clamped"], found["as_published"])
    assert changed == ["model.decoder.class_path"]


@pytest.mark.parametrize(("scale", "side"), [("small", 32), ("large", 64)])
def test_scales_of_the_papers_sizes(scale: str, side: int) -> None:
    scales = load_recipe("multiscale_imagenet64")["model"]["decoder"]["init_args"]
    assert scales[scale] == load_recipe(f"pixelrnn_imagenet{side}")["model"]["decoder"]
