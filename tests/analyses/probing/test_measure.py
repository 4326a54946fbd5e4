"""Probes of known representations: what they hold is found, and the test labels only score."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from repr_toolkit.analyses.probing import linear_probe, probe
from repr_toolkit.analyses.probing.blocks import blocks
from repr_toolkit.analyses.probing.control import random_labels, shifted
from repr_toolkit.analyses.probing.result import Probing
from repr_toolkit.data import ImageData
from repr_toolkit.page.terminal import as_text
from repr_toolkit.representations import Representation
from repr_toolkit.runs.kept import unsaved
from toys.data import codes, image_data, noise, representation, telling


def probe_alone(given: Sequence[Representation], data: ImageData, **options: Any) -> Probing:
    return probe(given, data, baselines=False, **options)


def test_what_h_holds_is_found_and_nothing_in_noise() -> None:
    labels = codes()
    place = noise(width=2, seed=5)
    data = image_data(label=labels, place=place)
    whole = representation(data, np.concatenate([telling(labels), 3 * place], 1), "whole")
    empty = representation(data, noise(seed=9), "empty")
    found = probe_alone([whole, empty], data, control=False)
    by_label, by_place = found.targets
    for kind in ("logistic", "knn", "mlp"):
        known, unknown = (by_label.reading(name, kind).score for name in ("whole", "empty"))
        assert known.value >= (1 if kind == "logistic" else 0.97)
        assert unknown.low < 0.25 < unknown.high
    assert by_place.reading("whole", "ridge").score.value > 0.99
    assert by_place.reading("empty", "ridge").score.value < 0.02
    assert by_place.reading("whole", "mlp").score.value > 0.9
    assert by_place.reading("whole", "knn").score.value > 0.5
    assert by_place.baseline.score.value == pytest.approx(0, abs=0.05)
    assert by_place.reading("whole", "logistic") is None
    assert by_label.reading("whole", "ridge") is None
    assert (
        by_label.reading("whole", "mdl").code.against_uniform > 3
    )  # 240 labels, the first 60 in full
    assert by_label.reading("empty", "mdl").code.saved.value < 0.01 * 240
    assert by_label.baseline.name == "majority"
    counts = np.bincount(labels[:240])
    assert by_label.baseline.score.value == (labels[360:] == counts.argmax()).mean()


def test_each_line_says_how_many_there_are() -> None:
    labels = codes()
    data = image_data(label=labels, place=noise(width=2, seed=5))
    h = representation(data, telling(labels), "h")
    plain: dict[str, Any] = {"orders": 0, "control": False, "targets": ["label"]}
    for options, fits in (
        ({"probes": ["knn", "ridge"], "orders": 1}, 5),  # the label's control and code; the place
        ({"probes": ["knn", "logistic"], **plain}, 2),
    ):
        told: list[str] = []
        probe([h], data, baselines=False, tell=told.append, **options)
        numbers = [line.partition("] ")[0] for line in told if "probing" in line]
        assert numbers == [f"[{number}/{fits}" for number in range(1, fits + 1)]


def test_the_linear_probe_of_comparisons_is_the_logistic_probe_of_these() -> None:
    labels = codes(classes=8)
    far = 1e6 + noise(width=24)  # where digits are lost, they are lost in both
    data = image_data(label=labels)
    h = representation(data, far)
    reading = probe_alone([h], data, probes=["logistic"], control=False, orders=0)
    found = reading.targets[0].reading("h", "logistic")
    pairs = [(h.h[split], labels[data.rows[split]]) for split in data.rows]
    alone = linear_probe(*pairs)
    assert (alone.accuracy, alone.strength) == (found.score, found.settings["C"])


@pytest.mark.parametrize("split", ["test", "val"])
def test_test_labels_score_and_no_more(split: str) -> None:
    """Other labels of the test images change the scores alone; those of validation the choice."""
    labels, place = codes(), noise(width=2, seed=5)
    h = np.concatenate([telling(labels, 1.5), place + noise(width=2, seed=6)], 1)
    results = []
    for seed in (None, 3):
        rows = slice(360, None) if split == "test" else slice(240, 360)
        other_labels, other_place = labels.copy(), place.copy()
        if seed is not None:
            draw = np.random.default_rng(seed)
            other_labels[rows] = draw.permutation(labels[rows])
            other_place[rows] = draw.permutation(place[rows])
        data = image_data(label=other_labels, place=other_place)
        results.append(probe_alone([representation(data, h)], data, orders=1))
    own, other = ([r for t in result.targets for r in t.readings] for result in results)
    same_settings = [a.settings == b.settings for a, b in zip(own, other, strict=True)]
    if split == "val":
        assert not all(same_settings)
    else:
        assert all(same_settings)
        assert [r.validation for r in own] == [r.validation for r in other]
        assert [r.score for r in own if r.score] != [r.score for r in other if r.score]
        controls = [[r.control and r.control.accuracy for r in rs] for rs in (own, other)]
        assert controls[0] == controls[1]
    assert [r.code for r in own] == [r.code for r in other]


def test_everything_is_the_same_again() -> None:
    labels = codes()
    data = image_data(label=labels, place=noise(width=1)[:, 0])
    h = representation(data, telling(labels, 1))
    first, second, third = (
        probe_alone([h], data, probes=["mlp"], seed=seed, orders=2).as_dict() for seed in (4, 4, 5)
    )
    assert first == second
    assert first != third


def test_scale_and_offset_of_h_do_not_matter() -> None:
    labels = codes()
    data = image_data(label=labels)
    h = telling(labels, 0.7)
    moved = representation(data, h * [100, 0.01, 1, 1] + [7, 0, 0, 0], "moved")
    found = probe_alone(
        [representation(data, h), moved], data, probes=["logistic", "knn"], orders=0, control=False
    )
    [target] = found.targets
    for kind in ("logistic", "knn"):
        own, other = (target.reading(name, kind).score.value for name in ("h", "moved"))
        assert own == pytest.approx(other, abs=0.01)


# The control task


def test_one_that_memorises_is_not_selective() -> None:
    """h that is the person tells anything of the person: a random label as well as a true one."""
    people = np.arange(520) % 40
    data = image_data(label=people % 4, identity=people)
    h = representation(data, np.eye(40)[people])
    found = probe_alone([h], data, targets=["label"], probes=["knn"], orders=0)
    [reading] = found.targets[0].readings
    assert reading.control.types == "identity"
    assert reading.score.value == reading.control.accuracy.value == 1
    assert reading.control.selectivity == 0


def test_one_that_reads_the_label_alone_is_selective() -> None:
    people = np.arange(520) % 40
    data = image_data(label=people % 4, identity=people)
    h = representation(data, telling(people % 4))
    found = probe_alone([h], data, targets=["label"], probes=["logistic"], orders=0)
    [reading] = found.targets[0].readings
    assert reading.score.value == 1
    assert reading.control.selectivity > 0.5
    assert reading.control.accuracy.count == 40  # people, of 160 images


def test_views_recur_where_no_person_does() -> None:
    """h that hardly changes with a shift lets a neighbour be known again, noise does not."""
    data = image_data(label=codes(classes=2), size=6)
    sources = ["pixels", "toys.encoders.Mean"]
    found = probe(sources, data, probes=["knn"], orders=0, baselines=False)
    readings = found.targets[0].readings
    assert [reading.control.types for reading in readings] == ["view", "view"]
    assert all(reading.control.accuracy.count == 240 for reading in readings)
    for reading in readings:
        assert reading.control.selectivity == reading.score.value - reading.control.accuracy.value


def test_without_types_there_is_no_selectivity() -> None:
    data = image_data(label=codes())
    h = representation(data, noise())
    [reading] = probe_alone([h], data, probes=["logistic"], orders=0).targets[0].readings
    assert (reading.control.types, reading.control.selectivity) == ("none", None)
    assert reading.control.accuracy.count == 240


def test_random_labels_belong_to_types() -> None:
    types = np.array([5, 9, 5, 7, 9])
    fitted, tested = random_labels(types, np.array([7, 5, 9]), np.arange(1000), seed=0)
    assert fitted[0] == fitted[2] != fitted[1] == fitted[4]
    np.testing.assert_array_equal(tested, fitted[[3, 0, 1]])
    many, _ = random_labels(np.arange(4000), np.arange(1), np.array([0, 1, 1, 1]), seed=0)
    assert many.mean() == pytest.approx(0.75, abs=0.03)  # the labels' own frequencies


def test_shifts_go_everywhere_by_one_pixel() -> None:
    image = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4)
    moved = shifted(image.expand(200, 1, 4, 4), seed=1)
    found = {tuple(one.flatten().tolist()) for one in moved}
    padded = torch.nn.functional.pad(image.float(), (1, 1, 1, 1), mode="replicate")[0, 0].int()
    expected = {
        tuple(padded[y : y + 4, x : x + 4].flatten().tolist())
        for y in range(3)
        for x in range(3)
        if (y, x) != (1, 1)
    }
    assert found == expected
    assert torch.equal(moved, shifted(image.expand(200, 1, 4, 4), seed=1))


# What is told


@pytest.fixture(scope="module")
def probing() -> Probing:
    labels, place = codes(), noise(width=2, seed=5)
    place[[3, 400]] = np.nan
    labels[-2:] = 7
    data = image_data(label=labels, place=place, kind=np.zeros(520, int))
    first = representation(data, telling(labels), "first_of_all_with_a_long_name")
    others = [representation(data, noise(seed=seed), f"other_{seed}") for seed in range(4)]
    tried = ["logistic", "ridge", "knn"]
    return probe_alone([first, *others], data, probes=tried, images=200, orders=2)


def test_the_terminal_has_every_number(probing: Probing) -> None:
    lines = as_text(blocks({"": unsaved(probing, "")})).splitlines()
    text, words = "\n".join(lines), " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 100
    for name in probing.representations:
        assert name in text
    score = probing.targets[0].reading("other_1", "knn").score
    assert f"{100 * score.value:.1f} ({100 * score.low:.1f}–{100 * score.high:.1f})" in text
    for row in (
        "ridge regression",
        "given h",
        "without h",
        "bits saved",
        "against uniform, ×",
        "… selectivity",
    ):
        assert f"| {row} " in text
    [uniform] = {line.split("|")[2].strip() for line in lines if "uniform code" in line}
    assert uniform == "400"
    assert "fitted on 200 training images, their settings chosen on 120 validation" in words
    assert "and scored on 160 test images" in words
    assert "fitted on 199 training images, their settings chosen on 120 validation" in words
    assert "place: images without a finite value are left out (1 of train, 0 of val, 1 of" in words
    assert "label: 2 of 160 test images have a value that no training image has" in words
    assert "Not probed: kind, since it is the same for every training image" in words
    assert "nothing recurs" in words


def test_the_protocol_stands_in_the_result(probing: Probing) -> None:
    result = json.loads(json.dumps(probing.as_dict()))
    protocol = result["protocol"]
    assert protocol["hyper_parameters_chosen_on"] == "val"
    assert protocol["probes"]["logistic"]["grid"]["C"] == [10.0**power for power in range(-5, 5)]
    assert protocol["mdl"]["orders"] == [0, 1]
    assert protocol["images_a_split_at_most"] == 200
    assert len(result["fingerprint"]) == 64
    assert result["representations"][1] == {"name": "other_0", "made_by": "test.other_0", "dim": 4}
    [label, place] = result["targets"]
    assert place["dropped"] == {"train": 1, "val": 0, "test": 1}
    code = label["readings"][2]["code"]
    assert code["bits"]["value"] == pytest.approx(
        np.mean([sum(bits) for bits in code["bits_of_portions"]])
    )


# What is given


def test_arrays_and_representations_are_sources() -> None:
    labels = codes()
    data, h = image_data(label=labels), telling(labels).astype(np.float32)
    arrays = {split: h[rows] for split, rows in data.rows.items()}
    known = representation(data, noise(), "noise")
    result = probe([arrays, known], data, probes=["knn"], orders=0)
    assert [*result.representations] == ["h", "noise", "pixels"]
    [label] = result.targets
    assert label.reading("h", "knn").score.value == 1
    assert label.reading("h", "knn").control.types == "none"
    assert label.reading("pixels", "knn").control.types == "view"
    alone = probe(arrays, data, probes=["knn"], orders=0, baselines=False)
    assert alone.targets[0].readings == label.readings[:1]
    for given in (arrays, known):
        with pytest.raises(ValueError, match=r"need the data|give them too"):
            probe(given)


# Errors


def test_what_cannot_be_probed() -> None:
    data = image_data(label=codes())
    h = representation(data, noise())

    def told(message: str, *given: object, of: ImageData = data, **options: object) -> None:
        with pytest.raises(ValueError, match=message):
            probe_alone(given or [h], of, **options)

    told("no probe 'svm'; there are logistic, ridge", probes=["svm"])
    told("nor an attribute 'age'.*to probe there are label", targets=["age"])
    told("two representations are named h", h, h)
    told("h is h of other data", of=image_data(label=codes(seed=8)))
    constant = image_data(label=np.zeros(520, int))
    told("no target to probe .label: it is", representation(constant, noise()), of=constant)
    with pytest.raises(
        ValueError, match="label is a target of classification, for which no probe was chosen"
    ):
        probe_alone([h], data, probes=["ridge"], orders=0)


def test_scores_without_an_interval_are_shown_too() -> None:
    draw = np.random.default_rng(0)
    data = ImageData(
        "few",
        {"image": draw.integers(0, 256, (60, 1, 2, 2), np.uint8), "age": draw.normal(size=60)},
        dict(zip(("train", "val", "test"), np.split(np.arange(60), [48, 54]), strict=True)),
    )
    shown = repr(probe("pixels", data, probes=["ridge"], orders=0, control=False))
    assert "age, pixels, ridge: " in shown
    assert " to " not in shown
