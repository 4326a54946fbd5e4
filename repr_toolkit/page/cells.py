"""Numbers as cells of tables."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from repr_toolkit.page.blocks import Cell
from repr_toolkit.support.nats import nats_for_a_bit
from repr_toolkit.support.stats import Number
from repr_toolkit.support.tables import number_parts, per_cent

Numbers = Mapping[str, Any]


def number_cell(
    number: Number | Numbers | None, scale: float = 1, digits: int | None = None
) -> Cell:
    """A number, or what its `as_dict` gave, with its 95 % interval, or else its standard error.

    To `digits` decimals, or as many as `number_parts` takes.
    """
    if number is None:
        return Cell()
    known = number if isinstance(number, Number) else Number(**number)
    text, error, interval = number_parts(known, scale, digits)
    return Cell(text, interval or (f"± {error}" if error else ""), error, known.how)


def nats_cell(number: Number | Numbers | None, of: Numbers) -> Cell:
    """Bits/dim as nats an image, where a result `of` them has images of two levels; else blank.

    The literature states likelihoods of such images so. `of` has `levels` and `dims`.
    """
    nats = nats_for_a_bit(of.get("dims"), of.get("levels"))  # earlier versions' have no dims
    return number_cell(number, nats) if nats else Cell()


def share_of(number: Number | Numbers | None) -> Cell:
    """A share in per cent with its interval."""
    return number_cell(number, 100, 1)


def with_chance(cell: Cell, chance: float) -> Cell:
    """A share, beside that of chance."""
    return with_remark(cell, f"chance {per_cent(chance)}")


def with_remark(cell: Cell, remark: str) -> Cell:
    """A cell with a remark after its interval."""
    return replace(cell, detail="; ".join(filter(None, [cell.detail, remark])))


def with_p(cell: Cell, number: Number | Numbers) -> Cell:
    """A difference, with the probability of one as large if there were none.

    >>> with_p(Cell("2.5"), Number(0.025, p=0.0004)).detail
    'p < 0.001'
    """
    p = number.p if isinstance(number, Number) else number.get("p")
    if p is None:
        return cell
    return with_remark(cell, "p < 0.001" if p < 0.001 else f"p = {p:.2g}")


def spanned(counts: Iterable[int]) -> str:
    """The number that runs were measured with, or the least and the largest of several.

    >>> spanned([64, 64]), spanned([64, 1000])
    ('64', '64 to 1,000')
    """
    every = list(counts)
    few, many = min(every), max(every)
    return f"{few:,}" if few == many else f"{few:,} to {many:,}"
