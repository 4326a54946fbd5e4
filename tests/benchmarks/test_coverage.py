"""Every interval that is printed holds the truth at the design that it is printed for."""

import pytest

from benchmarks.coverage import DESIGNS, coverage


@pytest.mark.parametrize("name", DESIGNS)
def test_intervals_cover(name: str) -> None:
    result = coverage(DESIGNS[name])
    assert result.printed > 0.99 or DESIGNS[name].seldom
    assert result.covered >= 0.9
