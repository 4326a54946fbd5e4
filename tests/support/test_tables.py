"""Numbers as text: digits follow the error, signs are signs, and what is not known is a dash."""

from math import inf

import pytest

from repr_toolkit.support.stats import Number, quantile
from repr_toolkit.support.tables import number_parts, number_text

NAN = float("nan")


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (1.23456, 0.0123, "1.235 ± 0.012"),
        (-1.5, 0.26, "−1.50 ± 0.26"),
        (123.4, 12.3, "123 ± 12"),
        (0.5, 0.0, "0.500 ± 0.000"),
        (0.5, 1e-9, "0.5000 ± 0.0000"),
    ],
)
def test_digits_follow_the_error(mean: float, error: float, text: str) -> None:
    assert number_text(Number(mean, error=error)) == text


def test_what_is_not_known() -> None:
    assert number_text(None) == "–"
    assert number_parts(Number(NAN, 0.0, 1.0, error=0.1)) == ("–", "", "")
    assert number_parts(Number(0.5, NAN, 1.0), digits=1) == ("0.5", "", "")
    assert number_text(Number(0.5), digits=1) == "0.5"


def test_intervals_below_zero_are_spelled_out() -> None:
    assert number_text(Number(0.1, -0.2, 0.4), digits=1) == "0.1 (−0.2 to 0.4)"
    assert number_text(Number(0.1, 0.0, 0.4), 100, 1) == "10.0 (0.0–40.0)"


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (-0.0123, 0.0021, "−0.0164 to −0.0082"),
        (1.5, 0.26, "0.99–2.01"),
        (0.0, 0.0, "0.000–0.000"),
    ],
)
def test_an_interval_has_the_digits_of_its_error(mean: float, error: float, text: str) -> None:
    half = quantile(inf) * error
    assert number_parts(Number(mean, mean - half, mean + half, error=error))[2] == text
