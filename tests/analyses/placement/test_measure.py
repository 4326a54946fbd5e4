"""Decoders that paint what h says differ from those that do not; the command, end to end."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from repr_toolkit.analyses.placement import ANALYSIS
from repr_toolkit.analyses.placement.measure import distinct, measure_alike, obstacle
from repr_toolkit.analyses.placement.picture import picture
from repr_toolkit.cli import main
from repr_toolkit.page.blocks import Cell, Picture, Table
from repr_toolkit.runs.kept import Result, keep, kept_in, unsaved
from repr_toolkit.runs.run import Run
from repr_toolkit.support.choose import other_h
from repr_toolkit.support.stats import Number, share
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


def trained(path: Path, file: Path, encoder: dict[str, Any] | None, decoder: str) -> Run:
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
    return train(config, path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("placement")


@pytest.fixture(scope="module")
def eyes(folder: Path) -> list[Run]:
    """A run that paints the landmarks of h, and one whose pixels know nothing of them."""
    file = face_file(folder / "faces.npz", (1500, 50, 60))
    return [
        trained(folder / "painter", file, LANDMARKS, "toys.decoders.EyePainter"),
        trained(folder / "noise", file, LANDMARKS, "toys.decoders.Independent"),
    ]


@pytest.fixture(scope="module")
def quadrants(folder: Path) -> list[Run]:
    file = quadrant_file(folder / "quadrants.npz")
    return [
        trained(folder / "obedient", file, QUADRANT, "toys.decoders.QuadrantPainter"),
        trained(folder / "stubborn", file, QUADRANT, "toys.decoders.StubbornPainter"),
    ]


def number(result: Result, key: str) -> Number:
    return Number(**result.as_dict()[key])


def test_eyes_that_are_painted_where_h_says_are_read_there(eyes: list[Run]) -> None:
    painter, noise = measure_alike(eyes)
    assert painter.as_dict()["images"] == 60
    assert number(painter, "real").value < 0.6
    assert (number(painter, "own_h").high or 9) < 0.6
    assert (number(painter, "other_h").low or 0) > 1.2
    assert (number(noise, "own_h").low or 0) > 1.2
    assert "minus_first" not in painter.as_dict()
    difference = noise.as_dict()["minus_first"]
    assert difference["run"] == str(eyes[0].path)
    assert difference["low"] > 0.5
    own = [number(result, "own_h").value for result in (painter, noise)]
    assert difference["value"] == pytest.approx(own[1] - own[0])


def test_quadrants_are_counted(quadrants: list[Run]) -> None:
    obedient, stubborn = measure_alike(quadrants)
    stated = quadrants[0].load_data().splits["test"].column("quadrant").numpy()
    assert number(obedient, "real").value == 1
    assert number(obedient, "own_h") == share(np.ones(30))
    assert number(obedient, "other_h") == share(np.zeros(30))  # never where its own h says
    others = stated[other_h(torch.from_numpy(stated)[:, None])[0].numpy()]
    assert number(stubborn, "other_h").value == pytest.approx((others == 0).mean())
    assert number(stubborn, "own_h").value == pytest.approx((stated == 0).mean())
    assert stubborn.as_dict()["minus_first"]["high"] < 0


def test_runs_are_given_the_same_noise_and_h(eyes: list[Run]) -> None:
    def own(run: Run, **options: Any) -> Any:
        return measure_alike([run], images=10, **options)[0].arrays()["own_h"]

    alone = own(eyes[1])
    assert np.array_equal(alone, measure_alike(eyes, images=10)[1].arrays()["own_h"])
    assert not np.array_equal(alone, own(eyes[1], seed=1))


def test_a_picture_shows_no_h_twice(eyes: list[Run], quadrants: list[Run]) -> None:
    stated = quadrants[0].load_data().splits["test"].column("quadrant").numpy()
    assert sorted(stated[distinct(stated, 8)]) == [0, 1, 2, 3]
    assert len(distinct(stated, 2)) == 2
    landmarks = eyes[0].load_data().splits["test"].column("landmarks").numpy()
    assert distinct(landmarks, 3) == [0, 20, 40]


def test_each_row_of_the_picture_names_its_image(eyes: list[Run]) -> None:
    results = measure_alike(eyes, images=10, rows=3)
    arrays, held_out = results[0].arrays(), eyes[0].load_data().splits["test"]
    index = arrays["index"].tolist()
    assert np.array_equal(arrays["image"], held_out[index]["image"].numpy())
    names = [f"test {number}" for number in index]
    assert len(names) == 3
    assert [text.get_text() for text in picture(results).texts][-3:] == names
    kept = {run.path.name: unsaved(result, "") for run, result in zip(eyes, results, strict=True)}
    *_, shown = ANALYSIS.blocks(kept)
    assert isinstance(shown, Picture)
    assert shown.columns == names


def test_runs_that_cannot_be_measured_together_are_refused(
    eyes: list[Run], quadrants: list[Run], folder: Path
) -> None:
    with pytest.raises(ValueError, match="different keys"):
        measure_alike([eyes[0], quadrants[0]])
    elsewhere = face_file(folder / "others.npz", (50, 20, 20), seed=1)
    other = trained(folder / "other", elsewhere, LANDMARKS, "toys.decoders.EyePainter")
    with pytest.raises(ValueError, match=r"other was trained on other images.*painter"):
        measure_alike([eyes[0], other])
    plain = trained(folder / "plain", elsewhere, None, "toys.decoders.Independent")
    with pytest.raises(ValueError, match="plain: it has no encoder, and so no h"):
        measure_alike([plain])
    seeing = small()["model"]["encoder"]
    image = trained(folder / "image", elsewhere, seeing, "toys.decoders.Independent")
    with pytest.raises(
        ValueError, match=r"image: its encoder reads 'image'; .* 'landmarks' or 'quadrant'"
    ):
        measure_alike([image])
    with pytest.raises(ValueError, match="no runs"):
        measure_alike([])
    assert [obstacle(run) for run in (*eyes, *quadrants)] == [None] * 4
    assert "no encoder" in (obstacle(plain) or "")
    assert "reads 'image'; where things" in (obstacle(image) or "")


def test_runs_that_were_measured_alike_are_compared_image_by_image(quadrants: list[Run]) -> None:
    kept = {
        run.path.name: keep(run, "placement", measure_alike([run])[0], "typed") for run in quadrants
    }
    table, notes, *pictures = ANALYSIS.blocks(kept)
    assert isinstance(table, Table)
    assert list(table.columns) == ["obedient", "stubborn"]
    own, difference, *_ = table.rows
    assert own.cells[0].text == "100.0"
    assert difference.label == "own h, minus obedient"
    assert difference.cells[0] == Cell()
    expected = measure_alike(quadrants)[1].as_dict()["minus_first"]["value"]
    assert difference.cells[1].text == f"{100 * expected:.1f}".replace("-", "−")
    assert notes.kind == "notes"
    assert [block.kind for block in pictures] == ["picture"] * 2

    first = measure_alike(quadrants[:1], images=20)[0]
    kept["obedient"] = keep(quadrants[0], "placement", first, "typed")
    *tables, _, _, _ = ANALYSIS.blocks(kept)
    assert [len(block.rows) for block in tables if isinstance(block, Table)] == [3, 3]


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
    said = re.sub("“[^”]*”", "", capsys.readouterr().out)  # without the rows that notes name
    for text in ("12 test images of", "95 % interval", " spatial |", " positional |"):
        assert text in said
    assert said.count("another image’s h") == 1
    assert said.count("own h, minus spatial") == 1
    with Image.open("where.png") as picture:
        assert picture.format == "PNG"
    assert (user_folder / "where.npz").read_text() == "somebody's"
    assert main([*argv, "--json"]) == 1
    assert "where.png exists" in capsys.readouterr().err
    assert main(["where", "runs/spatial", "-n", "12", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["run"] == "runs/spatial"
    assert result["real"]["low"] < result["real"]["value"] < result["real"]["high"]
    assert main(["where", "runs/spatial", "runs/positional", "-n", "12", "--json"]) == 0
    _, second = json.loads(capsys.readouterr().out)
    assert second["minus_first"]["run"] == "runs/spatial"
    [kept] = kept_in(Path("runs/positional"), "placement")
    assert kept.command == "repr-toolkit where runs/spatial runs/positional -n 12 --json"


def test_a_picture_of_another_kind_is_refused(
    eyes: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["where", str(eyes[0].path), "--out", "where.npz"]) == 1
    assert "the picture is written as .png, not as where.npz" in capsys.readouterr().err
