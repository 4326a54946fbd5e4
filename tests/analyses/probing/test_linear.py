"""The linear probe finds what a linear classifier can find, and nothing in noise."""

import numpy as np
import pytest

from repr_toolkit.analyses.probing import linear_probe
from repr_toolkit.support.stats import share


def clouds(count: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds of points on a triangle, with a feature that is constant."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    corners = np.array([[0.0, 0.0, 7.0], [10.0, 0.0, 7.0], [0.0, 10.0, 7.0]])
    noise = spread * generator.normal(size=(count, 3)) * [1, 1, 0]
    return corners[labels] + noise, labels.astype(np.int64)


def test_separable_classes_are_all_found() -> None:
    probe = linear_probe(clouds(90, 0.5, 0), clouds(30, 0.5, 1), clouds(60, 0.5, 2))
    assert probe.accuracy == share(np.ones(60), over="test images")


def test_noise_stays_near_chance() -> None:
    generator = np.random.default_rng(0)
    sets = [
        (generator.normal(size=(n, 5)).astype(np.float32), generator.integers(0, 4, n))
        for n in (400, 200, 800)
    ]
    probe = linear_probe(*sets)
    assert abs(probe.accuracy.value - 0.25) < 0.06
    assert probe.accuracy.low < 0.25 < probe.accuracy.high


def test_the_penalty_is_chosen_without_the_test_images() -> None:
    train, validation, test = clouds(90, 5, 0), clouds(60, 5, 1), clouds(60, 5, 2)
    probe = linear_probe(train, validation, test)
    reversed_ = linear_probe(train, validation, (test[0], (test[1] + 1) % 3))
    assert probe.strength == reversed_.strength
    assert probe.accuracy.value > 0.5 > reversed_.accuracy.value


def test_scale_and_offset_of_a_feature_do_not_matter() -> None:
    train, validation, test = clouds(90, 4, 0), clouds(60, 4, 1), clouds(60, 4, 2)
    moved = [(x * [1e4, 1e-4, 1] + 3, y) for x, y in (train, validation, test)]
    assert linear_probe(train, validation, test).accuracy == linear_probe(*moved).accuracy


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y: (x, np.zeros_like(y)), "at least 2 classes"),
        (lambda x, y: (x[:-1], y), "training set has 89 rows of features, but 90 labels"),
        (lambda x, y: (np.where(x == x.max(), np.nan, x), y), "contains NaN"),
        (lambda x, y: (x[:0], y[:0]), "0 sample"),
    ],
)
def test_what_cannot_be_probed(spoil: object, message: str) -> None:
    assert callable(spoil)
    with pytest.raises(ValueError, match=message):
        linear_probe(spoil(*clouds(90, 1, 0)), clouds(9, 1, 1), clouds(9, 1, 2))


def test_a_set_of_different_lengths_is_named() -> None:
    train, (x, y) = clouds(90, 1, 0), clouds(9, 1, 1)
    with pytest.raises(ValueError, match="validation set has 9 rows of features, but 8 labels"):
        linear_probe(train, (x, y[:-1]), (x, y))
    with pytest.raises(ValueError, match="test set has 8 rows of features, but 9 labels"):
        linear_probe(train, (x, y), (x[:-1], y))
