"""The rules by which missing splits are cut."""

import numpy as np
import pytest

from repr_toolkit.data.splits import complete_splits, hold_out


def test_hold_out_is_exact_disjoint_and_fixed() -> None:
    rows = np.arange(100, 200)
    kept, held = hold_out(rows, 30)
    assert len(held) == 30
    assert np.array_equal(np.sort(np.concatenate([kept, held])), rows)
    assert np.array_equal(held, np.sort(held))
    assert np.array_equal(held, hold_out(rows, 30)[1])
    # Spread over the whole, so that data sorted by class are held out in every class.
    assert len(np.unique(held // 10)) >= 8


def test_hold_out_takes_whole_groups() -> None:
    groups = np.random.default_rng(0).integers(0, 12, 100)
    kept, held = hold_out(np.arange(100), 20, (groups, "people"))
    assert not set(groups[kept]) & set(groups[held])
    assert len(held) >= 20
    assert len(held) - np.bincount(groups[held]).max() < 20


@pytest.mark.parametrize("wanted", [2, 3])
def test_hold_out_leaves_something(wanted: int) -> None:
    with pytest.raises(ValueError, match="2 images are too few"):
        hold_out(np.arange(2), wanted)
    with pytest.raises(ValueError, match="1 people are too few"):
        hold_out(np.arange(9), wanted, (np.zeros(9, int), "people"))


def test_all_three_stay_as_they_are() -> None:
    rows = {"train": np.array([5, 2]), "val": np.array([1]), "test": np.array([0])}
    assert complete_splits("toy", rows) == rows


def test_a_validation_cut_from_train_has_at_most_ten_thousand_images() -> None:
    rows = complete_splits(
        "toy", {"train": np.arange(250_000), "test": np.arange(250_000, 250_005)}
    )
    assert [len(part) for part in rows.values()] == [240_000, 10_000, 5]


def test_train_is_needed() -> None:
    with pytest.raises(ValueError, match="toy: the splits must be train, val and test, got test"):
        complete_splits("toy", {"test": np.arange(3)})
