"""Means, shares and other numbers with their 95 % intervals."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

NORMAL_95 = 1.959963984540054
"""The standard normal's 97.5 % quantile."""
LEAST_DRAWN = 10
"""The fewest cases for which a bootstrap gives an interval."""

RESAMPLES = 2000
"""The number of a bootstrap's resamples."""


@dataclass(frozen=True)
class Number:
    """A value with its 95 % interval.

    Attributes:
        value: The estimate.
        low: The lower end of the interval, or None.
        high: Its upper end, or None.
        how: The kind of interval and its cases, such as "Wilson's, over 500 images", or the reason
            why there is none.
        error: The standard error, or None if the interval is not made of one.
        count: The number of independent cases, or None if it is not known.
    """

    value: float
    low: float | None = None
    high: float | None = None
    how: str = ""
    error: float | None = None
    count: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The attributes that are not None, ready for JSON.

        >>> Number(0.5, 0.4, 0.6, "Wilson's, over 96 images").as_dict()
        {'value': 0.5, 'low': 0.4, 'high': 0.6, 'how': "Wilson's, over 96 images"}
        """
        return {key: value for key, value in asdict(self).items() if value not in (None, "")}

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any] | None) -> "Number | None":
        """The number that `as_dict` wrote; None for None. TypeError for other keys."""
        return None if numbers is None else cls(**numbers)


def as_json(value: Any) -> Any:
    """A value ready for JSON: dataclasses at any depth as dicts, by `as_dict` where they have one.

    >>> as_json({"auc": Number(0.75, count=9), "folds": (1, 2), "accuracy": None})
    {'auc': {'value': 0.75, 'count': 9}, 'folds': [1, 2], 'accuracy': None}
    """
    if hasattr(value, "as_dict"):
        return value.as_dict()
    if is_dataclass(value):
        return as_json(vars(value))
    if isinstance(value, Mapping):
        return {key: as_json(item) for key, item in value.items()}
    return [*map(as_json, value)] if isinstance(value, list | tuple) else value


def mean_and_error(values: npt.NDArray[np.floating[Any]], over: str = "images") -> Number:
    """The mean of independent values (N,), its standard error sd/√N, and mean ± 1.96 errors.

    `over` names the cases. Raises ValueError for fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"a standard error needs at least two {over}, not {len(values)}")
    values = values.astype(np.float64)
    mean, count = float(values.mean()), len(values)
    error = float(values.std(ddof=1)) / sqrt(count)
    half = NORMAL_95 * error
    return Number(mean, mean - half, mean + half, f"normal, over {count:,} {over}", error, count)


def student(values: npt.NDArray[np.floating[Any]], over: str = "draws") -> Number:
    """The mean of few independent values (N,), its standard error, and Student's t interval.

    `over` names the cases. Raises ValueError for fewer than two values.
    """
    from scipy.stats import t

    normal, count = mean_and_error(values, over), len(values)
    assert normal.error is not None
    half = float(t.ppf(0.975, count - 1)) * normal.error
    low, high = normal.value - half, normal.value + half
    return replace(normal, low=low, high=high, how=f"Student's t over {count:,} {over}")


def bootstrap(values: npt.NDArray[np.floating[Any]], *, seed: int = 0) -> Number:
    """The mean of values (S, N) over S trainings and N images, or of (N,) for one training.

    The interval has the percentiles of `RESAMPLES` resamples, each of which draws images with
    replacement, the same ones for all trainings. For S > 1 each resample's mean also moves by s/√S
    times a variate of Student's t with S − 1 degrees of freedom, where s is the standard deviation
    of the trainings' means: resampling so few would cover far too little (two trainings' range
    covers one half). For one training the interval leaves out the spread between trainings. `seed`
    decides the draws.
    """
    from scipy.stats import t

    values = np.atleast_2d(values).astype(np.float64)
    trainings, images = values.shape
    draw = np.random.default_rng(seed)
    of_images = values.mean(0)
    means = np.empty(RESAMPLES)
    for resample in range(RESAMPLES):
        counts = np.bincount(draw.integers(images, size=images), minlength=images)
        means[resample] = of_images @ (counts / images)
    how = f"bootstrap over {images:,} images; leaves out fit bias and training seeds"
    if trainings > 1:
        error = values.mean(1).std(ddof=1) / np.sqrt(trainings)
        # The quantiles of t in a random order: unlike draws they lack no tail.
        variates = t.ppf((np.arange(RESAMPLES) + 0.5) / RESAMPLES, trainings - 1)
        means += error * draw.permutation(variates)
        how = (
            f"bootstrap over {images:,} images, Student's t over {trainings} training seeds; "
            "leaves out fit bias"
        )
    low, high = np.quantile(means, [0.025, 0.975])
    return Number(float(values.mean()), float(low), float(high), how, count=images)


def wilson(correct: int, count: int, over: str = "images") -> Number:
    """The share `correct` of `count` independent cases, with Wilson's score interval.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    Unlike mean ± z·sd it stays within [0, 1] and keeps a width at 0 and 1. Raises ValueError unless
    0 ≤ correct ≤ count and count ≥ 1.
    """
    if count < 1 or not 0 <= correct <= count:
        raise ValueError(f"{correct} of {count} is not a share")
    low, high = _wilson(correct / count, count)
    return Number(correct / count, low, high, f"Wilson's, over {count:,} {over}", count=count)


def wilson_of_groups(
    shares: npt.NDArray[np.floating[Any]], size: int = 1, over: str = "images"
) -> Number:
    """The mean of the shares (N,) of N groups of `size` cases each, such as one image's samples.

    Cases of one group are alike, so N·size of them say less than as many independent ones. The
    interval is Wilson's for the number of independent cases that would vary as much as the groups
    (Kish's effective sample size), from N to N·size; for N if the groups do not vary. Raises
    ValueError for no groups, or a share outside [0, 1].
    """
    if len(shares) < 1 or not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError("a share is between 0 and 1, of at least one group")
    groups, p = len(shares), float(shares.mean())
    variance = float(shares.var(ddof=1)) / groups if groups > 1 else 0.0
    count = min(max(p * (1 - p) / variance, groups), groups * size) if variance else groups
    low, high = _wilson(p, count)
    how = f"Wilson's, over {groups:,} {over}" + (f" of {size} each" if size > 1 else "")
    return Number(p, low, high, how, count=groups)


def percentiles(
    value: float, replicates: npt.NDArray[np.floating[Any]], count: int, over: str = "images"
) -> Number:
    """A value with the 2.5 and 97.5 percentiles of its bootstrap's replicates (n,).

    Each replicate draws `count` independent cases with replacement; `over` names the cases. Fewer
    than `LEAST_DRAWN` give no interval: their samples are too alike to stand for other cases.
    """
    if count < LEAST_DRAWN:
        how = f"fewer than {LEAST_DRAWN} {over}, too few for a bootstrap"
        return Number(value, how=how, count=count)
    low, high = map(float, np.quantile(replicates, [0.025, 0.975]))
    return Number(value, low, high, f"bootstrap over {count:,} {over}", count=count)


def _wilson(share: float, count: float) -> tuple[float, float]:
    z = NORMAL_95
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    half = spread * z / (1 + z * z / count)
    return max(0.0, centre - half), min(1.0, centre + half)
