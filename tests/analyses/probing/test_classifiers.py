"""Grids are wide enough for what is best to lie inside, and what is at an end is known."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

from repr_toolkit.analyses.probing.classifiers import (
    PENALTIES,
    STRENGTHS,
    Features,
    Fits,
    choose,
    ends,
    improvements,
    logistic,
    regressions,
    ridge,
)
from repr_toolkit.analyses.probing.scores import accuracy, r_squared_in_short


def stretched(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that a direction of tiny variance tells apart, which takes a large weight."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, count)
    common = draw.normal(size=count)
    x = np.stack([common, common + 0.01 * (2 * labels - 1 + 0.5 * draw.normal(size=count))], 1)
    return x, labels


def test_a_weak_penalty_is_found_where_it_is_best() -> None:
    """The best C is between 10³ and 10⁴: C = 1 is far from enough."""
    (x, y), held, (test, truth) = (stretched(n, seed) for seed, n in enumerate((500, 2000, 2000)))
    chosen = choose([partial(logistic, x, y, 0)], held, test, accuracy)
    assert chosen.settings["C"] >= 100
    best = LogisticRegression(C=1e3, tol=1e-8, max_iter=10_000).fit(x, y).score(test, truth)
    at_one = LogisticRegression(C=1.0).fit(x, y).score(test, truth)
    assert accuracy(truth, chosen.predicted) == pytest.approx(best, abs=0.01)
    assert best - at_one > 0.2


def test_each_of_a_path_is_its_own_optimum() -> None:
    """Also of a weak penalty, where a solver that starts close by may not move at all."""
    x, y = stretched(500, 0)
    path = {strength: fit.coef_.copy() for strength, fit in regressions(x, y, STRENGTHS)}
    for strength in (1e-5, 1.0, 1e3):
        alone = LogisticRegression(C=strength, tol=1e-8, max_iter=10_000).fit(x, y).coef_
        np.testing.assert_allclose(path[strength], alone, rtol=0.05, atol=1e-4)


def test_products_take_one_thread_while_fits_are_chosen_and_then_as_many_as_before() -> None:
    def threads() -> set[int]:
        return {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}

    seen: list[set[int]] = []

    def fits() -> Fits:
        for number in (1.0, 2.0):
            seen.append(threads())
            yield {"C": number}, lambda features: np.zeros(len(features))

    values = np.ones((3, 2)), np.ones(3)
    with threadpool_limits(2, "blas"):
        before = threads()
        choose([fits], values, values[0], accuracy)
        assert threads() == before == {2}
    assert seen == [{1}, {1}]


def test_a_strong_penalty_is_passed_where_all_is_one_class() -> None:
    """Of one class in twenty, penalties of several decades take everything for the other."""
    draw = np.random.default_rng(0)

    def rare(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = (np.arange(count) % 20 == 0).astype(int)
        return draw.normal(size=(count, 3)) + 4 * labels[:, None], labels

    (x, y), held, (test, truth) = rare(200), rare(400), rare(400)
    for weak in STRENGTHS[:3]:
        [(_, predict)] = logistic(x, y, 0, (weak,))
        assert (predict(held[0]) == 0).all()
    chosen = choose([partial(logistic, x, y, 0)], held, test, accuracy)
    assert accuracy(truth, chosen.predicted) > 0.98


def test_a_ridge_regression_has_its_penalty_inside() -> None:
    draw = np.random.default_rng(0)

    def noisy(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = draw.normal(size=(count, 40))
        return x, x[:, :1] + 30 * draw.normal(size=(count, 1))

    (x, y), held, (test, _) = noisy(200), noisy(5000), noisy(10)
    chosen = choose([partial(ridge, x, y, 0)], held, test, r_squared_in_short)
    assert 10 < chosen.settings["α/N"] <= 1e4
    clean = x[:, :1] * 3
    chosen = choose([partial(ridge, x, clean, 0)], (x, clean), test, r_squared_in_short)
    assert chosen.settings["α/N"] > min(PENALTIES)  # what gains nothing is not taken


# The search, on scores that are made up


def made_up(scores: Sequence[float]) -> Fits:
    """Fits whose predictions are their scores."""

    def predict(score: float, features: Features) -> np.ndarray:
        return np.array([score])

    for score in scores:
        yield {"score": score}, partial(predict, score)


def found(scores: Sequence[float], patience: int = 2) -> list[float]:
    held = (np.zeros((1, 1)), np.zeros(1))
    every = improvements(made_up(scores), held, lambda truth, said: float(said[0]), patience)
    return [reached for _, reached, _ in every]


def test_two_that_do_no_better_end_a_series_but_not_the_plateau_that_it_begins_on() -> None:
    assert found([1, 1, 1, 1, 2, 1, 3]) == [1, 2, 3]
    assert found([1, 2, 2, 2, 3]) == [1, 2]
    assert found([1, 0, 0, 5]) == [1]
    assert found([1, 1, 0, 1, 0, 5]) == [1]


@pytest.mark.parametrize(
    ("scores", "best", "tried"),
    [
        ([1, 2, 5, 2, 1], 5, 3),
        ([0, 0, 1, 2, 3], 3, 4),
        ([9, 8, 7, 6, 5], 9, 4),
        ([4, 5, 5, 5, 9], 5, 3),
    ],
)
def test_series_are_tried_from_the_middle_outwards(
    scores: list[float], best: float, tried: int
) -> None:
    seen: list[float] = []

    def series(score: float) -> Iterator:
        seen.append(score)
        return made_up([score])

    held = (np.zeros((1, 1)), np.zeros(1))
    every = [partial(series, score) for score in scores]
    chosen = choose(every, held, held[0], lambda truth, said: float(said[0]))
    assert (chosen.validation, len(seen)) == (best, tried)


def test_ends_are_what_more_could_lie_beyond() -> None:
    grid = {"k": (1, 3, 500), "α": (1e-5, 1.0), "epochs": (1, 100), "hidden units": 128}
    assert ends({"k": 500, "α": 1e-5}, grid) == ["k = 500", "α = 1e-05"]
    assert ends({"k": 3, "epochs": 50}, grid) == []
    assert ends({"k": 1, "epochs": 1}, grid) == []
    assert ends({"epochs": 100}, grid) == ["epochs = 100"]
