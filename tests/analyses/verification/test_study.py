"""The verification of a study's encoders: of folds, of variants, and in the report."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from repr_toolkit import study as study_of_runs
from repr_toolkit.analyses.verification import ANALYSIS
from repr_toolkit.analyses.verification.baselines import (
    PIXELS,
    WHITENED,
)
from repr_toolkit.analyses.verification.measure import (
    measure,
    measure_alone,
    measure_stored,
    roc_lines,
)
from repr_toolkit.analyses.verification.study import csv_rows, means_text, variants_table
from repr_toolkit.cli import main
from repr_toolkit.config.recipe import apply_settings, complete, variants
from repr_toolkit.data import load_data
from repr_toolkit.page.blocks import Picture, Table
from repr_toolkit.page.intervals import ONE_RUN
from repr_toolkit.page.terminal import table_text
from repr_toolkit.report import write_report
from repr_toolkit.runs.kept import keep
from repr_toolkit.runs.run import Run, data_arguments, with_fingerprint
from repr_toolkit.study import INNER, inner_study, run_study
from repr_toolkit.support.tables import number_text
from repr_toolkit.training.variants import require_fitting
from toys.reports import Page


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
        assert cells["a, AUC"][2] == number_text(first.methods[WHITENED].auc.number, digits=3)
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


def test_the_mean_of_folds_has_the_interval_of_all_their_people(faces: Path) -> None:
    """Five folds of four people each have none, their twenty people have one."""
    folds = {str(k): measure_stored(load_data(str(faces), fold=k, folds=5)) for k in range(5)}
    *single, mean, _ = table_text(variants_table(folds, folds=True)).splitlines()
    assert "mean AUC" in mean
    assert mean.count("(0.") == 3
    assert not any("(0." in line for line in single)
    assert "Student's t over 20 people, 80 images" in means_text([*folds.values()])
    rows = csv_rows(folds, dict.fromkeys(folds, 1.0))
    assert {row["auc_interval_low"] for row in rows} == {None}


def test_a_study_of_folds_ends_in_their_verification(study: Path) -> None:
    names = sorted(path.name for path in study.iterdir())
    files = ["roc.png", "verification.csv", "verification.md"]
    assert names == [".lock", "analysis", "fold0", "fold1", *files]
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
    words = " ".join(text.split())
    assert "over 10 people, 40 images (fewer than 30: with caution)" in words
    assert ONE_RUN in words
    assert max(map(len, text.splitlines())) <= 100


def test_settings_are_chosen_on_people_whom_the_fold_does_not_test(
    config: dict[str, Any], tmp_path: Path
) -> None:
    sizes = {"narrow": 1, "wide": 5}
    choices = {name: {"model.encoder.init_args.h_dim": h_dim} for name, h_dim in sizes.items()}
    folds = {f"fold{fold}": {"data.fold": fold, "data.folds": 2} for fold in range(2)}
    data = {**config["data"], "batch_size": 8}
    whole = complete({**config, "data": data, "study": folds, "choose": choices})
    runs = run_study(whole, tmp_path)
    aucs = json.loads((tmp_path / "choice.json").read_text())["auc"]
    text = " ".join((tmp_path / "verification.md").read_text().split())
    for run in runs:
        data = run.load_data()
        tested = set(data.splits["test"].column("identity").tolist())
        means = {}
        for choice in choices:
            means[choice] = 0.0
            for inner in range(2):
                trained = Run(tmp_path / INNER / f"{run.path.name}.{choice}.{inner}")
                splits = trained.load_data().splits.values()
                assert not tested & {code for s in splits for code in s.column("identity").tolist()}
                means[choice] += measure_alone(trained).auc.value / 2
                assert aucs[trained.path.name] == measure_alone(trained).auc.value
        best = max(means, key=means.__getitem__)
        assert run.info["h_dim"] == sizes[best]
        assert f"{run.path.name} {best} ({means[best]:.4f})" in text
    assert "model.encoder.init_args.h_dim, among narrow, wide, by an inner" in text
    assert "No other setting was chosen so" in text

    # The same runs, of settings that the recipe says: the comparison speaks of no choice.
    said = {
        f"fold{fold}": {**folds[f"fold{fold}"], "model.encoder.init_args.h_dim": run.info["h_dim"]}
        for fold, run in enumerate(runs)
    }
    run_study(complete({**config, "data": whole["data"], "study": said}), tmp_path)
    assert "Chosen for each" not in (tmp_path / "verification.md").read_text()


def test_a_run_of_no_choice_stops_the_study_before_it_trains(
    config: dict[str, Any], tmp_path: Path
) -> None:
    whole = complete(
        {
            **config,
            "study": {"one": {"data.fold": 0, "data.folds": 2}},
            "choose": {str(h_dim): {"model.encoder.init_args.h_dim": h_dim} for h_dim in (1, 5)},
        }
    )
    path, h_dim = tmp_path / "one", "model.encoder.init_args.h_dim"
    settings = {"data.fold": 0, "data.folds": 2}
    Run.create(path, apply_settings(config, {**settings, h_dim: 3}))
    with pytest.raises(ValueError, match=r"one was made with other settings.*h_dim"):
        run_study(whole, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one"]
    choices = [apply_settings(config, {**settings, h_dim: number}) for number in (1, 5)]
    data = load_data(**data_arguments(choices[1]))
    made = Run.create(tmp_path / "made", with_fingerprint(choices[1], data))
    require_fitting(made, choices)
    with pytest.raises(ValueError, match="made was made with other settings"):
        require_fitting(made, choices[:1])
    require_fitting(Run(tmp_path / "none"), [])


def test_a_choice_has_the_mean_of_its_own_folds(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its name begins as another's."""
    asked: list[dict[str, Any]] = []

    @contextmanager
    def trained(config: dict[str, Any], *_: Any, **__: Any) -> Iterator[dict[str, str]]:
        asked.append(config)
        yield {name: name for name in config["study"]}

    def measured(run: str) -> MagicMock:
        return MagicMock(auc=MagicMock(value=aucs[run.rpartition(".")[0]]))

    aucs = {"fold0.h_1": 0.6, "fold0.h_1.5": 0.1, "fold0.h_2": 0.5}
    monkeypatch.setattr(study_of_runs, "trained_variants", trained)
    monkeypatch.setattr(study_of_runs, "measure_alone", measured)
    monkeypatch.setattr(study_of_runs, "_compare", MagicMock())
    choices = {name: {"seed": number} for number, name in enumerate(("h_1", "h_1.5", "h_2"))}
    folds = {"fold0": {"data.fold": 0, "data.folds": 2}}
    run_study(complete({**config, "study": folds, "choose": choices}), tmp_path)
    assert asked[1]["study"] == {"fold0": {**folds["fold0"], "seed": 0}}
    chosen = json.loads((tmp_path / "choice.json").read_text())["chosen"]
    assert chosen == ["fold0 h_1 (0.6000)"]


def test_two_inner_runs_of_one_name_are_refused(config: dict[str, Any]) -> None:
    fold = {"data.fold": 0, "data.folds": 2}
    recipe = complete({**config, "study": {"a": fold, "a.b": fold}, "choose": {"b.c": {}, "c": {}}})
    with pytest.raises(ValueError, match=r"choose: two inner runs would be a\.b\.c\.0; rename"):
        inner_study(recipe)


@pytest.mark.parametrize(
    ("choice", "study", "error"),
    [
        ({}, {"one": {}}, r"choose: .* a data\.fold in every variant"),
        (
            {},
            {"fold0": {"data.fold": 0}, "whole": None},
            r"choose: .* a data\.fold in every variant",
        ),
        ({"model.margin": 1}, {"fold0": {"data.fold": 0}}, r"study\.fold0\.a\.0: unknown setting"),
        ({}, {}, "it has no section `study`"),
    ],
)
def test_choices_need_folds_and_people_to_tell_apart(
    config: dict[str, Any], choice: dict[str, Any], study: dict[str, Any], error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        variants(inner_study(complete({**config, "choose": {"a": choice}}) | {"study": study}))


def test_an_inner_fold_is_within_a_fold(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"data\.inner is 0…3, beside a data\.fold, not 0"):
        complete({**config, "data": {**config["data"], "inner": 0}})


def test_a_finished_study_is_not_compared_again(
    study: Path, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folds = {f"fold{fold}": {"data.fold": fold, "data.folds": 2} for fold in range(2)}
    before = (study / "roc.png").read_bytes()
    run_study(complete({**config, "study": folds}), study)
    assert "compared before" in capsys.readouterr().out
    assert (study / "roc.png").read_bytes() == before
    (study / "verification.csv").unlink()
    run_study(complete({**config, "study": folds}), study)
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
    fold = Run(study / "fold0")
    kept = keep(fold, ANALYSIS.name, measure(fold), "typed", ANALYSIS.protocol)
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


def test_a_study_of_both_kinds_is_refused(config: dict[str, Any], tmp_path: Path) -> None:
    decoder = {"class_path": "toys.decoders.Independent"}
    variants = {"alone": {}, "both": {"model.metric": None, "model.decoder": decoder}}
    both = complete({**config, "study": variants})
    with pytest.raises(ValueError, match=r"some variants have a model\.decoder and others"):
        run_study(both, tmp_path / "study")
    assert not (tmp_path / "study").exists()
