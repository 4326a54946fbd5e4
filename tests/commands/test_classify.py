"""The command `classify`: its numbers are those of Bayes' rule, its errors say what is missing."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from repr_toolkit.analyses.classification import ANALYSIS, measure
from repr_toolkit.analyses.classification.bayes import classify
from repr_toolkit.cli import main
from repr_toolkit.page.blocks import Table
from repr_toolkit.runs.kept import keep, kept_in
from repr_toolkit.runs.run import Run, load
from repr_toolkit.support.stats import mean
from repr_toolkit.support.tables import number_text
from toys.encoders import ONE_HOT
from toys.runs import untrained_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return untrained_run(tmp_path_factory.mktemp("runs") / "classes", encoder=ONE_HOT)


def test_json(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(run.path), "--split", "val", "--batch-size", "50", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    expected = classify(load(run), run.load_data(), "val")
    assert result["accuracy"] == expected.accuracy.as_dict()
    assert result["confusion"] == expected.confusion.tolist()
    bits = expected.information_bits.mean()
    assert result["information_bits"]["value"] == pytest.approx(bits, abs=1e-4)
    assert (result["split"], result["levels"], result["likelihood"]) == ("val", 17, "exact")
    assert result["train_images"] == 1437
    assert result["baselines"] == []


def test_a_reader_sees_the_same(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(run.path)]) == 0
    out = capsys.readouterr().out
    found = classify(load(run), run.load_data())
    assert out.startswith("180 test images")
    for number in (
        number_text(found.accuracy, 100, 1),
        number_text(mean(found.true_posterior_bits)),
        number_text(mean(found.information_bits)),
        number_text(mean(found.bits_given_label)),
        number_text(mean(found.bits_marginal)),
        f"{found.prior_entropy:.3f}",
    ):
        assert f" {number} |" in out
    lines = out[out.index("true label in rows") :].splitlines()[4:14]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    printed = [[0 if cell == "·" else int(cell) for cell in row[1:]] for row in rows]
    np.testing.assert_array_equal(printed, found.confusion)
    assert [row[0] for row in rows] == list("0123456789")
    assert "--baselines" in out


def test_baselines_are_fitted_on_request_and_kept(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["classify", str(run.path), "--baselines"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    kept = kept_in(run.path, ANALYSIS.name)[0]
    assert kept.command == f"repr-toolkit {' '.join(argv)}"
    found = kept.numbers["baselines"]
    assert [baseline["name"] for baseline in found] == ["3-NN", "RBF-SVM", "small CNN"]
    assert all(baseline["accuracy"]["value"] > 0.9 for baseline in found)
    assert {baseline["train_images"] for baseline in found} == {1437}
    blocks = ANALYSIS.blocks({"one": kept, "the same": kept})
    assert [block.kind for block in blocks] == ["table", "table", "table", "table", "notes"]
    classifiers = blocks[3]
    assert isinstance(classifiers, Table)
    for row in classifiers.rows:
        accuracy, minus, how = row.cells
        assert "p " in minus.detail
        assert f"| {row.label} " in out
        assert f"{accuracy.text} ({accuracy.detail})" in out
        assert how.text in out


def test_a_matrix_of_many_classes_is_left_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keep(run, ANALYSIS.name, measure(run), "typed")
    monkeypatch.setattr(import_module("repr_toolkit.analyses.classification.blocks"), "WIDE", 9)
    assert [block.kind for block in ANALYSIS.blocks({"run": kept})] == ["table", "notes"]


def test_what_can_be_classified(run: Run, tmp_path: Path) -> None:
    assert ANALYSIS.obstacle(run) is None
    images = untrained_run(tmp_path / "images")
    assert ANALYSIS.obstacle(images) == "its encoder reads 'image', not labels"
    unconditional = untrained_run(tmp_path / "none", encoder=None)
    assert "no encoder" in (ANALYSIS.obstacle(unconditional) or "")


def test_what_cannot_be_classified(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reads_images = untrained_run(tmp_path / "images")
    unconditional = untrained_run(tmp_path / "none", encoder=None)
    for argv, told in (
        ([str(reads_images.path)], "reads 'image', not labels"),
        ([str(unconditional.path)], "no encoder"),
        ([str(run.path), "--split", "valid"], "no split 'valid'"),
        ([str(tmp_path / "nowhere")], "nowhere"),
    ):
        assert main(["classify", *argv]) == 1
        error = capsys.readouterr().err
        assert error.startswith("repr-toolkit: error: ")
        assert error.count("\n") == 1
        assert told in error
