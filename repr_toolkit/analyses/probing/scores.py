"""How well values are predicted: accuracy and R², each with a 95 % interval."""

from dataclasses import replace
from typing import Any

import numpy.typing as npt

from repr_toolkit.support.stats import (
    Groups,
    Number,
    Units,
    difference,
    ratio,
    share,
    tested,
)

Values = npt.NDArray[Any]


def accuracy(truth: Values, predicted: Values) -> float:
    """The share of codes (N,) that are predicted."""
    return float((truth == predicted).mean())


def r_squared(truth: Values, predicted: Values) -> float:
    """1 − Σ‖y − ŷ‖² / Σ‖y − ȳ‖² of numbers (N, k), ȳ their mean: each column by its variance.

    1 is perfect, 0 as good as their mean, and below it is worse. Raises ValueError for values that
    are all the same.
    """
    total = float(((truth - truth.mean(0)) ** 2).sum())
    if total == 0:
        raise ValueError("R² is not defined of values that are all the same")
    return 1 - float(((truth - predicted.reshape(truth.shape)) ** 2).sum()) / total


def r_squared_in_short(truth: Values, predicted: Values) -> float:
    """R² to four decimals, by which penalties are chosen: a weaker one has to gain as much."""
    return round(r_squared(truth, predicted), 4)


def missed(truth: Values, predicted: Values) -> Values:
    """What each image adds to the loss: whether its code (N,) is wrong, or its squared error."""
    if truth.ndim == 1:
        wrong: Values = truth != predicted
        return wrong
    errors: Values = ((truth - predicted.reshape(truth.shape)) ** 2).sum(1)
    return errors


def squares(truth: Values) -> Values:
    """‖y − ȳ‖² of each image's numbers (N, k): (N,)."""
    of_images: Values = ((truth - truth.mean(0)) ** 2).sum(1)
    return of_images


def scored_codes(
    truth: Values, predicted: Values, groups: Groups | None = None, over: str = "test images"
) -> Number:
    """Accuracy with the interval of `share`; `over` names the cases."""
    return share(truth == predicted, groups, over)


def scored_numbers(truth: Values, predicted: Values, groups: Groups | None = None) -> Number:
    """R² with Student's t interval: 1 less a ratio of sums over the images (see `ratio`)."""
    share_missed = ratio(missed(truth, predicted), squares(truth), groups, "test images")
    value, low, high = r_squared(truth, predicted), share_missed.low, share_missed.high
    if low is None or high is None:
        return replace(share_missed, value=value)
    return replace(share_missed, value=value, low=1 - high, high=1 - low, error=None)


def better(
    one: Values, first: Values, total: Values | None, groups: Groups | None = None
) -> Number:
    """How much higher the score of the same images is than that of another, by what both `missed`.

    Of codes the difference of accuracies, of numbers that of R², `total` being their `squares`.
    """
    if total is None:
        return difference(~one.astype(bool), ~first.astype(bool), groups, "test images")
    units = Units.of(len(total), groups, "test images")
    return tested(ratio(first - one, total, groups, "test images"), units)
