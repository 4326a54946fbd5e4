"""Means, shares and other numbers with their 95 % intervals.

One rule each: `mean` and `ratio` of any values, `share` of right and wrong, `difference` of two
shares of the same cases, `Jackknife` of what is no mean, `over_trainings` of several seeds. Cases
that belong together, such as images of one person, are not independent: with `groups` an interval
is made of the spread between groups. docs/statistics.md has the simulated coverage of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import cache
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]
Groups = tuple[npt.NDArray[np.integer[Any]], str]
"""The group of each case, codes (N,), and what groups are called, such as "people"."""

LEAST_UNITS = 10
"""The fewest cases or groups, as if of equal size, that give a mean or a ratio an interval."""

LEAST_OF_SHARES = 5
"""The fewest that give one to what is within [0, 1]."""

LEAST_DIFFERING = 8
"""The fewest groups in which two shares differ that give an interval of their difference."""

NEAR_ONE = 0.97
"""The difference of two statistics that are both above it has no interval."""

FEW = 30
"""Below so many independent cases a number is given with caution."""


@dataclass(frozen=True)
class Number:
    """A value with its 95 % interval.

    Attributes:
        value: The estimate.
        low: The lower end of the interval, or None.
        high: Its upper end, or None.
        how: The kind of interval and its cases, such as "Wilson's over 500 images", or the reason
            why there is none.
        error: The standard error, or None if the interval is not made of one.
        count: The number of independent cases, or None if it is not known.
        p: Of a difference, the two-sided probability of one as large if there were none.
    """

    value: float
    low: float | None = None
    high: float | None = None
    how: str = ""
    error: float | None = None
    count: int | None = None
    p: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The attributes that are not None, ready for JSON.

        >>> Number(0.5, 0.4, 0.6, "Wilson's over 96 images").as_dict()
        {'value': 0.5, 'low': 0.4, 'high': 0.6, 'how': "Wilson's over 96 images"}
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


def mean(
    values: Values, groups: Groups | None = None, over: str = "images", least: int = LEAST_UNITS
) -> Number:
    """The mean of values (N,) with standard error and Student's t interval; see `ratio`."""
    return ratio(values, np.ones(len(values)), groups, over, least)


def ratio(
    numerators: Values,
    denominators: Values,
    groups: Groups | None = None,
    over: str = "images",
    least: int = LEAST_UNITS,
) -> Number:
    """Σ numerators / Σ denominators, each (N,), with standard error and Student's t interval.

    The error is that of the jackknife, which leaves out a group or a single case at a time: that of
    the linearised ratio is too small where values are skewed and cases are few. Fewer than `least`
    groups or cases have no interval, which is for less skewed values to lower. `over` names the
    cases. Raises ValueError for fewer than two of them.
    """
    if len(numerators) < 2:
        raise ValueError(f"a standard error needs at least two {over}, not {len(numerators)}")
    total = float(denominators.sum(dtype=np.float64))
    value = float(numerators.sum(dtype=np.float64)) / total
    units = Units.of(len(numerators), groups, over)
    with np.errstate(divide="ignore", invalid="ignore"):  # all that is left may be 0
        moved = units.sums(numerators - value * denominators) / (total - units.sums(denominators))
    return Jackknife(value, value - moved, units).student(least)


def share(
    hits: Values, groups: Groups | None = None, over: str = "images", *, each: int = 1
) -> Number:
    """The share of right among right and wrong (N,), or the mean of shares of `each` cases.

    Independent cases have Wilson's score interval (1927); those of groups, or the `each` samples of
    an image, that of `Units.bounded`. Both stay within [0, 1] and keep a width at 0 and 1. Raises
    ValueError for no cases, and a share outside [0, 1].
    """
    count = len(hits)
    if count < 1 or not ((hits >= 0) & (hits <= 1)).all():
        raise ValueError("a share is between 0 and 1, of at least one case")
    units = Units.of(count, groups, f"{over} of {each} each" if each > 1 else over)
    value = float(hits.mean())
    if groups is not None or each > 1:
        return units.bounded(value, units.error(hits - value) / count, count * each)
    from scipy.stats import binomtest

    low, high = binomtest(round(value * count), count).proportion_ci(method="wilson")
    return Number(value, float(low), float(high), f"Wilson's over {units.text}", count=count)


def difference(
    hits: Values, others: Values, groups: Groups | None = None, over: str = "images"
) -> Number:
    """The share of `hits` less that of `others`, right and wrong of the same cases, bool (N,).

    Independent cases have the interval of Bonett and Price ("Adjusted Wald confidence interval for
    a difference of binomial proportions based on paired data", 2012), and as `p` McNemar's exact
    test; those of groups Student's t, and `p` by it. Where the two differ in fewer than
    `LEAST_DIFFERING` groups that would be too narrow, and there is no interval.
    """
    hits, others = np.asarray(hits, bool), np.asarray(others, bool)
    if groups is not None:
        units = Units.of(len(hits), groups, over)
        number = mean(hits.astype(float) - others, groups, over)
        differing = len(np.unique(groups[0][hits != others]))
        if number.low is None or differing >= LEAST_DIFFERING:
            return tested(number, units)
        how = f"no interval: the two differ for {differing} of the {units.text}"
        return Number(number.value, how=how, count=units.count)
    from scipy.stats import binomtest

    count = len(hits)
    more, fewer = int((hits & ~others).sum()), int((~hits & others).sum())
    up, down = (more + 1) / (count + 2), (fewer + 1) / (count + 2)
    half = quantile(np.inf) * sqrt((up + down - (up - down) ** 2) / (count + 2))
    low, high = max(-1.0, up - down - half), min(1.0, up - down + half)
    p = float(binomtest(more, more + fewer).pvalue) if more + fewer else 1.0
    how = f"Bonett and Price's over {Units.of(count, None, over).text}, p by McNemar's exact test"
    return Number((more - fewer) / count, low, high, how, count=count, p=p)


def tested(number: Number, units: "Units") -> Number:
    """A difference over units with its `p`, by Student's t of its error."""
    if number.low is None or not number.error:
        return number
    from scipy.stats import t

    p = float(2 * t.sf(abs(number.value) / number.error, units.freedom))
    return replace(number, how=f"{number.how}, p by it", p=p)


@dataclass(frozen=True, eq=False)
class Jackknife:
    """A statistic of cases in G groups that is no mean of them, and its error by the jackknife.

    Attributes:
        value: Of all cases.
        left_out: Without one group each, (G,); not finite where there is no such value.
        units: The groups.
    """

    value: float
    left_out: npt.NDArray[np.float64]
    units: "Units"

    @property
    def error(self) -> float:
        """The standard error, √((G − 1)/G · Σ (θ₋g − their mean)²) (Efron and Stein, 1981)."""
        count = len(self.left_out)
        offsets = self.left_out - self.value  # exactly 0 where nothing varies
        offsets -= offsets.mean()
        return sqrt((count - 1) / count * float((offsets**2).sum()))

    @property
    def number(self) -> Number:
        """A statistic within [0, 1] with the interval of `Units.bounded`."""
        return self._missing or self.units.bounded(self.value, self.error, self.units.cases)

    def student(self, least: int = LEAST_UNITS) -> Number:
        """Any statistic with Student's t interval, if there are at least so many groups."""
        return self._missing or self.units.student(self.value, self.error, least)

    def less(self, other: "Jackknife") -> Number:
        """How much larger it is than another statistic of the same groups, paired by group.

        Where both are near 1 a few groups decide, and there is no interval.
        """
        left_out = self.left_out - other.left_out
        paired = Jackknife(self.value - other.value, left_out, self.units)
        if min(self.value, other.value) <= NEAR_ONE:
            return tested(paired.student(LEAST_OF_SHARES), self.units)
        how = f"no interval: both are above {NEAR_ONE}, where few of the {self.units.text} decide"
        return Number(paired.value, how=how, count=self.units.count)

    @property
    def _missing(self) -> Number | None:
        if np.isfinite(self.left_out).all():
            return None
        how = self.units.too_few(LEAST_OF_SHARES)
        how = how or f"no interval: it hangs on one of the {self.units.text}"
        return Number(self.value, how=how, count=self.units.count)


def mean_of(parts: Sequence[Jackknife]) -> Jackknife:
    """The mean of a statistic over parts that share no group, such as folds."""
    value, count = float(np.mean([part.value for part in parts])), len(parts)
    # To leave a group out of one part moves the mean by a share of what it moves that part.
    left_out = [value + (part.left_out - part.left_out.mean()) / count for part in parts]
    weights = np.concatenate([part.units.weights / part.units.weights.sum() for part in parts])
    units = [part.units for part in parts]
    both = replace(units[0], cases=sum(unit.cases for unit in units), weights=weights)
    return Jackknife(value, np.concatenate(left_out), both)


def over_trainings(values: Values, groups: Groups | None = None) -> Number:
    """The mean of values (S, N) over S trainings and N images, or of (N,) for one training.

    The interval has the quantiles of the sum of two of Student's variates, one for the images or
    their groups and one for the trainings (Fisher's solution of Behrens's problem). For one
    training it leaves out the spread between trainings.
    """
    values = np.atleast_2d(values).astype(np.float64)
    number, seeds = mean(values.mean(0), groups), len(values)
    if seeds == 1 or number.low is None or number.error is None:
        return number
    from scipy.optimize import brentq
    from scipy.stats import t

    freedom = Units.of(values.shape[1], groups).freedom
    between = float(values.mean(1).std(ddof=1)) / sqrt(seeds)
    of_images = number.error * t.ppf((np.arange(200) + 0.5) / 200, freedom)

    def beyond(half: float) -> float:
        """How much less than 95 % of sums are within ± half."""
        ends = ((end - of_images) / between for end in (half, -half))
        upper, lower = (t.cdf(end, seeds - 1).mean() for end in ends)
        return 0.95 - float(upper - lower)

    half = quantile(freedom) * number.error
    if between:
        half = brentq(beyond, 0, 2 * (half + quantile(seeds - 1) * between))
    how = f"{number.how}, and over {seeds} training seeds"
    low, high, error = number.value - half, number.value + half, sqrt(number.error**2 + between**2)
    return replace(number, low=low, high=high, how=how, error=error)


@dataclass(frozen=True, eq=False)
class Units:
    """The independent units behind a number: groups of cases, or single cases.

    Attributes:
        cases: How many cases there are.
        over: What they are called.
        weights: How much each unit counts, such as its cases or pairs, (G,).
        codes: The unit of each case, 0…G−1, (N,); None where each is one itself.
        groups: What the groups are called; "" where each case is one.
    """

    cases: int
    over: str
    weights: npt.NDArray[np.float64]
    codes: npt.NDArray[np.intp] | None = None
    groups: str = ""

    @classmethod
    def of(cls, count: int, groups: Groups | None, over: str = "images") -> "Units":
        """The units of `count` cases; ValueError for another number of groups' codes."""
        if groups is None:
            return cls(count, over, np.ones(count))
        if len(groups[0]) != count:
            raise ValueError(f"{count} {over}, but groups of {len(groups[0])}")
        codes, sizes = np.unique(groups[0], return_inverse=True, return_counts=True)[1:]
        return cls(count, over, sizes.astype(np.float64), codes, groups[1])

    @property
    def count(self) -> int:
        """G."""
        return len(self.weights)

    @property
    def freedom(self) -> float:
        """One less than the number of units of equal weight that would say as much."""
        return max(float(self.weights.sum() ** 2 / (self.weights**2).sum()) - 1, 1e-9)

    @property
    def text(self) -> str:
        """How many they are, and a caution where they are few."""
        cases = f"{self.cases:,} {self.over}"
        every = f"{self.count:,} {self.groups}, {cases}" if self.groups else cases
        alike = self.freedom + 1
        if alike > FEW - 0.5:
            return every
        few = f"fewer than {FEW}" if alike > self.count - 0.5 else f"as {alike:.0f} of equal weight"
        return f"{every} ({few}: with caution)"

    def sums(self, values: Values) -> npt.NDArray[np.float64]:
        """The sums of values (N,) over each unit, (G,)."""
        summed: npt.NDArray[np.float64] = values.astype(np.float64)
        return summed if self.codes is None else np.bincount(self.codes, summed).astype(np.float64)

    def error(self, residuals: Values) -> float:
        """The standard error of the sum of residuals (N,), whose own sum is 0."""
        sums = self.sums(residuals)
        return sqrt(float((sums**2).sum()) * self.count / max(self.count - 1, 1))

    def student(self, value: float, error: float, least: int = LEAST_UNITS) -> Number:
        """A value with Student's t interval, of the freedom of groups of equal weight.

        Too few single cases still have their standard error; too few groups have none.
        """
        if how := self.too_few(least):
            return Number(value, how=how, error=None if self.groups else error, count=self.count)
        half = quantile(self.freedom) * error
        how = f"Student's t over {self.text}"
        return Number(value, value - half, value + half, how, error, self.count)

    def bounded(self, value: float, error: float, most: int) -> Number:
        """A value within [0, 1] with the interval of Korn and Graubard.

        It is Clopper and Pearson's for the number of independent cases that would have this error,
        at most `most`, times the square of the normal over Student's quantile ("Confidence
        intervals for proportions with small expected number of positive counts estimated from
        survey data", 1998). Without any spread there are as many cases as groups.
        """
        if how := self.too_few(LEAST_OF_SHARES):
            return Number(value, how=how, count=self.count)
        from scipy.stats import beta

        cases = value * (1 - value) / error**2 if error else self.freedom + 1
        cases = min(cases, most) * (quantile(np.inf) / quantile(self.freedom)) ** 2
        hits = value * cases
        low = float(beta.ppf(0.025, hits, cases - hits + 1)) if value > 0 else 0.0
        high = float(beta.ppf(0.975, hits + 1, cases - hits)) if value < 1 else 1.0
        how = f"Korn and Graubard's over {self.text}"
        return Number(value, low, high, how, count=self.count)

    def too_few(self, least: int) -> str:
        """Why these units give no interval where `least` would; "" where they do."""
        alike = self.freedom + 1
        if alike > least - 0.5:
            return ""
        equal = "" if alike > self.count - 0.5 else f", which count as {alike:.1f} of equal weight,"
        return (
            f"no interval: {self.count:,} {self.groups or self.over}{equal} are fewer than {least}"
        )


@cache
def quantile(freedom: float) -> float:
    """Student's 97.5 % quantile; the standard normal's for infinite freedom."""
    from scipy.stats import norm, t

    return float(norm.ppf(0.975) if freedom == np.inf else t.ppf(0.975, freedom))
