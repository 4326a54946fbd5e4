"""A study of labels as h: the paired difference, Bayes' rule, Figure 3, classifiers of pixels."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from repr_toolkit.analyses.classification import classes
from repr_toolkit.analyses.classification.bayes import classify
from repr_toolkit.analyses.classification.classes import (
    class_samples,
    classify_if_few,
    shown_classes,
)
from repr_toolkit.analyses.comparison.measure import measure
from repr_toolkit.config.recipe import complete
from repr_toolkit.data import ImageData
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.runs.bits import bits_per_dim
from repr_toolkit.runs.run import Run, load
from repr_toolkit.study import run_study
from repr_toolkit.support.stats import mean
from repr_toolkit.support.tables import number_parts, number_text
from toys.encoders import ONE_HOT
from toys.runs import TINY, untrained_run

STUDY = {"unconditional": {"model.encoder": None}, "conditional": {"model.encoder": ONE_HOT}}


def recipe() -> dict[str, Any]:
    return complete({**TINY, "study": STUDY})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The runs of a study, trained for two steps and compared."""
    folder = tmp_path_factory.mktemp("studies") / "classes"
    return {run.path.name: run for run in run_study(recipe(), folder)}


def folder_of(study: dict[str, Run]) -> Path:
    return study["conditional"].path.parent


def line(study: dict[str, Run], name: str) -> dict[str, str]:
    with (folder_of(study) / "comparison.csv").open(encoding="utf-8", newline="") as file:
        return next(line for line in csv.DictReader(file) if line["variant"] == name)


def test_what_a_study_writes(study: dict[str, Run], capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(study)
    files = {path.name for path in folder.iterdir() if path.is_file()}
    tables = {"comparison.json", "comparison.csv", "comparison.md"}
    pictures = {"figure3.png", "samples.png"}
    assert files == {*tables, *pictures, ".lock"}
    for name in pictures:
        with Image.open(folder / name) as picture:
            assert picture.format == "PNG"
    before = (folder / "comparison.md").read_bytes()
    (folder / "comparison.md").unlink()
    capsys.readouterr()
    run_study(recipe(), folder)
    assert "compared before" in capsys.readouterr().out
    assert (folder / "comparison.md").read_bytes() == before


def test_the_difference_is_paired_by_image(study: dict[str, Run]) -> None:
    split = study["conditional"].load_data().splits["test"]
    bits = {name: bits_per_dim(load(run.path), split) for name, run in study.items()}
    difference = mean(bits["conditional"] - bits["unconditional"])
    found = line(study, "conditional")
    assert float(found["bits_per_dim_minus_first"]) == pytest.approx(difference.value, abs=1e-7)
    error = float(found["bits_per_dim_minus_first_standard_error"])
    assert error == pytest.approx(difference.error, rel=1e-4)
    assert line(study, "unconditional")["bits_per_dim_minus_first"] == ""
    text = (folder_of(study) / "comparison.md").read_text("utf-8")
    assert "| minus unconditional " in text
    assert number_text(difference) in text
    assert number_parts(difference)[2] in text


def test_bayes_rule_stands_in_the_table(study: dict[str, Run]) -> None:
    run = study["conditional"]
    data = run.load_data()
    expected = classify(load(run.path), data)
    found = line(study, "conditional")
    accuracy = expected.accuracy
    assert float(found["bayes"]) == accuracy.value
    assert (float(found["bayes_low"]), float(found["bayes_high"])) == (accuracy.low, accuracy.high)
    first = bits_per_dim(load(study["unconditional"].path), data.splits["test"])
    marginal = mean(expected.bits_marginal - first)
    key = "bits_per_dim_marginal_minus_first"
    assert float(found[key]) == pytest.approx(marginal.value, abs=1e-7)
    for key, values in {
        "bits_per_dim_marginal": expected.bits_marginal,
        "true_posterior_bits": expected.true_posterior_bits,
        "information_bits": expected.information_bits,
    }.items():
        assert float(found[key]) == pytest.approx(values.mean(), abs=1e-4)
    assert line(study, "unconditional")["bayes"] == ""


def test_the_report_says_what_its_numbers_mean(study: dict[str, Run]) -> None:
    text = (folder_of(study) / "comparison.md").read_text("utf-8")
    assert max(map(len, text.splitlines())) <= 100
    flat = " ".join(text.split())
    for part in (
        "Bayes' rule, conditional",
        "| 3-NN ",
        "| RBF-SVM ",
        "| small CNN ",
        "| logistic regression ",
        "**p(x|y) is told the label, which costs bits of its own**",
        "fitted to 1,437 of the 1,437 training images",
        "figure3.png: Samples of each class",
        "label not told",
    ):
        assert part in flat
    for part in ("MSE", "figure6", "probe", "own cost"):  # nothing of what is not there
        assert part not in text


def test_an_unconditional_study_has_samples_alone_for_a_figure(tmp_path: Path) -> None:
    runs = {name: untrained_run(tmp_path / name, encoder=None) for name in ("one", "the_same")}
    files = measure(runs).arrays()
    tables = {"comparison.json", "comparison.csv", "comparison.md"}
    assert {*files} == {*tables, "samples.png"}
    assert "| minus one " in files["comparison.md"].tobytes().decode()


# Figure 3


def test_samples_of_a_class_are_drawn_from_its_h(study: dict[str, Run]) -> None:
    model = load(study["conditional"].path)
    group = class_samples(model, [7, 2, 7], "conditional", seed=4)
    assert group.images.shape == (3, 10, 1, 8, 8)
    assert torch.equal(group.images[0], group.images[2])  # a column has the same noise
    noise = common_noise(model.decoder, 10, 4)
    expected = model.decoder.sample(torch.eye(10)[[2] * 10], noise=noise)
    assert torch.equal(group.images[1], expected)


def with_classes(count: int, names: list[str]) -> ImageData:
    labels = np.arange(3 * count, dtype=np.int64) % count
    images = np.zeros((3 * count, 1, 2, 2), np.uint8)
    rows = {name: np.arange(count) + i * count for i, name in enumerate(("train", "val", "test"))}
    return ImageData("many", {"image": images, "label": labels}, rows, names={"label": names})


def test_classes_of_a_figure() -> None:
    assert shown_classes(with_classes(3, ["ant", "bee", "cat"])) == (
        [0, 1, 2],
        ["ant", "bee", "cat"],
    )
    assert shown_classes(with_classes(3, ["ant"]))[1] == ["ant", "1", "2"]
    codes, names = shown_classes(with_classes(60, []))
    assert codes == list(range(0, 60, 3))
    assert names == [str(code) for code in codes]


# When Bayes' rule is left out


def test_many_classes_of_many_images_are_not_classified_unasked(
    study: dict[str, Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = study["conditional"]
    model, data = load(run.path), run.load_data()
    assert classify_if_few(model, data, "test") is not None
    monkeypatch.setattr(classes, "LIKELIHOODS", 1799)  # 180 images of 10 classes
    assert classify_if_few(model, data, "test") is None
    assert "repr-toolkit classify" in capsys.readouterr().out


def test_a_class_that_training_lacks_stops_no_comparison(
    study: dict[str, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run = study["conditional"]
    data = run.load_data()
    rows = data.rows["train"]
    data.splits["train"].rows = rows[data.arrays["label"][rows] != 3]
    assert classify_if_few(load(run.path), data, "test") is None
    assert "classes that no training image has" in capsys.readouterr().out
