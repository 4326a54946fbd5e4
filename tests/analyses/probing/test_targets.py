"""What a data set offers to probe, and what it is told cannot be probed."""

import numpy as np
import pytest

from repr_toolkit.analyses.probing import find_targets
from toys.data import codes, image_data, noise


def test_codes_are_classified_and_numbers_regressed() -> None:
    data = image_data(
        label=codes(),
        age=noise(width=1)[:, 0],
        landmarks=noise(width=10).reshape(-1, 5, 2).astype(np.float32),
        smiles=codes(classes=2) == 1,
        embedding=noise().astype(np.float32),
    )
    targets, skipped = find_targets(data)
    assert {target.name: target.kind for target in targets} == {
        "label": "classification",
        "age": "regression",
        "landmarks": "regression",
        "smiles": "classification",
    }
    assert skipped == []
    by_name = {target.name: target for target in targets}
    assert by_name["landmarks"].values["test"].shape == (160, 10)
    assert (by_name["label"].classes, by_name["age"].classes) == (4, 0)
    np.testing.assert_array_equal(by_name["label"].values["val"], data.arrays["label"][240:360])


def test_columns_of_codes_are_targets_each() -> None:
    attributes = np.stack([codes(classes=2, seed=s) for s in (1, 2)] + [np.ones(520, int)], 1)
    targets, skipped = find_targets(image_data(attribute=attributes))
    assert [target.name for target in targets] == ["attribute[0]", "attribute[1]"]
    np.testing.assert_array_equal(targets[1].values["train"], attributes[:240, 1])
    [skip] = skipped
    assert (skip.name, skip.why) == ("attribute[2]", "it is the same for every training image")
    _, [masks] = find_targets(image_data(mask=np.zeros((520, 20, 20), np.int64)))
    assert "400 codes an image are too many" in masks.why


def test_one_column_of_a_key_is_a_target() -> None:
    attributes = np.stack([codes(classes=2, seed=s) for s in (1, 2)], 1)
    places = noise(width=4).reshape(-1, 2, 2)
    data = image_data(attribute=attributes, place=places)
    names = ["attribute[1]", "attribute", "place[3]"]
    targets, [] = find_targets(data, names)
    assert [target.name for target in targets] == ["attribute[1]", "attribute[0]", "place[3]"]
    np.testing.assert_array_equal(targets[0].values["test"], attributes[360:, 1])
    np.testing.assert_array_equal(targets[2].values["val"], places[240:360, 1, 1:])
    with pytest.raises(ValueError, match=r"'attribute' has attribute\[0\] to attribute\[1\]"):
        find_targets(data, ["attribute[2]"])
    with pytest.raises(ValueError, match=r"no target 'image\[0\]'"):
        find_targets(data, ["image[0]"])


def test_a_class_or_an_attribute_is_a_target_by_any_of_its_names() -> None:
    """The names are those of directions, and what is wrong lists what there is."""
    labels, smiles = codes(), codes(classes=2, seed=3)
    data = image_data(label=labels, smile=smiles)
    data.names["label"] = ("ant", "bee", "cat", "dog")
    names = ["cat", "label=cat", "smile", "smile=0"]
    targets, [] = find_targets(
        data, names, rows={"train": np.arange(9), "val": np.arange(9), "test": np.arange(2, 9)}
    )
    assert [target.name for target in targets] == names
    for target in targets[:2]:
        assert target.classes == 2
        np.testing.assert_array_equal(target.values["test"], labels[362:369] == 2)
    np.testing.assert_array_equal(targets[3].values["train"], smiles[:9] == 0)
    for name in ("laugh", "2", "label=2", "label=9", "embedding=1"):
        with pytest.raises(ValueError, match=f"{name}.*are label, smile, its labels ant, bee"):
            find_targets(data, [name])


def test_people_are_a_target_only_where_they_recur() -> None:
    parted = np.repeat(np.arange(52), 10)  # the splits part them
    [], [skip] = find_targets(image_data(identity=parted))
    assert skip.name == "identity"
    assert "no val image" in skip.why
    [target], [] = find_targets(image_data(identity=np.arange(520) % 40))
    assert (target.classes, target.unseen) == (40, 0)
    late = np.arange(520) % 40
    late[-7:] = 99  # of test images
    [target], [] = find_targets(image_data(identity=late))
    assert target.unseen == 7


def test_rows_that_are_not_finite_are_dropped_and_counted() -> None:
    values = noise(width=6).reshape(-1, 3, 2)
    values[[3, 500]] = np.nan
    values[[5, 250, 4], 1, 0] = np.inf
    [target], _ = find_targets(image_data(place=values))
    assert target.dropped == {"train": 3, "val": 1, "test": 1}
    assert all(np.isfinite(part).all() for part in target.values.values())
    np.testing.assert_array_equal(target.rows["train"], np.delete(np.arange(240), [3, 4, 5]))
    np.testing.assert_array_equal(
        target.values["test"], np.delete(values[360:].reshape(-1, 6), 140, 0)
    )


def test_only_some_images_are_looked_at() -> None:
    data = image_data(label=codes())
    rows = {"train": np.arange(9), "val": np.array([1, 5]), "test": np.array([2, 3, 159])}
    [target], _ = find_targets(data, rows=rows)
    np.testing.assert_array_equal(target.values["test"], data.arrays["label"][[362, 363, 519]])


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.full(520, 2.5), "the same for every training image"),
        (np.where(np.arange(520) < 360, noise(width=1)[:, 0], 1.0), "for every test image"),
        (np.where(np.arange(520) // 120 == 2, 1.0, noise(width=1)[:, 0]), "for every val image"),
        (np.where(np.arange(520) < 360, noise(width=1)[:, 0], np.nan), "two test images"),
    ],
)
def test_what_is_no_target(values: np.ndarray, why: str) -> None:
    targets, [skip] = find_targets(image_data(value=values))
    assert targets == []
    assert why in skip.why


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"attribute 'smile'; .*; to probe there are label"):
        find_targets(image_data(label=codes()), ["smile"])
