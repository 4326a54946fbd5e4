"""Decoders that paint what h says are told from those that do not; the command, end to end."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from repr_toolkit.analyses.placement import Placement
from repr_toolkit.analyses.placement.measure import bootstrap_interval
from repr_toolkit.cli import main
from repr_toolkit.support.choose import other_images
from repr_toolkit.support.stats import wilson_interval
from repr_toolkit.training.train import train
from toys.data import face_file, quadrant_file
from toys.runs import small

LANDMARKS = {
    "class_path": "repr_toolkit.encoders.Precomputed",
    "init_args": {"h_dim": 10, "source": "landmarks"},
}
QUADRANT = {
    "class_path": "repr_toolkit.encoders.OneHot",
    "init_args": {"num_classes": 4, "source": "quadrant"},
}


def trained(path: Path, file: Path, encoder: dict[str, Any] | None, decoder: str) -> Path:
    """A run of one step, of a decoder whose samples are what is tested."""
    config = small(
        data__source=str(file),
        model__encoder=encoder,
        model__decoder={"class_path": decoder, "init_args": {}},
        training__steps=1,
        training__validate_every=1,
        training__warmup=0,
        training__pictures=0,
    )
    return train(config, path).path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("placement")


@pytest.fixture(scope="module")
def eyes(folder: Path) -> list[Path]:
    """A run that paints the landmarks of h, and one whose pixels know nothing of them."""
    file = face_file(folder / "faces.npz", (1500, 50, 60))
    return [
        trained(folder / "painter", file, LANDMARKS, "toys.decoders.EyePainter"),
        trained(folder / "noise", file, LANDMARKS, "toys.decoders.Independent"),
    ]


@pytest.fixture(scope="module")
def quadrants(folder: Path) -> list[Path]:
    file = quadrant_file(folder / "quadrants.npz")
    return [
        trained(folder / "obedient", file, QUADRANT, "toys.decoders.QuadrantPainter"),
        trained(folder / "stubborn", file, QUADRANT, "toys.decoders.StubbornPainter"),
    ]


def test_eyes_that_are_painted_where_h_says_are_found_there(eyes: list[Path]) -> None:
    found = Placement(eyes).measure()
    painter, noise = found["runs"]
    assert found["images"] == 60
    assert found["real"]["mean"] < 0.6
    assert painter["asked"]["high"] < 0.6
    assert painter["other"]["low"] > 1.2
    assert noise["asked"]["low"] > 1.2
    assert noise["versus_first"]["low"] > 0.5
    assert "versus_first" not in painter
    difference = noise["asked"]["mean"] - painter["asked"]["mean"]
    assert noise["versus_first"]["mean"] == pytest.approx(difference)


def test_quadrants_are_counted(quadrants: list[Path]) -> None:
    placement = Placement(quadrants)
    found = placement.measure()
    obedient, stubborn = found["runs"]
    asked = placement.asked
    assert found["real"]["mean"] == obedient["asked"]["mean"] == 1
    low, high = wilson_interval(30, 30)
    assert obedient["asked"] == {"mean": 1.0, "low": low, "high": high}
    by_chance = (asked == asked[other_images(30).numpy()]).mean()
    assert obedient["other"]["mean"] == pytest.approx(by_chance)
    assert 0 < by_chance < 0.5
    assert stubborn["asked"]["mean"] == pytest.approx((asked == 0).mean())
    assert stubborn["versus_first"]["high"] < 0


def test_runs_are_given_the_same_noise_and_h(eyes: list[Path]) -> None:
    first, again = Placement([eyes[1]], images=10), Placement([eyes[1]], images=10)
    [model] = first.models.values()
    assert torch.equal(first.samples(model), again.samples(model))
    other = Placement([eyes[1]], images=10, seed=1)
    assert not torch.equal(first.samples(model), other.samples(model))
    assert first.indices == [0, 6, 12, 18, 24, 30, 36, 42, 48, 54]


def test_a_picture_shows_no_h_twice(eyes: list[Path], quadrants: list[Path]) -> None:
    placement = Placement(quadrants)
    assert sorted(placement.asked[placement.shown(8)]) == [0, 1, 2, 3]
    assert len(placement.shown(2)) == 2
    assert Placement(eyes[:1]).shown(3) == [0, 20, 40]


def test_runs_that_cannot_be_measured_together_are_refused(
    eyes: list[Path], quadrants: list[Path], folder: Path
) -> None:
    with pytest.raises(ValueError, match="different keys"):
        Placement([eyes[0], quadrants[0]])
    elsewhere = face_file(folder / "others.npz", (50, 20, 20), seed=1)
    other = trained(folder / "other", elsewhere, LANDMARKS, "toys.decoders.EyePainter")
    with pytest.raises(ValueError, match=r"painter and .*other were trained on different images"):
        Placement([eyes[0], other])
    plain = trained(folder / "plain", elsewhere, None, "toys.decoders.Independent")
    with pytest.raises(ValueError, match=r"plain has no encoder; .* 'landmarks' or 'quadrant'"):
        Placement([plain])
    seeing = small()["model"]["encoder"]
    image = trained(folder / "image", elsewhere, seeing, "toys.decoders.Independent")
    with pytest.raises(ValueError, match="an encoder that reads 'image'"):
        Placement([image])
    with pytest.raises(ValueError, match="no runs"):
        Placement([])


def test_the_bootstrap_covers_what_it_should() -> None:
    draw = np.random.default_rng(0)
    samples = draw.exponential(2.0, (60, 200))
    covered = [low < 2 < high for low, high in map(bootstrap_interval, samples)]
    assert 0.85 < np.mean(covered) <= 1
    width = np.ptp(bootstrap_interval(samples[0]))
    assert width == pytest.approx(2 * 1.96 * samples[0].std() / 200**0.5, rel=0.1)


# The command


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty folder of its own; the search path is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return tmp_path


def test_where_of_trained_pixelcnns(user_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = {
        "data": {"source": str(face_file(user_folder / "faces.npz")), "batch_size": 8},
        "model": {
            "encoder": LANDMARKS,
            "decoder": {
                "class_path": "repr_toolkit.decoders.GatedPixelCNN",
                "init_args": {"features": 2, "layers": 2, "map_features": 2},
            },
        },
        "training": {"steps": 1, "validate_every": 1, "pictures": 0},
    }
    (user_folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    for kind in ("spatial", "positional"):
        argv = ["train", "tiny.yaml", "--name", kind]
        assert main([*argv, "--model.decoder.init_args.conditioning", kind]) == 0
    capsys.readouterr()
    assert main(["where", "runs/spatial", "--engine", "foo"]) == 1
    out, error = capsys.readouterr()
    assert "GatedPixelCNN has no engine 'foo'" in error
    assert "learning to read" not in out  # no work before
    (user_folder / "where.npz").write_text("somebody's")  # beside which nothing is written
    argv = ["where", "runs/spatial", "runs/positional", "-n", "12", "--out", "where.png"]
    assert main([*argv, "--rows", "3", "--columns", "2"]) == 0
    said = capsys.readouterr().out
    for text in ("test: 12 images", "95 % interval", "runs/spatial", "runs/positional"):
        assert text in said
    assert said.count("another image's h") == 2
    assert said.count("minus the first run") == 1
    with Image.open("where.png") as picture:
        assert picture.format == "PNG"
    assert (user_folder / "where.npz").read_text() == "somebody's"
    assert main([*argv, "--json"]) == 1
    assert "where.png exists" in capsys.readouterr().err
    assert main(["where", "runs/spatial", "-n", "12", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["runs"][0]["run"] == "runs/spatial"
    assert found["real"]["low"] < found["real"]["mean"] < found["real"]["high"]


def test_a_picture_of_another_kind_is_refused(
    eyes: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["where", str(eyes[0]), "--out", "where.npz"]) == 1
    assert "the picture is written as .png, not as where.npz" in capsys.readouterr().err
