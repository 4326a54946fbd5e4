"""Verification of runs and of stored embeddings, beside what they have to beat."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repr_toolkit.analyses.verification import ANALYSIS
from repr_toolkit.analyses.verification.baselines import (
    PIXELS,
    WHITENED,
    baselines,
    class_whitened_pca,
)
from repr_toolkit.analyses.verification.blocks import notes
from repr_toolkit.analyses.verification.measure import measure, measure_stored
from repr_toolkit.cli import main
from repr_toolkit.config.recipe import complete
from repr_toolkit.data import ImageData, load_data
from repr_toolkit.models.verification import verify
from repr_toolkit.page.blocks import Cell, Picture, Table
from repr_toolkit.page.terminal import as_text
from repr_toolkit.runs.kept import keep, kept_in
from repr_toolkit.runs.run import Run
from repr_toolkit.support.roc import Line, roc_picture
from repr_toolkit.support.tables import number_text
from repr_toolkit.training.train import train
from toys.encoders import ONE_HOT
from toys.runs import untrained_run

# What is to be beaten


def test_whitening_makes_people_vary_equally_in_every_direction(faces: Path) -> None:
    data = load_data(str(faces))
    rows = data.arrays["image"].reshape(80, -1).astype(np.float32) / 255
    people = data.arrays["identity"]
    whitened = class_whitened_pca(rows, people)(rows)
    assert whitened is not None
    assert whitened.shape == (80, (80 - 20) // 4)
    means = np.stack([whitened[people == code].mean(0) for code in range(20)])
    within = whitened - means[people]
    covariance = within.T @ within / (80 - 20)
    assert covariance == pytest.approx(np.eye(15), abs=1e-3)
    assert class_whitened_pca(rows[::4], people[::4]) is None  # one image of each


def test_whitening_finds_the_people_behind_what_varies_within_them() -> None:
    """Where a person's images differ most says nothing, and outweighs all else in the pixels."""
    draw = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 5)
    rows = np.concatenate([draw.normal(size=(40, 6))[people], 30 * draw.normal(size=(200, 4))], 1)
    rows[:, :6] += 0.2 * draw.normal(size=(200, 6))
    rows = rows @ np.linalg.qr(draw.normal(size=(10, 10)))[0]
    fitted, tested = people < 20, people >= 20
    whitened = class_whitened_pca(rows[fitted], people[fitted])(rows[tested])
    assert whitened is not None
    assert verify(rows[tested], people[tested]).auc.value < 0.6
    assert verify(whitened, people[tested]).auc.value > 0.95


def test_baselines_are_fitted_on_the_training_people_alone(faces: Path) -> None:
    data = load_data(str(faces), fold=0, folds=2)
    found = baselines(data, "test")
    assert list(found) == [PIXELS, WHITENED]
    rows, people = data.arrays["image"].reshape(80, -1) / 255, data.arrays["identity"]
    train_rows, test_rows = data.rows["train"], data.rows["test"]
    centred = rows[test_rows] - rows[train_rows].mean(0)
    expected = verify(centred, people[test_rows]).auc.value
    assert found[PIXELS].auc.value == pytest.approx(expected, abs=1e-6)
    images = data.arrays["image"].copy()
    images[data.rows["val"]] = 0  # what is neither fitted nor tested on plays no part
    other = ImageData("other", {"image": images, "identity": people}, data.rows)
    assert baselines(other, "test")[WHITENED].auc.number == found[WHITENED].auc.number


# Reports


def test_a_run_is_measured_by_its_h(run: Run) -> None:
    report = measure(run)
    assert list(report.methods) == ["TripletNet, h (6)", PIXELS, WHITENED]
    assert (report.first.images, report.first.people) == (40, 10)
    validated = measure(run, "val")
    assert validated.first.auc.value == pytest.approx(run.info["val_auc"], abs=1e-6)
    assert validated.first.one_nn.value == pytest.approx(run.info["val_one_nn"])
    gain = report.gain()
    assert gain.value == report.first.auc.value - report.methods[PIXELS].auc.value
    assert gain.low is not None
    assert gain.high is not None
    assert gain.low <= gain.value <= gain.high


def test_the_gain_is_paired_by_people(faces: Path) -> None:
    """A method beside itself gains exactly nothing in every sample of people."""
    report = measure_stored(load_data(str(faces), fold=0, folds=2))
    gain = replace(report, methods={"h": report.first, PIXELS: report.first}).gain()
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)


def test_stored_embeddings_are_measured(faces: Path) -> None:
    data = load_data(str(faces))
    report = measure_stored(data, "train")
    embedding = data.splits["train"].column("embedding").numpy()
    people = data.splits["train"].column("identity").numpy()
    assert report.first.auc.number == verify(embedding, people).auc.number
    assert next(iter(report.methods)) == "embedding (6)"


def test_people_who_are_in_training_too_are_spoken_of(faces: Path) -> None:
    apart = measure_stored(load_data(str(faces), fold=0, folds=2)).as_dict()
    assert apart["people_trained_on"] == 0
    assert "in the training images too" not in " ".join(notes([apart]))
    known = measure_stored(load_data(str(faces), fold=0, folds=2), "train")
    assert known.trained_on == known.first.people
    assert "in the training images too" in " ".join(notes([known.as_dict()]))


def test_curves_are_kept_as_they_are_drawn(faces: Path) -> None:
    report = measure_stored(load_data(str(faces), fold=0, folds=2))
    arrays = report.arrays()
    rates = arrays["false_accept_rate"]
    assert (rates[0], rates[-1]) == (1e-4, 1)
    for true, method in zip(arrays["true_accept_rate"], report.methods.values(), strict=True):
        false, expected = method.curve
        for at in (0, 300, 500, 700, 800):
            assert true[at] == np.float32(expected[false <= rates[at]].max())


def test_every_method_has_a_colour_and_a_line_of_its_own() -> None:
    curve = (np.array([0, 0.1, 1]), np.array([0.3, 0.8, 1]))
    one = roc_picture([Line("one", [curve])])
    two = roc_picture([Line("one", [curve]), Line("two", [(curve[0], curve[1] ** 2)])])
    colours = [{*map(tuple, np.asarray(p.convert("RGB")).reshape(-1, 3))} for p in (one, two)]
    assert (0, 114, 178) in colours[0]
    assert (213, 94, 0) in colours[1] - colours[0]


# The command


def test_verify_prints_the_table_and_keeps_it(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "roc.png"
    argv = ["verify", str(run.path), "--out", str(out)]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("test: 40 images of 10 people, 60 same and 720 different pairs")
    for name in ("TripletNet, h (6)", PIXELS, WHITENED, "over 10 people, 40 images"):
        assert name in " ".join(printed.split())
    report = measure(run)
    cells = [cell.strip() for cell in lines[4].split("|")[1:-1]]
    assert cells[1] == number_text(report.first.auc.number, digits=3)
    assert cells[3:5] == ["–", "–"]  # 720 different pairs are fewer than 1,000
    with Image.open(out) as picture:
        assert picture.format == "PNG"
    [kept] = kept_in(run.path, ANALYSIS.name)
    assert kept.command == f"repr-toolkit {' '.join(argv)}"
    assert kept.numbers == json.loads(json.dumps(report.as_dict()))
    table, remarks, roc = ANALYSIS.blocks({"run": kept})
    assert isinstance(table, Table)
    assert isinstance(roc, Picture)
    assert [row.label for row in table.rows] == ["TripletNet, h (6)", PIXELS, WHITENED]
    assert as_text([table, remarks]) in printed
    accuracy = report.first.accuracy
    assert accuracy is not None
    assert accuracy.error is None  # ten folds of ten people share some
    assert table.rows[0].cells[1] == Cell(f"{100 * accuracy.value:.1f}")
    assert main(argv) == 1
    assert f"{out} exists" in capsys.readouterr().err
    assert main([*argv, "--overwrite"]) == 0


def test_runs_side_by_side_are_groups_of_one_table(run: Run) -> None:
    kept = keep(run, ANALYSIS.name, measure(run), "typed")
    table, _, *curves = ANALYSIS.blocks({"one": kept, "two": kept})
    assert isinstance(table, Table)
    assert [row.group for row in table.rows] == ["one"] * 3 + ["two"] * 3
    assert len(curves) == 2


def test_verify_prints_json(faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(faces), "--split", "train", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["similarity"] == "cosine"
    own = printed["methods"]["embedding (6)"]
    report = measure_stored(load_data(str(faces)), "train")
    assert own["auc"] == report.first.auc.number.as_dict()
    tar = report.first.tar[1e-2]
    assert tar is not None
    assert own["tar"] == {"0.01": tar.as_dict(), "0.001": None}
    assert printed["auc_above_pixels"] == report.gain().as_dict()


def test_what_can_be_verified(run: Run, faces: Path, tmp_path: Path) -> None:
    assert ANALYSIS.obstacle(run) is None
    assert ANALYSIS.obstacle(untrained_run(tmp_path / "digits")) == "digits has no identity"
    labels = untrained_run(tmp_path / "labels", encoder=ONE_HOT)
    assert "reads 'label', neither images" in (ANALYSIS.obstacle(labels) or "")
    alone = untrained_run(tmp_path / "alone", encoder=None)
    assert ANALYSIS.obstacle(alone) == "it has no encoder, and so no h"


def test_a_data_file_in_the_environments_folder_is_found(
    faces: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REPR_TOOLKIT_DATA", str(faces.parent))
    assert main(["verify", faces.name, "--split", "train"]) == 0
    assert capsys.readouterr().out.startswith("train: 64 images")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["nowhere"], "nowhere is no run, and no data either"),
        (["nowhere.npz"], "set --data.root or $REPR_TOOLKIT_DATA to its folder"),
        (["orl_faces", "--wandb"], "orl_faces is no run; --wandb logs to the run that training"),
        (["orl_faces"], "no stored embedding"),
        (["digits"], "digits has no stored embedding"),
        (["mnist5k", "--split", "half"], "no split 'half'"),
        (["orl_faces", "--out", "a.gif"], "written as .png, not as a.gif"),
        (["orl_faces", "--out", "no/where.png"], "the folder no of the picture"),
    ],
)
def test_what_cannot_be_verified_is_told_in_one_line(
    argv: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REPR_TOOLKIT_DATA", "here")
    assert main(["verify", *argv]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_run_without_an_encoder_has_nothing_to_verify(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = complete(
        {
            "data": {"source": str(faces)},
            "model": {"decoder": {"class_path": "toys.decoders.Independent"}},
            "training": {"steps": 1, "validate_every": 1},
            "trainer": {"accelerator": "cpu"},
        }
    )
    run = train(config, tmp_path / "run")
    assert main(["verify", str(run.path)]) == 1
    assert "has no encoder, so there is no h" in capsys.readouterr().err


def test_an_encoder_that_is_told_who_it_is_is_not_verified(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """h is then the answer: every number would be perfect, and mean nothing."""
    one_hot = {
        "class_path": "repr_toolkit.encoders.OneHot",
        "init_args": {"num_classes": 20, "source": "identity"},
    }
    config = complete(
        {
            "data": {"source": str(faces)},
            "model": {
                "encoder": one_hot,
                "decoder": {"class_path": "toys.decoders.Independent"},
            },
            "training": {"steps": 1, "validate_every": 1, "pictures": 0},
            "trainer": {"accelerator": "cpu"},
        }
    )
    run = train(config, tmp_path / "run")
    assert main(["verify", str(run.path)]) == 1
    error = capsys.readouterr().err
    assert f"the encoder of {run.path} reads 'identity', which is the answer itself" in error


def test_few_people_are_told_of_without_an_interval(
    faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = measure_stored(load_data(str(faces), fold=0, folds=5))
    assert report.first.people == 4
    assert "low" not in report.as_dict()["auc_above_pixels"]
    assert main(["verify", str(faces), "--split", "val"]) == 0  # two people
    printed = capsys.readouterr().out
    auc = measure_stored(load_data(str(faces)), "val").first.auc
    assert f"| {auc.value:.3f} |" in printed
    assert "No interval: “AUC”" in printed
    assert "2 people are fewer than 5" in printed
