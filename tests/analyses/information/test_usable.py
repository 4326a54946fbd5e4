"""The interval of usable bits: over images it is the usual one, over seeds it is unbiased."""

import numpy as np
import pytest

from repr_toolkit.analyses.information.usable import Usable
from repr_toolkit.support import stats
from repr_toolkit.support.stats import Number, bootstrap
from repr_toolkit.support.tables import number_text


def ends(usable: Usable) -> tuple[float, float]:
    """The interval of usable bits."""
    low, high = usable.bits.low, usable.bits.high
    assert low is not None
    assert high is not None
    return low, high


def test_over_images_it_is_that_of_a_mean() -> None:
    saved = np.random.default_rng(0).normal(2, 3, 900)
    usable = Usable(saved)
    half = 1.96 * saved.std(ddof=1) / 30
    assert usable.bits.value == usable.mean == saved.mean()
    assert ends(usable) == pytest.approx((usable.mean - half, usable.mean + half), abs=0.02)
    assert usable.bits.how == "bootstrap over 900 images; leaves out fit bias and training seeds"
    assert usable.bits.count == 900
    assert ends(Usable(saved)) == ends(usable)
    assert bootstrap(saved, seed=1) != bootstrap(saved)


def test_over_seeds_it_is_that_of_their_mean() -> None:
    """Seeds that differ widen it, by their unbiased variance, even where images do not."""
    draw = np.random.default_rng(1)
    of_seeds = draw.normal(5, 1, 40)
    usable = Usable(np.repeat(of_seeds[:, None], 10, axis=1))
    half = 1.96 * of_seeds.std(ddof=1) / np.sqrt(40)
    assert ends(usable) == pytest.approx((usable.mean - half, usable.mean + half), abs=0.06)
    assert usable.bits.how == (
        "bootstrap over 10 images, Student's t over 40 training seeds; leaves out fit bias"
    )
    np.testing.assert_allclose(usable.of_seeds, of_seeds)
    # Of few seeds it is Student's interval, which goes far beyond them.
    low, high = ends(Usable(np.repeat([[1.0], [3.0]], 10, axis=1)))
    assert (low, high) == pytest.approx((2 - 12.706, 2 + 12.706), rel=0.05)


@pytest.mark.parametrize(("seeds", "spread"), [(2, 3.0), (3, 0.1), (3, 3.0)])
def test_it_covers_what_it_says(seeds: int, spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of data drawn again, 95 % of intervals hold the truth, by images or few seeds alike."""
    monkeypatch.setattr(stats, "RESAMPLES", 300)  # for speed
    draw, found = np.random.default_rng(7), 0
    for number in range(60):
        images = draw.normal(0, 5, 40)
        saved = images + draw.normal(0, spread, seeds)[:, None] + draw.normal(0, 1, (seeds, 40))
        usable = bootstrap(saved, seed=number)
        found += usable.low <= 0 <= usable.high
    assert found >= 52  # of 57 expected, three standard deviations below


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


def test_images_are_drawn_alike_for_all_seeds() -> None:
    """What two seeds share by image does not average out between them."""
    images = np.random.default_rng(2).normal(0, 1, 400)
    one, two = Usable(images), Usable(np.stack([images, images]))
    width = np.ptp(ends(two))
    assert width == pytest.approx(np.ptp(ends(one)), rel=0.1)


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
