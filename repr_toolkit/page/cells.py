"""Numbers as cells of a report's tables: to the digits that their error allows, with intervals."""

from collections.abc import Iterable
from math import isfinite
from typing import Any

from repr_toolkit.page.blocks import Cell
from repr_toolkit.support.stats import Estimate, Number
from repr_toolkit.support.tables import interval_text, number_parts, per_cent, with_error


def number_cell(number: Number | None, scale: float = 1, digits: int | None = None) -> Cell:
    """A number with its 95 % interval; to `digits` decimals, or as many as its error allows."""
    if number is None:
        return Cell()
    text, error, interval = number_parts(number, scale, digits)
    return Cell(text, interval, error)


def share_of(number: Number | None) -> Cell:
    """A share in per cent with its interval."""
    return number_cell(number, 100, 1)


def with_chance(cell: Cell, chance: float) -> Cell:
    """A share beside what chance gives."""
    return with_remark(cell, f"chance {per_cent(chance)}")


def with_remark(cell: Cell, remark: str) -> Cell:
    """A cell with a remark after its interval."""
    return Cell(cell.text, "; ".join(filter(None, [cell.detail, remark])), cell.error)


def estimate_cell(estimate: Estimate | None, scale: float = 1) -> Cell:
    """A mean, and below it its 95 % interval."""
    if estimate is None or not isfinite(estimate.mean + estimate.standard_error):
        return Cell()
    scaled = Estimate(estimate.mean * scale, estimate.standard_error * scale, estimate.count)
    return Cell(with_error(scaled).split(" ± ")[0], interval_text(scaled))


def share_cell(share: float | None, low: float | None = None, high: float | None = None) -> Cell:
    """A share in per cent, and below it its interval."""
    if share is None or not _number(share):
        return Cell()
    if low is None or high is None or not _number(low, high):
        return Cell(per_cent(share))
    return Cell(per_cent(share), f"{per_cent(low)} to {per_cent(high)}")


def spanned(counts: Iterable[int]) -> str:
    """What runs were measured with: one number if it is the same for all.

    >>> spanned([64, 64]), spanned([64, 1000])
    ('64', '64 to 1,000')
    """
    few, many = min(known := list(counts)), max(known)
    return f"{few:,}" if few == many else f"{few:,} to {many:,}"


def _number(*values: Any) -> bool:
    """Whether all are numbers that can be shown."""
    return all(isinstance(v, int | float) and isfinite(v) for v in values)
