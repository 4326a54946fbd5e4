"""The commands on portraits, with a run on embeddings of an untrained FaceNet."""

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from repr_toolkit.analyses.likeness import ANALYSIS
from repr_toolkit.analyses.likeness.matching import choose_people, hardest, match
from repr_toolkit.cli import main
from repr_toolkit.data.wheels import package_folder
from repr_toolkit.encoders import FaceNet
from repr_toolkit.page.blocks import Notes, Picture, Table
from repr_toolkit.runs.kept import kept_in
from repr_toolkit.runs.run import Run, load
from toys.encoders import ONE_HOT
from toys.runs import untrained_run

PEOPLE, EACH = 24, 3


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FaceNet as it is before training, in a file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_file(FaceNet(None).net.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def run(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of training on 24 made-up people."""
    folder = tmp_path_factory.mktemp("portraits")
    draw = np.random.default_rng(0)
    people = np.repeat(np.arange(PEOPLE), EACH)
    centre = draw.normal(size=(PEOPLE, 512))[people] + draw.normal(size=(len(people), 512)) / 2
    np.savez(
        folder / "people.npz",
        image=draw.integers(0, 256, (len(people), 3, 8, 8), dtype=np.uint8),
        identity=np.array([f"person {code:02}" for code in people]),
        embedding=(centre / np.linalg.norm(centre, axis=1, keepdims=True)).astype(np.float32),
    )
    recipe = {
        "data": {"source": str(folder / "people.npz"), "batch_size": 4},
        "model": {
            "encoder": {
                "class_path": "repr_toolkit.encoders.Precomputed",
                "init_args": {
                    "h_dim": 512,
                    "scale": 22.6,
                    "made_by": FaceNet(str(weights)).identity,
                },
            },
            "decoder": {
                "class_path": "repr_toolkit.decoders.GatedPixelCNN",
                "init_args": {"features": 6, "layers": 2},
            },
        },
        "training": {"steps": 2, "validate_every": 2},
        "trainer": {"accelerator": "cpu", "devices": 1},
    }
    (folder / "portraits.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["train", str(folder / "portraits.yaml"), "--runs-dir", str(folder / "runs")]) == 0
    return folder / "runs" / "portraits"


@pytest.fixture(scope="module")
def photograph() -> str:
    """One with a face."""
    return str(package_folder("skimage") / "data" / "astronaut.png")


def images(path: str) -> np.ndarray:
    with np.load(path) as file:
        return file["image"]


def test_portraits_of_a_photograph(run: Path, weights: Path, photograph: str) -> None:
    argv = ["portraits", str(run), photograph, photograph, "-n", "3", "--weights", str(weights)]
    assert main(argv) == 0
    found = images("portraits.npz").reshape(2, 4, 3, 8, 8)
    assert np.array_equal(found[0], found[1])  # the same person under the same noise
    assert not np.array_equal(found[0, 1], found[0, 2])
    with Image.open("portraits.png") as picture:
        assert picture.width > picture.height


def test_the_ends_of_an_interpolation_are_the_portraits(
    run: Path, weights: Path, photograph: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first and last step are drawn as the portraits of the two photographs are."""
    mirrored = str(tmp_path / "mirrored.png")
    with Image.open(photograph) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    common = ["--weights", str(weights)]
    assert main(["portraits", str(run), photograph, mirrored, "-n", "2", *common]) == 0
    portraits = images("portraits.npz").reshape(2, 3, 3, 8, 8)
    for way in ("linear", "spherical"):
        argv = ["interpolate", str(run), photograph, mirrored, "--steps", "4", "--rows", "2"]
        assert main([*argv, "--way", way, "--out", f"{way}.png", *common]) == 0
        rows = images(f"{way}.npz").reshape(2, 6, 3, 8, 8)
        np.testing.assert_array_equal(rows[:, [0, 5]], portraits[None, :, 0].repeat(2, 0))
        np.testing.assert_array_equal(rows[:, [1, 4]], portraits[:, 1:].swapaxes(0, 1))
    assert "closer in" in capsys.readouterr().out


def test_likeness_of_random_portraits_is_chance(
    run: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["likeness", str(run), "--split", "train", "--weights", str(weights), "-n", "2"]
    argv += ["--temperatures", "1", "0.5", "--shown", "5", "--out", "likeness.png", "--json"]
    assert main(argv) == 0
    result = json.loads(capsys.readouterr().out)
    galleries = [row["gallery"] for row in result["rows"]]
    assert galleries == ["another photograph"] * 5 + ["the same photograph"] * 5
    rows = {row["faces"]: row for row in result["rows"][:5]}
    people = rows["portraits, T = 1"]["match"]["people"]
    assert rows["portraits, T = 0.5"]["match"]["faces"] == 2 * people
    auc = rows["portraits, T = 1"]["match"]["auc"]
    assert auc["low"] <= 0.5 <= auc["high"]
    assert result["rows"][7]["faces"] == "the photograph itself"
    assert result["rows"][7]["second"]["rank_1"]["value"] == 1
    copies = result["copies"]
    assert copies["real"]["training"] < copies["real"]["others"]  # of the training split itself
    assert 0 < copies["portraits"]["others"] < 1
    assert [(row["faces"], row["gallery"]) for row in result["closer"]] == [
        (row["faces"], row["gallery"]) for row in result["rows"] if "portraits" in row["faces"]
    ]
    assert all(
        -1 <= row[by]["value"] <= 1 for row in result["closer"] for by in ("match", "second")
    )
    shown = images("likeness.npz")
    assert shown.shape == (5 * 5, 3, 8, 8)
    kept = kept_in(run, "likeness")[0]
    assert kept.command == f"repr-toolkit {' '.join(argv)}"
    np.testing.assert_array_equal(kept.arrays["pictures"].reshape(shown.shape), shown)
    table, closer, notes, picture = ANALYSIS.blocks({"run": kept})
    assert isinstance(closer, Table)
    assert len(closer.rows) == len(result["closer"])
    assert isinstance(table, Table)
    assert [row.label for row in table.rows] == [*rows, *rows]
    groups = [row.group for row in table.rows]
    assert groups == [f"against {gallery}" for gallery in galleries]
    assert isinstance(notes, Notes)
    assert isinstance(picture, Picture)
    assert picture.columns == ["photograph", "portrait", "portrait", "by pixels", "by embedding"]


def test_copies_of_a_photograph_are_as_like_as_it_is(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Matched with the photograph that they copy they are perfect; with another one they are not.

    What stands for the FaceNet knows the embeddings of all images.
    """
    split = Run(run).load_data().splits["train"]
    first, second = (split[places] for places in choose_people(split))
    known = {
        image.numpy().tobytes(): h
        for image, h in zip(split[:]["image"], split.column("embedding"), strict=True)
    }

    def facenet(faces: torch.Tensor) -> torch.Tensor:
        return torch.stack([known[face.numpy().tobytes()] for face in faces])

    def copies(decoder: Any, h: torch.Tensor, noise: torch.Tensor, **how: Any) -> torch.Tensor:
        return first["image"][:, None].expand(-1, noise.shape[1], -1, -1, -1)

    module = import_module("repr_toolkit.analyses.likeness.measure")
    monkeypatch.setattr(module, "facenet_of", lambda model, weights: facenet)
    monkeypatch.setattr(module, "decode", copies)
    rows = ANALYSIS.measure(Run(run), "train", n=2).as_dict()["rows"]
    other, same = (row for row in rows if row["faces"] == "portraits, T = 1")
    assert same["match"]["rank_1"]["value"] == same["second"]["rank_1"]["value"] == 1
    a, b = (batch["embedding"].numpy().astype(np.float64) for batch in (first, second))
    expected = match((a @ b.T).repeat(2, 0), np.arange(len(a)).repeat(2), hardest(b))
    assert other["match"]["auc"]["value"] == pytest.approx(expected.auc.value)
    assert other["match"]["auc_hard"]["value"] == pytest.approx(expected.auc_hard.value)
    auc = other["second"]["auc"]  # the pixels of two photographs have nothing in common
    assert auc["low"] <= 0.5 <= auc["high"]


def test_another_facenet_may_judge(
    run: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(1)
    other = tmp_path / "other.safetensors"
    save_file(FaceNet(None).net.state_dict(), other)
    argv = ["likeness", str(run), "--split", "train", "--people", "10", "--weights", str(weights)]
    assert main([*argv, "--judge", str(other)]) == 0
    assert f"second: by {FaceNet(str(other)).identity}" in " ".join(capsys.readouterr().out.split())
    assert main([*argv, "--judge", str(weights)]) == 1
    assert "another one is to judge them" in capsys.readouterr().err


def test_likeness_prints_a_table(
    run: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["likeness", str(run), "--split", "train", "--people", "10", "--weights", str(weights)]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    for row in ("portraits, T = 1", "the photograph", "the most similar", "by whitened pixels"):
        assert row in printed
    assert max(map(len, printed.splitlines())) <= 100
    portraits_less_training_faces = 1
    intervals = re.findall(r"\d\.\d{3}–\d\.\d{3}", printed)
    assert len(intervals) == 2 * 4 * 5 + portraits_less_training_faces


def test_the_likeness_of_few_people_has_no_interval(
    run: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["likeness", str(run), "--split", "train", "--people", "2", "--weights", str(weights)]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert not re.findall(r"\d\.\d{3}–\d\.\d{3}", printed)
    assert "2 people are fewer than 5" in " ".join(printed.split())


def test_whose_likeness_can_be_measured(run: Path, tmp_path: Path) -> None:
    assert ANALYSIS.obstacle(Run(run)) is None
    for name, encoder, reason in (("alone", None, "no encoder"), ("labels", ONE_HOT, "FaceNet")):
        other = untrained_run(tmp_path / name, encoder=encoder)
        assert reason in (ANALYSIS.obstacle(other) or "")


def test_another_facenet_is_refused(
    run: Path, photograph: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(1)
    other = tmp_path / "other.safetensors"
    save_file(FaceNet(None).net.state_dict(), other)
    assert main(["portraits", str(run), photograph, "--weights", str(other)]) == 1
    said = capsys.readouterr().err
    assert f"trained on embeddings of {load(run).encoder.made_by}, but {other} is FaceNet" in said


def test_weights_that_are_not_here_are_asked_for(
    run: Path,
    photograph: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("REPR_TOOLKIT_DATA", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert main(["portraits", str(run), photograph]) == 1
    assert "not on this machine (there are none); give their file by --weights" in (
        capsys.readouterr().err
    )


def test_a_photograph_without_a_face_is_named(
    run: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = str(tmp_path / "grey.png")
    Image.new("RGB", (200, 200), "grey").save(grey)
    assert main(["portraits", str(run), grey, "--weights", str(weights)]) == 1
    assert f"{grey}: no face found" in capsys.readouterr().err


def test_a_photograph_that_is_not_there_is_named(
    run: Path, weights: Path, photograph: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for argv in (
        ["portraits", str(run), "no.png"],
        ["interpolate", str(run), photograph, "no.png"],
    ):
        assert main([*argv, "--weights", str(weights)]) == 1
        assert capsys.readouterr().err == "repr-toolkit: error: there is no picture no.png\n"


def test_a_model_that_takes_no_pictures_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = str(untrained_run(tmp_path / "alone", encoder=None).path)
    labels = str(untrained_run(tmp_path / "labels", encoder=ONE_HOT).path)
    seeing = str(untrained_run(tmp_path / "seeing").path)
    for name in ("a.png", "b.png"):
        Image.new("L", (8, 8)).save(name)
    for argv, told in (
        (["portraits", alone, "a.png"], "the model has no encoder: it draws nobody in particular"),
        (["interpolate", alone, "a.png", "b.png"], "no encoder, and so no h of a picture"),
        (["interpolate", labels, "a.png", "b.png"], "reads 'label', not pictures; give numbers"),
        (["interpolate", seeing, "c.png", "b.png"], "there is no picture c.png"),
    ):
        assert main(argv) == 1
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1
