"""Intervals are those of their sources, and of groups by groups; coverage is benchmarks' part."""

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp
from scipy.stats import t as student

from repr_toolkit.support.stats import (
    Jackknife,
    Number,
    Units,
    difference,
    mean,
    mean_of,
    over_trainings,
    ratio,
    share,
)


def ends(number: Number) -> tuple[float, float]:
    """The interval of a number that has one."""
    assert number.low is not None
    assert number.high is not None
    return number.low, number.high


def people(*sizes: int) -> tuple[np.ndarray, str]:
    """Groups of these sizes."""
    return np.repeat(np.arange(len(sizes)), sizes), "people"


def test_of_independent_values_it_is_students() -> None:
    values = np.random.default_rng(0).exponential(1, 40)
    number = mean(values)
    expected = ttest_1samp(values, 0).confidence_interval()
    assert ends(number) == pytest.approx((expected.low, expected.high))
    assert number.error == pytest.approx(values.std(ddof=1) / 40**0.5)
    assert (number.how, number.count) == ("Student's t over 40 images", 40)
    with pytest.raises(ValueError, match="at least two images, not 1"):
        mean(values[:1])


def test_of_equal_groups_it_is_that_of_their_means() -> None:
    """However often each group's values are repeated."""
    values = np.random.default_rng(1).normal(size=40)
    for copies in (1, 10):
        number = mean(np.repeat(values, copies), people(*[copies] * 40))
        assert ends(number) == pytest.approx(ends(mean(values)))
    assert number.how == "Student's t over 40 people, 400 images"


def test_of_unequal_groups_it_is_the_jackknife() -> None:
    groups = people(2, 3, 3, 4, 4, 5, 5, 6, 4, 4, 4, 4)
    values = np.random.default_rng(2).normal(size=48)
    number = mean(values, groups)
    without = np.array([values[groups[0] != g].mean() for g in range(12)])
    error = np.sqrt(11 / 12 * ((without - without.mean()) ** 2).sum())
    sizes = np.bincount(groups[0])
    freedom = 48**2 / (sizes**2).sum() - 1
    assert number.value == pytest.approx(values.mean())
    assert number.error == pytest.approx(error)
    assert ends(number)[1] - number.value == pytest.approx(student.ppf(0.975, freedom) * error)
    assert number.how == (
        "Student's t over 12 people, 48 images (as 11 of equal weight: with caution)"
    )
    twice = ratio(3 * values, np.full(48, 2.0), groups)
    assert ends(twice) == pytest.approx(tuple(1.5 * end for end in ends(number)))


def test_few_groups_have_none_and_the_number_says_why() -> None:
    for number in (
        mean(np.arange(291.0), people(198, 93)),
        share(np.arange(291) % 3 > 0, people(198, 93)),
        difference(np.arange(291) % 3 > 0, np.arange(291) % 5 > 0, people(198, 93)),
    ):
        assert (number.low, number.high, number.error, number.p) == (None,) * 4
        assert number.how.startswith("no interval: 2 people are fewer than ")
    hits = np.arange(20) % 3 > 0
    assert share(hits[:8], people(2, 2, 2, 2)).how == "no interval: 4 people are fewer than 5"
    assert share(hits[:10], people(2, 2, 2, 2, 2)).low is not None
    nine = mean(np.arange(18.0), people(*[2] * 9))
    assert nine.how == "no interval: 9 people are fewer than 10"
    assert mean(np.arange(20.0), people(*[2] * 10)).low is not None
    assert mean(np.arange(9.0)).how == "no interval: 9 images are fewer than 10"
    assert mean(np.arange(9.0), least=2).low is not None
    heavy = mean(np.arange(60.0), people(40, *[1] * 20))  # one person outweighs the others
    assert heavy.how.startswith("no interval: 21 people, which count as 2.2")


def test_a_share_of_independent_cases_is_wilsons() -> None:
    for right, count in ((0, 9), (60, 60), (461, 500)):
        number = share(np.arange(count) < right)
        expected = binomtest(right, count).proportion_ci(method="wilson")
        assert ends(number) == pytest.approx((expected.low, expected.high))
        assert number.value == right / count
    assert number.how == "Wilson's over 500 images"
    for wrong in (np.array([]), np.array([1.5]), np.array([-0.1, 1])):
        with pytest.raises(ValueError, match="between 0 and 1"):
            share(wrong)


def test_a_share_of_groups_is_of_as_many_cases_as_vary_as_much() -> None:
    """Clopper and Pearson's: of the groups where each is all right or all wrong."""
    hits = np.arange(400) % 10 < 7
    apart = share(np.repeat(hits, 5), (np.repeat(np.arange(400), 5), "people"))
    exact = binomtest(280, 400).proportion_ci()
    assert ends(apart) == pytest.approx((exact.low, exact.high), abs=2e-3)
    mixed = np.random.default_rng(0).random((400, 16)) < 0.7
    alone = binomtest(int(mixed.sum()), 6400).proportion_ci()
    samples = share(mixed.mean(1), each=16)
    assert ends(samples) == pytest.approx((alone.low, alone.high), abs=2e-3)
    assert samples.how == "Korn and Graubard's over 400 images of 16 each"
    certain = share(np.ones(100, bool), people(*[10] * 10))  # as of ten cases, and fewer
    low, high = ends(certain)
    assert (low, high) == (pytest.approx(0.612, abs=0.001), 1)
    assert low < binomtest(10, 10).proportion_ci().low


def test_a_difference_is_paired() -> None:
    hits, others = np.zeros((2, 500), bool)
    hits[:460], others[10:450] = True, True  # 20 against none
    number = difference(hits, others)
    up, down = 21 / 502, 1 / 502
    half = 1.959964 * np.sqrt((up + down - (up - down) ** 2) / 502)
    assert number.value == pytest.approx(0.04)
    assert ends(number) == pytest.approx((up - down - half, up - down + half))
    assert number.p == pytest.approx(2 * 0.5**20)  # McNemar's, exact
    assert difference(hits, hits).p == 1
    groups = people(*[10] * 50)
    rare = difference(hits, others, groups)  # Student's t would be far too narrow
    assert (rare.value, rare.low, rare.p) == (number.value, None, None)
    assert rare.how == "no interval: the two differ for 2 of the 50 people, 500 images"
    others = np.random.default_rng(0).uniform(size=500) < 0.8
    by_person = difference(hits, others, groups)
    expected = ttest_1samp((hits * 1.0 - others).reshape(50, 10).mean(1), 0)
    assert by_person.p == pytest.approx(expected.pvalue)
    unequal = difference(hits, others, people(*range(6, 32), 19))  # the interval and p are of one t
    assert (unequal.low < 0 < unequal.high) == (unequal.p > 0.05)
    half, error = (unequal.high - unequal.low) / 2, unequal.error
    freedom = Units.of(500, people(*range(6, 32), 19)).freedom
    assert (half / error, unequal.p) == pytest.approx(
        (student.ppf(0.975, freedom), 2 * student.sf(abs(unequal.value) / error, freedom))
    )


def test_the_jackknife_of_a_mean_is_students() -> None:
    values = np.random.default_rng(3).uniform(size=12)
    units = Units.of(12, (np.arange(12), "people"))
    left_out = (values.sum() - values) / 11
    one = Jackknife(values.mean(), left_out, units)
    assert one.error == pytest.approx(mean(values).error)
    none = Jackknife(0.0, np.zeros(12), units)
    assert ends(one.less(none)) == pytest.approx(ends(mean(values)))
    folds = mean_of([one, Jackknife(values.mean(), left_out, units)])
    assert folds.error == pytest.approx(one.error / 2**0.5, rel=0.05)
    assert folds.units.count == 24
    without = np.linspace(0.97, 0.99, 12)
    sure, less = Jackknife(0.98, without, units), Jackknife(0.96, without - 0.02, units)
    assert sure.less(less).low is not None
    assert sure.less(sure).how.startswith("no interval: both are above 0.97")
    lost = Jackknife(0.5, np.array([0.5, np.nan]), units)
    assert lost.number.how.startswith("no interval: it hangs on one of the 12 people")


def test_over_trainings_it_is_of_images_and_of_seeds() -> None:
    images = np.random.default_rng(4).normal(size=400)
    assert over_trainings(images) == mean(images)
    alike = over_trainings(np.stack([images] * 3))  # what seeds share does not average out
    assert ends(alike) == pytest.approx(ends(mean(images)), abs=2e-3)
    low, high = ends(over_trainings(np.repeat([[1.0], [3.0]], 10, axis=1)))
    assert (low, high) == pytest.approx((2 - 12.706, 2 + 12.706), rel=1e-3)
