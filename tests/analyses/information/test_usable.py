"""The interval of usable bits: over images it is the usual one, over seeds it is unbiased."""

import numpy as np
import pytest

from repr_toolkit.analyses.information.usable import Usable
from repr_toolkit.support.stats import Number, over_trainings
from repr_toolkit.support.tables import number_text


def ends(usable: Usable) -> tuple[float, float]:
    """The interval of usable bits."""
    low, high = usable.bits.low, usable.bits.high
    assert low is not None
    assert high is not None
    return low, high


def test_it_is_the_number_of_trainings() -> None:
    """By images, or by groups of them, and by seeds."""
    saved = np.random.default_rng(0).normal(2, 3, (3, 900))
    groups = (np.arange(900) // 9, "people")
    usable = Usable(saved, groups)
    number = over_trainings(saved, groups)
    assert ends(usable) == (number.low, number.high)
    assert usable.bits.value == pytest.approx(usable.mean)
    assert usable.bits.how == (
        "Student's t over 100 people, 900 images, and over 3 training seeds; leaves out fit bias"
    )
    np.testing.assert_allclose(usable.of_seeds, saved.mean(1))
    one = Usable(saved[0]).bits
    assert one.how == "Student's t over 900 images; leaves out fit bias and training seeds"
    assert one.count == 900


def test_a_verdict_needs_three_pairs_whose_interval_excludes_0() -> None:
    """Student's: of 1, 2, 3 it is 2 ± 4.303 · 1 / √3, whatever the images say."""
    images = np.array([[-5.0], [0.0], [5.0]]).repeat(2, axis=1).ravel()

    def of(*seeds: float) -> Usable:
        return Usable(np.array(seeds)[:, None] + images)

    over = of(1, 2, 3).over_seeds
    assert over is not None
    assert (over.low, over.high) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)
    assert [of(*seeds).sign for seeds in ((1, 2, 3), (2, 2.5, 3), (-2, -2.5, -3))] == [0, 1, -1]
    for few in ((2.5,), (2, 3)):
        assert of(*few).sign is of(*few).over_seeds is None


def test_it_is_ready_for_json() -> None:
    usable = Usable(np.array([[1.0, 2.0], [3.0, 4.0]]))
    numbers = usable.as_dict()
    assert numbers["of_seeds"] == [1.5, 3.5]
    assert Number.from_dict(numbers["bits"]) == usable.bits
    assert (usable.bits.value, usable.bits.count) == (2.5, 2)


@pytest.mark.parametrize("saved", [np.zeros(1), np.zeros((2, 1)), np.zeros((2, 2, 2))])
def test_too_little(saved: np.ndarray) -> None:
    with pytest.raises(ValueError, match="two images or more"):
        Usable(saved)


def test_bits_are_shown_to_the_digits_that_are_known() -> None:
    assert number_text(Number(282.512, 271.8, 294.02)) == "282.5 (271.8–294.0)"
    assert number_text(Number(1282.5, 1101.0, 1394.2)) == "1,282.5 (1,101.0–1,394.2)"
    assert number_text(Number(-0.0123, -0.0142, -0.0101)) == "−0.0123 (−0.0142 to −0.0101)"
    assert number_text(Number(0, 0, 0)) == "0.000 (0.000–0.000)"
