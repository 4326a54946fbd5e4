"""How well values are predicted: accuracy and R², each with a 95 % interval over the images."""

from typing import Any

import numpy as np
import numpy.typing as npt

from repr_toolkit.support.stats import RESAMPLES, Number, wilson

Values = npt.NDArray[Any]
AT_A_TIME = 100  # resamples


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


def scored_codes(truth: Values, predicted: Values, over: str = "test images") -> Number:
    """Accuracy with Wilson's interval; `over` names the cases."""
    return wilson(int((truth == predicted).sum()), len(truth), over)


def scored_numbers(truth: Values, predicted: Values, *, seed: int = 0) -> Number:
    """R² with the 2.5 and 97.5 percentiles of `RESAMPLES` bootstrap resamples of the images."""
    count = len(truth)
    errors = ((truth - predicted.reshape(truth.shape)) ** 2).sum(1)  # (N,)
    centred = truth - truth.mean(0)  # for the sake of rounding; R² knows no offset
    squares = (centred**2).sum(1)
    draw = np.random.default_rng(seed)
    scores = []
    for _ in range(RESAMPLES // AT_A_TIME):
        rows = draw.integers(0, count, (AT_A_TIME, count))
        times = np.stack([np.bincount(row, minlength=count) for row in rows])
        total = squares[rows].sum(1) - ((times @ centred) ** 2).sum(1) / count
        with np.errstate(divide="ignore", invalid="ignore"):  # a resample of one value alone
            scores.append(1 - errors[rows].sum(1) / total)
    values = np.concatenate(scores)
    low, high = np.percentile(values[np.isfinite(values)], [2.5, 97.5])
    how = f"bootstrap over {count:,} test images"
    return Number(r_squared(truth, predicted), float(low), float(high), how, count=count)
