"""Intervals hold the truth as often as they say."""

import numpy as np
import pytest

from repr_toolkit.support.stats import bootstrap, mean_and_error, percentiles


def test_a_bootstrap_of_one_training_covers_the_mean_over_images() -> None:
    draw = np.random.default_rng(0)
    samples = draw.exponential(2.0, (60, 200))
    numbers = [bootstrap(values) for values in samples]
    covered = [low < 2 < high for n in numbers if (low := n.low) and (high := n.high)]
    assert len(covered) == 60
    assert 0.85 < np.mean(covered) <= 1
    first = numbers[0]
    assert first.value == pytest.approx(samples[0].mean())
    assert first.low is not None
    assert first.high is not None
    width = first.high - first.low
    assert width == pytest.approx(2 * 1.96 * samples[0].std() / 200**0.5, rel=0.1)


def test_a_normal_interval_holds_the_mean_in_95_of_100() -> None:
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        mean = mean_and_error(draw.normal(3, 2, 200))
        assert mean.low is not None
        assert mean.high is not None
        held += mean.low < 3 < mean.high
    assert abs(held / 2000 - 0.95) < 0.015


def test_a_bootstrap_of_few_has_no_interval() -> None:
    replicates = np.linspace(0, 1, 41)
    number = percentiles(0.5, replicates, 10, "people")
    assert (number.low, number.high) == pytest.approx((0.025, 0.975))
    assert number.how == "bootstrap over 10 people"
    few = percentiles(0.5, replicates, 9, "people")
    assert (few.low, few.high, few.count) == (None, None, 9)
    assert few.how == "fewer than 10 people, too few for a bootstrap"
