"""Numbers and paragraphs as text that fits a terminal."""

from collections.abc import Iterable, Sequence
from math import floor, isfinite, log10
from textwrap import fill
from typing import Any

from repr_toolkit.support.stats import Number

WIDTH = 100
"""The columns of a terminal, which tables and texts fit."""

NONE = "–"
"""Stands for a missing value."""


def wrapped(text: str, bullet: str = "", width: int = WIDTH) -> str:
    """A paragraph in lines of a terminal's width, the first after a bullet such as "- "."""
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    rest = " " * len(bullet)
    return fill(text, width, initial_indent=bullet, subsequent_indent=rest, **options) + "\n"


def columns(rows: Sequence[Sequence[str]], width: int, left: Iterable[int]) -> list[str]:
    """Rows of cells as lines of aligned columns, those of the numbers `left` to the left.

    A first cell that leaves its row no room in `width` has a line of its own. What cannot be
    printed in a cell is replaced.

    >>> columns([["a", "1.5"], ["a long name", "12"]], 10, left=[0])
    ['a      1.5', 'a long name\\n        12']
    """
    rows = [
        ["".join(c if c.isprintable() else "\ufffd" for c in cell) for cell in row] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = width - sum(2 + other for other in widths[1:])
    first = min(widths[0], room)
    lines = []
    for name, *cells in rows:
        rest = "".join(
            "  " + (cell.ljust(w) if number in left else cell.rjust(w))
            for number, (cell, w) in enumerate(zip(cells, widths[1:], strict=True), 1)
        )
        lines.append(
            f"{name}\n{'':{first}}{rest}" if len(name) > first else f"{name:{first}}{rest}"
        )
    return lines


def number_text(number: Number | None, scale: float = 1, digits: int | None = None) -> str:
    """A number for a terminal: with its standard error, or else with its interval.

    To `digits` decimals, or else to the second digit of the error or of the interval's width, and
    at most four decimals.

    >>> number_text(Number(1.23456, 1.21, 1.26, error=0.01234)), number_text(None)
    ('1.235 ± 0.012', '–')
    >>> number_text(Number(282.512, 271.8, 294.02)), number_text(Number(-0.0123, -0.0142, -0.0101))
    ('282.5 (271.8–294.0)', '−0.0123 (−0.0142 to −0.0101)')
    >>> number_text(Number(0.922, 0.895, 0.942), 100, 1), number_text(Number(2.5), digits=2)
    ('92.2 (89.5–94.2)', '2.50')
    """
    if number is None:
        return NONE
    value, error, interval = number_parts(number, scale, digits)
    return f"{value} ± {error}" if error else f"{value} ({interval})" if interval else value


def number_parts(
    number: Number, scale: float = 1, digits: int | None = None
) -> tuple[str, str, str]:
    """Value, standard error and interval as texts, or "" for each that is not known.

    >>> number_parts(Number(-0.0123, -0.0164, -0.0082, error=0.0021))
    ('−0.0123', '0.0021', '−0.0164 to −0.0082')
    """
    if not isfinite(number.value):
        return NONE, "", ""
    value, error = number.value * scale, (number.error or 0) * scale
    low, high = number.low, number.high
    ends: list[float] = []
    if low is not None and high is not None and isfinite(low + high):
        ends = [low * scale, high * scale]
    if digits is None:
        by_width = bool(ends) and number.error is None
        digits = max(1, _digits(ends[1] - ends[0])) if by_width else _digits(error)
    between = "–" if ends and ends[0] >= 0 else " to "
    interval = between.join(plain(end, digits) for end in ends)
    return plain(value, digits), "" if number.error is None else plain(error, digits), interval


def plain(number: float | None, digits: int = 2) -> str:
    """A number to `digits` decimals, with commas at thousands and a true minus; a dash for none.

    >>> plain(-1234.567), plain(-0.001), plain(None), plain(float("nan"))
    ('−1,234.57', '0.00', '–', '–')
    """
    if number is None or not isfinite(number):
        return NONE
    text = f"{number:,.{digits}f}"
    return (text if text.strip("-0.") else text.lstrip("-")).replace("-", "−")


def per_cent(share: float) -> str:
    """A share in per cent, without "%".

    >>> per_cent(0.8621)
    '86.2'
    """
    return plain(100 * share, 1)


def _digits(error: float) -> int:
    return min(4, max(0, 1 - floor(log10(error)))) if error > 0 else 3


def size(count: float) -> str:
    """A number of bytes in words.

    >>> size(512), size(13_400_000), size(7.61e9)
    ('512 B', '13.4 MB', '7.6 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.{0 if unit == 'B' else 1}f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(42), duration(200), duration(7500)
    ('42 s', '3 min 20 s', '2 h 5 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
