"""The command `information`: of one run, of sources, and its errors."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from repr_toolkit.analyses.information.measure import own_information
from repr_toolkit.analyses.information.table import table
from repr_toolkit.cli import main
from repr_toolkit.runs.bits import bits_per_dim
from repr_toolkit.runs.run import Run, load_with_decoder
from toys.decoders import DECONV
from toys.encoders import CONV, ONE_HOT
from toys.runs import TINY, untrained_run

FEW = ["--part-images", "10", "--bound-images", "20", "--candidates", "4", "--parts", "2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return untrained_run(tmp_path_factory.mktemp("runs") / "classes", encoder=ONE_HOT)


def test_of_a_run(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "maps.png"
    null = untrained_run(tmp_path / "null", encoder=None)
    argv = ["information", str(run.path), "--json", "--out", str(out), *FEW]
    assert main([*argv, "--without", str(null.path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((run.path / "analysis/information.json").read_text("utf-8"))
    with Image.open(out) as picture:
        assert picture.width > 500
    assert found["command"] == (
        f"repr-toolkit information {run.path} --split test --without {null.path} "
        "--along coordinates --parts 2 --part-images 10 --candidates 4 --bound-images 20 --seed 0 "
        "--batch-size 256"
    )
    split = run.load_data().splits["test"]
    model = load_with_decoder(run)
    own, other = (bits_per_dim(model, split, h=h) for h in ("true", "shuffled"))
    without = bits_per_dim(load_with_decoder(null), split)
    assert found["bits_per_dim"]["mean"] == pytest.approx(own.mean(), rel=1e-6)
    saves = found["saves"]
    assert list(saves) == ["shuffled", "mean_h", "without"]
    assert saves["shuffled"]["bits"] == pytest.approx(64 * (other - own).mean(), abs=1e-4)
    assert saves["without"]["bits"] == pytest.approx(64 * (without - own).mean(), abs=1e-4)
    share = (other > own).mean()
    assert saves["shuffled"]["share_of_images"] == pytest.approx(share, abs=0.02)
    assert found["sensitivity"]["along"] == "coordinates"
    assert len(found["sensitivity"]["parts"]) == 2
    assert found["label_lower_bound"]["ceiling"] == pytest.approx(np.log2(10), abs=0.01)
    arrays = np.load(run.path / "analysis/information.npz")
    for kind, values in saves.items():
        assert arrays[f"saved_{kind}"].shape == (1, 8, 8)
        assert arrays[f"saved_{kind}"].sum() == pytest.approx(values["bits"], abs=1e-3)
        assert values["cumulative"][-1] == pytest.approx(values["bits"], abs=1e-3)
        assert arrays[f"shown_{kind}"].shape == (6, 1, 8, 8)
    assert arrays["image"].dtype == np.uint8
    np.testing.assert_allclose(arrays["bits_own"], 64 * own, rtol=1e-6)
    np.testing.assert_allclose(arrays["bits_without"], 64 * without, rtol=1e-6)


def test_a_reader_sees_what_the_numbers_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masked = {"class_path": "repr_toolkit.encoders.MaskedCoordinates"}
    masked |= {"init_args": {"h_dim": 64, "source": "image"}}
    made = untrained_run(tmp_path / "masked", encoder=masked)
    assert main(["information", str(made.path), *FEW]) == 0
    out = capsys.readouterr().out
    text = " ".join(out.split())
    assert max(map(len, out.splitlines()[1:])) <= 100  # the first names the run's path
    for told in ("control, not information", "a true lower bound", "so it is no information"):
        assert told in text
    assert "| all of h hidden" in out
    assert "| direction 1" in out or "| direction 2" in out
    found = json.loads((made.path / "analysis/information.json").read_text("utf-8"))
    assert len(found["masked"]["coordinates"]) == 64
    assert found["sensitivity"]["along"] == "principal"


def test_a_mean_squared_error_decoder_has_maps_too(tmp_path: Path) -> None:
    made = untrained_run(tmp_path / "mse", encoder=CONV, decoder=DECONV)
    found = own_information(made.path, "val", part_images=8, bound_images=16, candidates=4, parts=1)
    assert found.numbers["split"] == "val"
    assert found.arrays["saved_mean_h"].shape == (1, 8, 8)
    assert "val: 180 images" in table(found)


def test_fresh_decoders_on_frozen_h(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(TINY))
    (tmp_path / "information_tiny.yaml").symlink_to(recipe)
    argv = ["information", str(recipe), "labels", "seven=pca", "torchvision.models.squeezenet1_1"]
    argv += ["--components", "7", "--layer", "features.2", "--image-size", "16"]
    argv += ["--weights-seed", "3", "--runs-dir", str(tmp_path / "runs"), "--candidates", "4"]
    argv += ["--training.pictures", "0"]
    assert main([*argv, "--training.warmup", "1"]) == 0
    out = capsys.readouterr().out
    folder = tmp_path / "runs/information_tiny"
    assert (folder / "information.md").read_text("utf-8") in out
    found = json.loads((folder / "information.json").read_text("utf-8"))
    # The layer, its image size and seed are the network's alone.
    network = "squeezenet1_1.features.2_random"
    assert {s["name"]: s["dim"] for s in found["sources"]} == {
        "labels": 10,
        "seven": 7,
        network: 64,
    }
    made_by = next(s["made_by"] for s in found["sources"] if s["name"] == network)
    assert "random weights of seed 3" in made_by
    assert found["command"].startswith(f"repr-toolkit information {recipe} labels seven=pca ")
    for told in ("--components 7", "--layer features.2", "--candidates 4", "--training.warmup 1"):
        assert told in found["command"]
    assert Run(folder / "seven").config["training"]["warmup"] == 1
    assert (folder / "information.png").stat().st_size > 1000

    argv[1] = str(tmp_path / "information_tiny.yaml")
    assert main([*argv, "--training.warmup", "1"]) == 0
    assert f"done before, see {folder / 'seven'}" in capsys.readouterr().out


def test_what_has_no_information(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unconditional = untrained_run(tmp_path / "none", encoder=None)
    for argv, told in (
        ([str(unconditional.path)], "has no encoder"),
        ([str(run.path), "--split", "valid"], "no split 'valid'"),
        ([str(run.path), "--along", "x", *FEW], '"coordinates" or "principal"'),
        ([str(run.path), "--out", "a.gif"], "written as .png"),
        ([str(run.path), "--training.steps", "3"], "--training.steps is for a recipe"),
        ([str(run.path), "--masked"], "--masked is for a recipe"),
        ([str(run.path), "--layer", "0"], "--layer is for a recipe"),
        ([str(run.path), "--runs-dir", "x"], "--runs-dir is for a recipe"),
        (["bottleneck_mnist5k", "labels", "--out", "a.png"], "--out is for a run alone"),
        (["bottleneck_mnist5k", "labels", "--parts", "1"], "--parts is for a run alone"),
        (["bottleneck_mnist5k", "labels", "--seed", "7"], "with sources it is --seeds"),
        (["bottleneck_mnist5k"], "information bottleneck_mnist5k SOURCE"),
        (["bottleneck_mnist", "pixels"], "bottleneck_mnist5k"),
    ):
        assert main(["information", *argv]) == 1
        error = capsys.readouterr().err
        assert error.startswith("repr-toolkit: error: ") or "error" in error
        assert told in error
