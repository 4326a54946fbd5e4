"""Verification of runs, of stored embeddings and of studies, beside what they have to beat."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

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
from repr_toolkit.analyses.verification.measure import measure, measure_stored, roc_lines
from repr_toolkit.analyses.verification.study import csv_rows, means_text, variants_table
from repr_toolkit.cli import main
from repr_toolkit.config.recipe import complete
from repr_toolkit.data import ImageData, load_data
from repr_toolkit.models.pairs import verify
from repr_toolkit.page.blocks import Picture, Table
from repr_toolkit.page.terminal import as_text, table_text
from repr_toolkit.report import write_report
from repr_toolkit.runs.kept import keep, kept_of
from repr_toolkit.runs.run import Run
from repr_toolkit.study import run_study
from repr_toolkit.support.roc import Line, roc_picture
from repr_toolkit.support.tables import number_text
from repr_toolkit.training.train import train
from toys.data import write_faces
from toys.encoders import ONE_HOT
from toys.reports import Page
from toys.runs import small_metric, untrained_run


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty people, four pictures each, with an embedding that tells them apart."""
    draw = np.random.default_rng(1)
    centres = draw.normal(size=(20, 6))[np.repeat(np.arange(20), 4)]
    embedding = (centres + 0.5 * draw.normal(size=(80, 6))).astype(np.float32)
    path = tmp_path_factory.mktemp("data") / "faces.npz"
    return write_faces(path, people=20, images=4, embedding=embedding)


def config_on(faces: Path, **settings: Any) -> dict[str, Any]:
    settings = {"data__batch_size": 16, "training__ema_decay": 0, **settings}
    return small_metric(data__source=str(faces), **settings)


@pytest.fixture(scope="module")
def run(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = config_on(faces, data__fold=0, data__folds=2)
    return train(config, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def study(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of two folds."""
    folds = {f"fold{fold}": {"data.fold": fold, "data.folds": 2} for fold in range(2)}
    folder = tmp_path_factory.mktemp("runs") / "faces"
    run_study(complete({**config_on(faces), "study": folds}), folder)
    return folder


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
    assert baselines(other, "test")[WHITENED].auc == found[WHITENED].auc


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
    assert report.first.auc == verify(embedding, people).auc
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
    for name in ("TripletNet, h (6)", PIXELS, WHITENED, "bootstrap over people"):
        assert name in " ".join(printed.split())
    report = measure(run)
    cells = [cell.strip() for cell in lines[4].split("|")[1:-1]]
    assert cells[1] == number_text(report.first.auc, digits=3)
    assert cells[3:5] == ["–", "–"]  # 720 different pairs are fewer than 1,000
    with Image.open(out) as picture:
        assert picture.format == "PNG"
    [kept] = kept_of(run, ANALYSIS.name)
    assert kept.command == f"repr-toolkit {' '.join(argv)}"
    assert kept.numbers == json.loads(json.dumps(report.as_dict()))
    table, remarks, roc = ANALYSIS.blocks({"run": kept})
    assert isinstance(table, Table)
    assert isinstance(roc, Picture)
    assert [row.label for row in table.rows] == ["TripletNet, h (6)", PIXELS, WHITENED]
    assert as_text([table, remarks]) in printed
    accuracy = report.first.accuracy
    assert accuracy is not None
    assert accuracy.error is not None
    assert table.rows[0].cells[1].detail == f"± {100 * accuracy.error:.1f}"
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
    assert own["auc"] == report.first.auc.as_dict()
    assert own["tar"] == {"0.01": report.first.tar[1e-2], "0.001": None}
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
        (["nowhere.npz"], "nowhere.npz; set $REPR_TOOLKIT_DATA to its folder"),
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
    assert "--data." not in error  # which verify does not take
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
    report = measure_stored(load_data(str(faces), fold=0, folds=4))
    assert report.first.people == 5
    assert "low" not in report.as_dict()["auc_above_pixels"]
    assert "fewer than 10 people" in " ".join(notes([report.as_dict()]))
    assert main(["verify", str(faces), "--split", "val"]) == 0  # two people
    printed = capsys.readouterr().out
    auc = measure_stored(load_data(str(faces)), "val").first.auc
    assert f"| {auc.value:.3f} |" in printed
    assert "fewer than 10 people" in printed


# A study


def test_a_variant_may_lack_a_method(faces: Path) -> None:
    """Class-whitened PCA, where its training people have too few images for it."""
    first = measure_stored(load_data(str(faces), fold=0, folds=2))
    second = measure_stored(load_data(str(faces), fold=1, folds=2))
    without = replace(second, methods={k: second.methods[k] for k in [*second.methods][:2]})
    names = ["embedding (6)", PIXELS, WHITENED]
    for reports in ({"a": first, "b": without}, {"b": without, "a": first}):
        lines = table_text(variants_table(reports, folds=True)).splitlines()
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
        assert rows[0] == ["", *names]
        cells = {row[0]: row[1:] for row in rows}
        assert cells["b, AUC"][2] == cells["b, 1-NN, %"][2] == "–"
        assert cells["a, AUC"][2] == number_text(first.methods[WHITENED].auc, digits=3)
        assert cells["mean AUC"][2] == cells["mean 1-NN, %"][2] == "–"  # not of all folds
        mean = (first.first.auc.value + second.first.auc.value) / 2
        assert cells["mean AUC"][0].startswith(f"{mean:.3f} (0.")
        told = means_text([*reports.values()])
        assert PIXELS in told
        assert WHITENED not in told
        assert len(csv_rows(reports, {"a": 1, "b": 2})) == 5
        assert [line.label.split(",")[0] for line in roc_lines([*reports.values()])] == names


def test_variants_of_other_encoders_share_the_first_column(faces: Path) -> None:
    first = measure_stored(load_data(str(faces), fold=0, folds=2))
    methods = {("h" if k == "embedding (6)" else k): v for k, v in first.methods.items()}
    reports = {"a": first, "b": replace(first, methods=methods)}
    heading = table_text(variants_table(reports, folds=False)).splitlines()[0]
    assert heading.count("|") == 5
    assert "embedding (6) or h" in heading
    assert [line.label.split(",")[0] for line in roc_lines([*reports.values()])] == [
        "embedding (6)",
        PIXELS,
        WHITENED,
        "h",
    ]


def test_the_mean_of_folds_of_few_people_has_no_interval(faces: Path) -> None:
    folds = {str(k): measure_stored(load_data(str(faces), fold=k, folds=4)) for k in range(4)}
    means = table_text(variants_table(folds, folds=True)).splitlines()[-2]
    assert "mean AUC" in means
    assert "(" not in means
    assert "(" not in means_text([*folds.values()])
    rows = csv_rows(folds, dict.fromkeys(folds, 1.0))
    assert {row["auc_interval_low"] for row in rows} == {None}


def test_a_study_of_folds_ends_in_their_verification(study: Path) -> None:
    names = sorted(path.name for path in study.iterdir())
    assert names == ["fold0", "fold1", "roc.png", "verification.csv", "verification.md"]
    with (study / "verification.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == 3 * ["fold0"] + 3 * ["fold1"]
    own = [row for row in rows if row["method"] == "TripletNet, h (6)"]
    aucs = [measure(Run(study / f"fold{fold}"), seed=fold + 1).first.auc.value for fold in range(2)]
    assert [float(row["auc"]) for row in own] == aucs
    assert all(float(row["training_seconds"]) > 0 for row in own)
    text = (study / "verification.md").read_text()
    assert f"{np.mean(aucs):.3f} (" in text.split("mean AUC")[1].splitlines()[0]
    assert "above raw pixels" in text or "beside raw pixels" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_finished_study_is_not_compared_again(
    study: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = {f"fold{fold}": {"data.fold": fold, "data.folds": 2} for fold in range(2)}
    before = (study / "roc.png").stat().st_mtime_ns
    run_study(complete({**config_on(faces), "study": folds}), study)
    assert "compared before" in capsys.readouterr().out
    assert (study / "roc.png").stat().st_mtime_ns == before
    (study / "verification.csv").unlink()
    run_study(complete({**config_on(faces), "study": folds}), study)
    assert (study / "verification.csv").is_file()


def test_a_variant_that_wandb_does_not_know_joins_the_studys_group(
    study: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    logged = MagicMock()
    monkeypatch.setattr("wandb.init", lambda **arguments: asked.append(arguments) or logged)
    variant = Run(study / "fold0")
    for each in (variant, variant, run):
        assert main(["verify", str(each.path), "--split", "val", "--wandb"]) == 0
    assert [(each["name"], each["group"]) for each in asked] == [
        ("fold0", "faces"),
        ("fold0", "faces"),
        ("run", None),
    ]
    ids = [each["id"] for each in asked]
    assert ids[0] == ids[1] == variant.wandb_id_file.read_text().strip() != ids[2]
    (numbers,) = logged.__enter__().log.call_args.args
    assert "verify/val/raw pixels/auc" in numbers
    assert "verify/val/tar_at_0.001" not in numbers  # not measured of so few
    assert {"report/verification/1", "report/verification/2"} <= numbers.keys()


def test_the_report_shows_encoders_that_were_trained_alone(study: Path, tmp_path: Path) -> None:
    kept = keep(Run(study / "fold0"), ANALYSIS.name, measure(Run(study / "fold0")), "typed")
    page = Page(write_report([study], tmp_path / "report.html").read_text("utf-8"))
    assert page.wrong == []
    ids = [attributes["id"] for attributes in page.all("section")]
    assert "summary" not in ids
    assert {"verification", "training", "origins"} <= {*ids}
    table, _, roc = ANALYSIS.blocks({"fold0": kept})
    assert isinstance(table, Table)
    assert isinstance(roc, Picture)
    assert table.rows[0].cells[0].text in page.text
    assert roc.alt in [picture["alt"] for picture in page.all("img")]
    assert f"repr-toolkit verify {study / 'fold1'}" in page.text


def test_a_study_of_both_kinds_is_refused(faces: Path, tmp_path: Path) -> None:
    decoder = {"class_path": "toys.decoders.Independent"}
    variants = {"alone": {}, "both": {"model.metric": None, "model.decoder": decoder}}
    config = complete({**config_on(faces), "study": variants})
    with pytest.raises(ValueError, match=r"some variants have a model\.decoder and others"):
        run_study(config, tmp_path / "study")
    assert not (tmp_path / "study").exists()
