"""Intervals hold the truth as often as they say."""

import numpy as np
import pytest

from repr_toolkit.support.stats import bootstrap


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
