"""Accuracy and R², and their intervals."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import r2_score

from repr_toolkit.analyses.probing.scores import (
    accuracy,
    better,
    missed,
    r_squared,
    scored_codes,
    scored_numbers,
    squares,
)
from repr_toolkit.support.stats import difference, ratio, share


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


def test_r_squared_has_the_interval_of_a_ratio() -> None:
    draw = np.random.default_rng(0)
    truth = draw.normal(size=(200, 2)) * [1, 3] + 100
    predicted = truth + draw.normal(size=(200, 2))
    found = scored_numbers(truth, predicted)
    errors, squares = ((truth - predicted) ** 2).sum(1), ((truth - truth.mean(0)) ** 2).sum(1)
    of_errors = ratio(errors, squares, over="test images")
    assert (found.low, found.high) == (1 - of_errors.high, 1 - of_errors.low)
    assert found.value == pytest.approx(1 - of_errors.value)
    assert found.how == "Student's t over 200 test images"
    few = scored_numbers(truth, predicted, (np.arange(200) % 3, "people"))
    assert (few.value, few.low, few.how) == (
        found.value,
        None,
        "no interval: 3 people are fewer than 10",
    )


def test_what_two_probes_missed_is_paired() -> None:
    draw = np.random.default_rng(1)
    truth = draw.integers(0, 3, 90)
    one, first = (np.where(draw.random(90) < 0.7, truth, 0) for _ in range(2))
    number = better(missed(truth, one), missed(truth, first), None)
    assert number == difference(one == truth, first == truth, over="test images")
    values = draw.normal(size=(90, 2))
    near, far = (values + spread * draw.normal(size=(90, 2)) for spread in (0.2, 0.5))
    number = better(missed(values, near), missed(values, far), squares(values))
    assert number.value == pytest.approx(r_squared(values, near) - r_squared(values, far))
    assert number.low > 0
    assert number.p < 0.001


def test_codes_have_wilsons_interval() -> None:
    truth, predicted = np.array([0, 1, 2, 3]), np.array([0, 1, 2, 0])
    found = scored_codes(truth, predicted)
    assert replace(found, how="") == replace(share(np.arange(4) < 3), how="")
    assert accuracy(truth, predicted) == 0.75
