"""The commands `traverse` and `edit`: pictures in, pictures and numbers out; errors in a line."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repr_toolkit.analyses.classification import pixel_classifiers
from repr_toolkit.cli import main
from repr_toolkit.runs.kept import kept_in
from repr_toolkit.runs.run import Run
from toys.decoders import BERNOULLI, COPIES
from toys.encoders import ONE_HOT, PIXELS
from toys.runs import untrained_run


@pytest.fixture(autouse=True, scope="module")
def quick_judges() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixel_classifiers, "EPOCHS", 1)
        patch.setattr(pixel_classifiers, "SHOWN", 0)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("runs") / "perfect"
    return untrained_run(path, encoder=PIXELS, decoder=COPIES)


def test_a_traversal_of_a_split(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t.png"
    argv = ["traverse", str(run.path), "--along", "coordinate:9", "mean:7", "--images", "2"]
    assert main([*argv, "--steps", "3", "--span", "2", "--measure", "5", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "| coordinate 9 | −2 … 2 |" in printed
    assert str(out) in printed
    assert "by a classifier of label" in " ".join(printed.split())
    assert max(map(len, printed.splitlines()[:-2])) <= 100
    with Image.open(out) as picture:
        assert picture.width > 500
    with np.load(out.with_suffix(".npz")) as kept:
        assert kept["frames"].shape == (2, 2, 3, 1, 8, 8)
        assert kept["alphas"].tolist() == [[-2, 0, 2]] * 2
        assert (kept["frames"][:, :, 1] == kept["image"]).all()


def test_a_traversal_of_a_split_is_kept_and_one_of_given_pictures_is_not(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = kept_in(run.path, "traversal")
    argv = ["traverse", str(run.path), "--steps", "3", "--measure", "4", "--images", "2", "--json"]
    assert main(argv) == 0
    result = json.loads(capsys.readouterr().out)
    newest, *older = kept_in(run.path, "traversal")
    assert [kept.file for kept in older] == [kept.file for kept in before]
    assert result == {"command": newest.command, **newest.numbers}
    assert newest.command == f"repr-toolkit {' '.join(argv)}"
    assert len(result["directions"]) == 14
    assert len(result["directions"][-1]["judged"]) == 3
    assert result["judges"][0]["key"] == "label"
    assert not list(tmp_path.iterdir())

    argv = ["traverse", str(run.path), "0", "--along", "coordinate:1", "--alpha", "-2", "1"]
    assert main([*argv, "--measure", "0"]) == 0
    assert [kept.file for kept in kept_in(run.path, "traversal")] == [
        kept.file for kept in (newest, *older)
    ]
    printed = capsys.readouterr().out
    assert "| coordinate 1 | −2 … 1 |" in printed
    assert printed.splitlines()[-2:] == ["traverse.png", "traverse.npz"]


def test_an_edit_of_pictures_and_of_numbers(run: Run, tmp_path: Path) -> None:
    original = run.load_data().splits["test"][[17]]["image"]
    file = tmp_path / "digit.png"
    Image.fromarray((original[0, 0].numpy() * 15).astype(np.uint8)).save(file)
    frames = {}
    for name, given in (("file", str(file)), ("number", "17")):
        out = tmp_path / f"{name}.png"
        argv = ["edit", str(run.path), given, "--along", "mean:7", "--alpha", "-1", "0", "1"]
        assert main([*argv, "--out", str(out)]) == 0
        with np.load(out.with_suffix(".npz")) as kept:
            frames[name] = kept["frames"]
            assert kept["alphas"].tolist() == [[-1, 0, 1]]
    assert frames["number"].shape == (1, 1, 3, 1, 8, 8)
    assert (frames["number"][0, 0, 1] == original[0].numpy()).all()
    # A file's 256 levels are quantised to 17, which the file holds to one level.
    assert np.abs(frames["file"].astype(int) - frames["number"]).max() <= 1


def test_what_cannot_be_moved(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = untrained_run(tmp_path / "labels", encoder=ONE_HOT, decoder=BERNOULLI)
    unconditional = untrained_run(tmp_path / "none", encoder=None)
    path, along = str(run.path), ["--along", "mean:7"]
    for name in ("a.png", "cat.png"):
        Image.new("L", (8, 8)).save(name)
    for argv, told in (
        (["traverse", path, "--along", "smile"], "'smile' names no direction: there are coord"),
        (["traverse", path, "--along", "mean:smile"], "neither a class nor an attribute 'smile'"),
        (["traverse", path, "--along", "coordinate:64"], "coordinates 0…63, not 64"),
        (["traverse", path, "--steps", "1"], "at least 2 steps"),
        (["traverse", path, "--split", "valid"], "no split 'valid'"),
        (["traverse", str(unconditional.path)], "none has no encoder: there is no h to move"),
        (["edit", path, "180", *along], "has the images 0…179, not 180"),
        (["edit", path, "nowhere.png", *along], "nowhere.png"),
        (["edit", path, "3", "a.png", *along], "not both: there is no file 3"),
        (
            ["edit", path, "1", *along, "--out", "x.gif"],
            "(and .npz) or as .npz alone, not as x.gif",
        ),
        (["traverse", path, "--span", "inf"], "a finite span above 0"),
        (["edit", path, "²", *along], "there is no picture ²"),
        (
            ["edit", str(labels.path), "cat.png", *along],
            "reads 'label', not pictures; give numbers",
        ),
    ):
        out = [] if "--out" in argv else ["--out", str(tmp_path / "out.png")]
        assert main([*argv, *out]) == 1
        error = capsys.readouterr().err
        assert error.startswith("repr-toolkit: error: ")
        assert error.count("\n") == 1
        assert told in error
    assert not (tmp_path / "out.png").exists()


def test_labels_can_be_moved_by_number(run: Run, tmp_path: Path) -> None:
    labels = untrained_run(tmp_path / "labels", encoder=ONE_HOT, decoder=BERNOULLI)
    argv = ["edit", str(labels.path), "0", "1", "--along", "mean:7", "coordinate:2"]
    assert main([*argv, "--alpha", "0", "1", "--out", str(tmp_path / "o.png")]) == 0
    with np.load(tmp_path / "o.npz") as kept:
        assert kept["frames"].shape == (2, 2, 2, 1, 8, 8)
