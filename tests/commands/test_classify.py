"""The command `classify`: its numbers are those of Bayes' rule, its errors say what is missing."""

import json
from pathlib import Path

import numpy as np
import pytest

from repr_toolkit.analyses.classification.bayes import classify, summary
from repr_toolkit.cli import main
from repr_toolkit.runs.run import Run, load
from repr_toolkit.support.tables import with_interval
from toys.encoders import ONE_HOT
from toys.runs import untrained_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return untrained_run(tmp_path_factory.mktemp("runs") / "classes", encoder=ONE_HOT)


def test_json(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(run.path), "--split", "val", "--batch-size", "50", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    expected = json.loads(json.dumps(summary(classify(load(run), run.load_data(), "val"))))
    assert result["accuracy"] == expected["accuracy"]
    assert result["confusion"] == expected["confusion"]
    assert result["information_bits"]["mean"] == pytest.approx(
        expected["information_bits"]["mean"], abs=1e-4
    )
    assert (result["split"], result["levels"], result["likelihood"]) == ("val", 17, "exact")
    assert result["train_images"] == 1437
    assert result["baselines"] == []


def test_a_reader_sees_the_same(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(run.path)]) == 0
    out = capsys.readouterr().out
    found = classify(load(run), run.load_data())
    assert "test: 180 images" in out
    assert with_interval(found) in out
    rows = [line.split() for line in out[out.index("truth in rows") :].splitlines()[2:]]
    printed = [[0 if cell == "·" else int(cell) for cell in row[1:]] for row in rows]
    np.testing.assert_array_equal(printed, found.confusion)
    assert [row[0] for row in rows] == list("0123456789")


def test_baselines_are_fitted_on_request(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(run.path), "--baselines", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["baselines"]
    assert [baseline["name"] for baseline in found] == ["3-NN", "RBF-SVM", "small CNN"]
    assert all(baseline["accuracy"] > 0.9 for baseline in found)
    assert {baseline["train_images"] for baseline in found} == {1437}


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
