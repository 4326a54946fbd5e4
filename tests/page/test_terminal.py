"""Tables in a terminal."""

import pytest

from repr_toolkit.page.blocks import Cell, Row, Table
from repr_toolkit.page.terminal import as_text

WITH = Cell("−0.10", "−0.20 to −0.01", "0.04")
WITHOUT = Cell("−0.12", "± 0.06", "0.06")
SHARE = Cell("16.7", "−29.0 to 54.0")


@pytest.mark.parametrize(
    ("cells", "intervals"),
    [
        ([WITH, WITHOUT, SHARE], ["−0.20 to −0.01", "–", "–"]),
        ([Cell(), Cell("−0.12", "± 0.06; p = 1", "0.06")], ["–", "p = 1"]),
        ([WITHOUT, SHARE, Cell()], None),
    ],
)
def test_intervals_are_said_once(cells: list[Cell], intervals: list[str] | None) -> None:
    """In the number's own cell, or, beside a standard error, in a line of their own."""
    names = ["a", "b", "c"][: len(cells)]
    text = as_text([Table("", names, [Row("less", cells, intervals=True)])])
    lines = [line for line in text.splitlines() if "95 % interval" in line]
    if intervals is None:
        assert lines == []
    else:
        assert [part.strip() for part in lines[0].split("|")[2:-1]] == intervals
