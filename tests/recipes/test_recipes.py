"""Every packaged recipe: built in full size, and trained for two steps, shrunk."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from torch.nn.modules.conv import _ConvNd

from repr_toolkit.analyses.classification import pixel_classifiers
from repr_toolkit.config.build import build, build_metric
from repr_toolkit.config.recipe import (
    apply_settings,
    differences,
    list_recipes,
    load_recipe,
    variants,
)
from repr_toolkit.data import load_data
from repr_toolkit.runs.run import Run, data_arguments, load
from repr_toolkit.study import run_study
from repr_toolkit.training.train import train

RECIPES = Path(__file__).parents[2] / "recipes"
STUDIES = [name for name in list_recipes() if "study" in load_recipe(name)]
WHOLE_STUDY = "bottleneck_tinyimagenet"  # trained to its end, pictures and comparison included
NOT_RUN = (
    "bottleneck_imagenet32",
    "gated_cifar10",
    "gated_imagenet32",
    "glow_celeba64",
    "glow_cifar10",
    "glow_imagenet32",
    "multiscale_imagenet64",
    "pixelcnnpp_cifar10",
    "pixelrnn_cifar10",
    "pixelrnn_imagenet32",
    "pixelrnn_imagenet64",
    "pixelrnn_mnist",
)

SHRUNK = {
    "data.batch_size": 4,
    "data.workers": 0,
    "training.steps": 2,
    "training.validate_every": 2,
    "training.warmup": 1,
    "training.compile": False,
    "trainer.accelerator": "cpu",
    "trainer.devices": 1,
}
SHRUNK_DECODER = {
    "features": 6,
    "head_features": 6,
    "layers": 2,
    "blocks": 1,
    "steps": 2,
    "hidden": 1,
}


class Shape(NamedTuple):
    """What a model takes from the data."""

    image_shape: tuple[int, int, int]
    levels: int


SHAPES = {  # 32×32 RGB otherwise
    "celeba": Shape((3, 64, 64), 256),
    "imagenet64": Shape((3, 64, 64), 256),
    "mnist": Shape((1, 28, 28), 256),
    "mnist5k": Shape((1, 28, 28), 16),
    "orl_faces": Shape((1, 112, 92), 256),
    "repr_toolkit.data.known_bits.known_bits": Shape((1, 6, 6), 4),
    "repr_toolkit.data.quadrants.mnist_quadrants": Shape((1, 28, 28), 16),
    "repr_toolkit.data.windows.lfw_windows": Shape((3, 24, 24), 256),
}


def shape_of(config: dict[str, Any]) -> Shape:
    shape = SHAPES.get(config["data"]["source"], Shape((3, 32, 32), 256))
    levels = 2 if config["data"]["binarise"] else config["data"]["levels"]
    return shape._replace(levels=levels or shape.levels)


@pytest.fixture
def _unfilled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions keep what memory holds: drawing the weights of the largest models takes long."""
    monkeypatch.setattr(_ConvNd, "reset_parameters", lambda self: None)


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few random images in the place of every recipe's data, in the layouts of their files."""
    root = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)

    def images(count: int, shape: tuple[int, ...]) -> np.ndarray:
        return draw.integers(0, 256, (count, *shape), dtype=np.uint8)

    for name in ("mnist", "mnist5k", "photos", "cifar10", "celeba", "tinyimagenet32_20cls"):
        shape = SHAPES.get(name, Shape((3, 32, 32), 256)).image_shape
        arrays = {}
        for split, count in (("train", 24), ("test", 12)):
            arrays[f"{split}_image"] = images(count, shape)
            arrays[f"{split}_label"] = np.arange(count) % 2
        np.savez(root / f"{name}.npz", **arrays)
    people = np.array([f"person {i // 2}" for i in range(40)])
    unit = draw.normal(size=(40, 512)).astype(np.float32)
    np.savez(
        root / "lfw_faces_32.npz",
        image=images(40, (3, 32, 32)),
        identity=people,
        embedding=unit / np.linalg.norm(unit, axis=1, keepdims=True),
        landmarks=draw.uniform(0, 32, (40, 5, 2)).astype(np.float32),
    )
    np.savez(
        root / "orl_faces.npz",
        image=images(48, SHAPES["orl_faces"].image_shape),
        identity=np.arange(48) // 3,
    )
    files = {"train_data_batch_1": 24, "train_data_batch_2": 24, "val_data": 12}
    for side in (32, 64):
        batches = root / f"imagenet{side}"
        batches.mkdir()
        for file, count in files.items():
            arrays = {"data": images(count, (3 * side**2,)), "labels": np.arange(count) % 2 + 1}
            np.savez(batches / f"{file}.npz", **arrays)
    return root


def shrunk(name: str, root: Path, variant: str | None = None) -> dict[str, Any]:
    """A recipe, or one of its variants, on the data under a root, small enough for two steps."""
    config = full_size(name, variant)
    settings: dict[str, Any] = {**SHRUNK, "data.root": str(root)}
    if "metric" in config["model"]:
        settings["data.images_per_identity"] = 2
    else:
        arguments = config["model"]["decoder"]["init_args"]
        within = [".init_args."]
        if "small" in arguments:
            within = [f".init_args.{scale}.init_args." for scale in ("small", "large")]
            arguments = arguments["small"]["init_args"]
        settings |= {
            f"model.decoder{place}{key}": value
            for key, value in SHRUNK_DECODER.items()
            for place in within
            if key in arguments
        }
    encoder = config["model"]["encoder"]
    if encoder is not None and encoder["class_path"].endswith("ConvBottleneck"):
        settings["model.encoder.init_args.features"] = 4
    if config["data"]["source"] in ("mnist", "mnist5k", "photos", "cifar10", "celeba", "orl_faces"):
        settings["data.source"] = f"{config['data']['source']}.npz"
    return apply_settings(config, settings)


@cache
def in_full(name: str) -> dict[str | None, dict[str, Any]]:
    """A recipe as it is, by None, and each variant of a study."""
    config = load_recipe(name)
    return {None: config, **(variants(config) if name in STUDIES else {})}


def runs_of(name: str) -> list[str | None]:
    return [variant for variant in in_full(name) if variant] or [None]


def full_size(name: str, variant: str | None) -> dict[str, Any]:
    return deepcopy(in_full(name)[variant])


def structure(name: str, variant: str | None) -> str:
    """What decides which code a run takes: not how long h is, nor who is in which fold."""
    config = full_size(name, variant)
    for section, key in (("encoder", "h_dim"), ("encoder", "scale")):
        if config["model"][section] is not None:
            config["model"][section]["init_args"].pop(key, None)
    del config["data"]["fold"]
    return f"{config['model']} {config['data']}"


RUNS = [(name, variant) for name in list_recipes() for variant in runs_of(name)]
OF_EACH_STRUCTURE: dict[str, tuple[str, str | None]] = {}
for run in RUNS:
    if run[0] != WHOLE_STUDY:
        OF_EACH_STRUCTURE.setdefault(structure(*run), run)


def test_the_recipes_are_these() -> None:
    assert list_recipes() == [
        "bottleneck_imagenet32",
        "bottleneck_mnist5k",
        "bottleneck_photos",
        "bottleneck_pixelcnnpp",
        "bottleneck_rnn_mnist5k",
        "bottleneck_tinyimagenet",
        "classes_mnist5k",
        "classes_pixelcnnpp",
        "classes_tinyimagenet",
        "flows_mnist5k",
        "gated_cifar10",
        "gated_imagenet32",
        "glow_celeba64",
        "glow_cifar10",
        "glow_imagenet32",
        "glow_lfw",
        "glow_mnist5k",
        "glow_orl_faces",
        "information_known_bits",
        "multiscale_imagenet64",
        "multiscale_photos",
        "pixelcnnpp_cifar10",
        "pixelcnnpp_photos",
        "pixelrnn_cifar10",
        "pixelrnn_depth_mnist5k",
        "pixelrnn_imagenet32",
        "pixelrnn_imagenet64",
        "pixelrnn_mnist",
        "pixelrnn_mnist5k",
        "pixelrnn_residual_mnist5k",
        "pixelrnn_time_mnist5k",
        "portraits_lfw",
        "triplet_orl",
        "where_digits",
        "where_faces",
    ]


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_opens_with_what_a_reader_needs(name: str) -> None:
    comment = (RECIPES / f"{name}.yaml").read_text("utf-8").split("\n\nabout:")[0]
    assert all(line.startswith("#") for line in comment.splitlines())
    for word in ("command", "data", "hardware", "time", "expect"):
        assert f"\n#   {word} " in comment
    assert f"repr-toolkit {'study' if name in STUDIES else 'train'} {name}" in comment
    assert ("Not run here" in comment) == (name in NOT_RUN)
    assert all(load_recipe(name)["about"].values())
    assert "TIME" not in (RECIPES / f"{name}.yaml").read_text("utf-8")  # to be filled in
    assert f"[{name}]({name}.yaml)" in (RECIPES / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", [name for name in STUDIES if name.startswith("bottleneck")])
def test_variants_differ_only_in_decoder_and_h_dim(name: str) -> None:
    found = variants(load_recipe(name))
    without_h = found.pop("pixelcnn_no_h")  # as the null of an analysis: h of the same size
    assert {**without_h, "model": 0} == {**found["pixelcnn_m10"], "model": 0}
    assert without_h["model"]["decoder"] == found["pixelcnn_m10"]["model"]["decoder"]
    assert list(found) == ["mse_m10", "mse_m100", "pixelcnn_m10", "pixelcnn_m100"]
    for variant, config in found.items():
        kind, m = variant.split("_m")
        assert config["model"]["encoder"]["init_args"]["h_dim"] == int(m)
        decoder = config["model"]["decoder"]["class_path"].rpartition(".")[2]
        assert decoder == {"mse": "Deconv", "pixelcnn": "GatedPixelCNN"}[kind]
        for other in found.values():
            for key in differences(config, other):
                h_dim = key == "model.encoder.init_args.h_dim"
                # A group of the optimizer names a decoder's parameters.
                groups = key == "training.optimizer.groups"
                assert h_dim or groups or key.startswith("model.decoder.")
    for kind in ("mse", "pixelcnn"):
        changed = differences(found[f"{kind}_m10"], found[f"{kind}_m100"])
        assert changed == ["model.encoder.init_args.h_dim"]


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_of_h_has_a_column_without(name: str) -> None:
    """Unconditional, or given an h that is the same for every image."""
    encoders = [v["model"]["encoder"] for v in variants(load_recipe(name)).values()]
    silent = [
        spec is None
        or spec["class_path"].endswith(".Constant")
        or spec["init_args"].get("scale") == 0
        for spec in encoders
    ]
    assert any(silent) or "metric" in load_recipe(name)["model"]


@pytest.mark.parametrize("name", [name for name in STUDIES if name.startswith("classes")])
def test_variants_differ_only_in_being_told_the_class(name: str) -> None:
    found = variants(load_recipe(name))
    assert list(found) == ["unconditional", "conditional"]  # compared to the first
    assert differences(*found.values()) == ["model.encoder"]
    assert found["unconditional"]["model"]["encoder"] is None
    assert found["conditional"]["model"]["encoder"]["class_path"].endswith(".OneHot")


@pytest.mark.usefixtures("_unfilled")
@pytest.mark.parametrize("name", ["where_digits", "where_faces"])
def test_conditionings_are_compared_at_equal_parameters(name: str) -> None:
    config = load_recipe(name)
    found = variants(config)
    kinds = ["spatial", "positional", "vector"]  # compared to the first
    assert list(found) == [*kinds, "silent"]
    sizes = {}
    for variant, own in found.items():
        if variant == "silent":
            changed = differences(found["spatial"], own)
            assert all(key.startswith("model.encoder.") for key in changed)
        else:
            assert own["model"]["decoder"]["init_args"]["conditioning"] == variant
            for key in differences(config, own):
                assert key.startswith("model.decoder.init_args.")
        built = build(own, shape_of(own))
        sizes[variant] = sum(parameter.numel() for parameter in built.decoder.parameters())
    assert max(sizes.values()) < 1.02 * min(sizes.values())
    for size in sizes.values():
        assert f"{size:,}" in (RECIPES / f"{name}.yaml").read_text("utf-8")


def test_folds_differ_only_in_whom_they_test() -> None:
    config = load_recipe("triplet_orl")
    for number, (variant, own) in enumerate(variants(config).items()):
        assert variant == f"fold{number}"
        assert differences(config, own) == ["data.fold"]
        assert own["data"]["fold"] == number
    assert len(variants(config)) == config["data"]["folds"] == 4


def test_gated_imagenet32_is_the_papers_model() -> None:
    config = load_recipe("gated_imagenet32")
    arguments = config["model"]["decoder"]["init_args"]
    assert (arguments["layers"], arguments["features"], arguments["kernel_size"]) == (20, 384, 5)
    assert (config["data"]["batch_size"], config["training"]["steps"]) == (128, 200_000)
    assert config["model"]["encoder"] is None


@pytest.mark.parametrize(
    "name",
    [
        "bottleneck_mnist5k",
        "bottleneck_photos",
        "classes_mnist5k",
        "information_known_bits",
        "multiscale_photos",
        "pixelrnn_mnist5k",
        "triplet_orl",
        "where_digits",
    ],
)
def test_the_data_in_packages_are_as_the_recipe_says(name: str) -> None:
    config = load_recipe(name)
    data = load_data(**data_arguments(config))
    assert (data.image_shape, data.levels) == shape_of(config)


@pytest.mark.usefixtures("_unfilled")
@pytest.mark.parametrize(("name", "variant"), RUNS)
def test_the_full_size_can_be_built(name: str, variant: str | None) -> None:
    config = full_size(name, variant)
    shape = shape_of(config)
    if "metric" in config["model"]:
        assert build_metric(config, shape).encoder.h_dim == 64
        return
    built = build(config, shape)
    assert built.config["model"]["decoder"]["init_args"]["levels"] == shape.levels


@pytest.mark.parametrize(("name", "variant"), [*OF_EACH_STRUCTURE.values()])
def test_two_steps(name: str, variant: str | None, data_root: Path, tmp_path: Path) -> None:
    config = shrunk(name, data_root, variant)
    check_trained(train(config, tmp_path / "run"))


def check_trained(run: Run) -> None:
    assert run.finished
    model = load(run.path)
    assert (model.encoder is None) == (run.config["model"]["encoder"] is None)
    assert len(list(run.image_dir.iterdir())) == 1


def test_a_whole_study(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EPOCHS", "SHOWN"):  # of the network that judges reconstructions
        monkeypatch.setattr(pixel_classifiers, name, 1)
    config = shrunk(WHOLE_STUDY, data_root)
    runs = run_study(config, tmp_path / "study")
    assert [run.path.name for run in runs] == [*config["study"]]
    for run in runs:
        check_trained(run)
    for file in ("figure6.png", "comparison.json", "comparison.csv", "comparison.md"):
        assert (tmp_path / "study" / file).stat().st_size > 0
    weights = [run.weights_file.stat().st_mtime_ns for run in runs]
    run_study(config, tmp_path / "study")
    assert [run.weights_file.stat().st_mtime_ns for run in runs] == weights
