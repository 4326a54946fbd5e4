"""Accuracy and R², and their intervals."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import r2_score

from repr_toolkit.analyses.probing.scores import accuracy, r_squared, scored_codes, scored_numbers
from repr_toolkit.support.stats import wilson


def test_r_squared_counts_columns_by_their_variance() -> None:
    draw = np.random.default_rng(0)
    truth = draw.normal(size=(50, 3)) * [1, 5, 0]
    predicted = truth + draw.normal(size=(50, 3))
    expected = r2_score(truth[:, :2], predicted[:, :2], multioutput="variance_weighted")
    assert r_squared(truth[:, :2], predicted[:, :2]) == pytest.approx(expected)
    assert r_squared(truth, predicted) < expected  # errors of a constant column are errors too
    assert r_squared(truth, truth) == 1
    assert r_squared(truth, np.tile(truth.mean(0), (50, 1))) == pytest.approx(0)
    assert r_squared(truth[:, :1], predicted[:, 0]) == r_squared(truth[:, :1], predicted[:, :1])


def test_r_squared_of_a_constant() -> None:
    with pytest.raises(ValueError, match="all the same"):
        r_squared(np.ones((3, 1)), np.zeros((3, 1)))


def test_the_bootstrap_holds_the_score_of_each_resample() -> None:
    draw = np.random.default_rng(0)
    truth = draw.normal(size=(200, 2)) * [1, 3] + 100
    predicted = truth + draw.normal(size=(200, 2))
    found = scored_numbers(truth, predicted, seed=3)
    # The same resamples, scored one by one.
    again = np.random.default_rng(3)
    drawn = np.concatenate([again.integers(0, 200, (100, 200)) for _ in range(20)])
    scores = [r_squared(truth[rows], predicted[rows]) for rows in drawn]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(scores, [2.5, 97.5])))
    assert found.value == r_squared(truth, predicted)
    assert found.low < found.value < found.high
    assert found.how == "bootstrap over 200 test images"


def test_the_bootstrap_covers_the_truth() -> None:
    draw = np.random.default_rng(1)
    inside = 0
    for seed in range(100):
        truth = draw.normal(size=(100, 1))
        found = scored_numbers(truth, truth + 0.5 * draw.normal(size=(100, 1)), seed=seed)
        inside += found.low < 0.75 < found.high
    assert 85 <= inside <= 100


def test_codes_have_wilsons_interval() -> None:
    truth, predicted = np.array([0, 1, 2, 3]), np.array([0, 1, 2, 0])
    found = scored_codes(truth, predicted)
    assert replace(found, how="") == replace(wilson(3, 4), how="")
    assert accuracy(truth, predicted) == 0.75
