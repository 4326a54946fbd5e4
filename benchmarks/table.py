"""The table at the end of a run, at most 100 columns wide."""

from itertools import groupby
from statistics import median

from rich import box
from rich.table import Table

from benchmarks.results import Row

NONE = "–"


def table(rows: list[Row]) -> Table:
    """Rows as a table, with a line below each comparison."""
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    result.add_column("work", min_width=12, max_width=14)
    result.add_column("side", min_width=14, max_width=16)
    for heading in ("median", "min–max", "ratio", "GFLOP/s", "of peak", "MB"):
        result.add_column(heading, justify="right", no_wrap=True)
    for work, sides in groupby(rows, key=lambda row: row.work):
        result.add_section()
        for i, row in enumerate(sides):
            result.add_row("" if i else work, *cells(row))
    return result


def cells(row: Row) -> tuple[str, ...]:
    """The cells of a row after the work: seconds, ratios and GFLOP/s to three digits."""
    speed = row.flops_per_second
    share = speed / row.ceiling if speed and row.ceiling else None
    return (
        row.side,
        number(median(row.seconds)) if row.seconds else NONE,
        spread(row.seconds),
        f"{number(median(row.ratios))} ({spread(row.ratios)})" if row.ratios else NONE,
        NONE if speed is None else number(speed / 1e9),
        NONE if share is None else f"{share:.1%}" if share < 0.1 else f"{share:.0%}",
        NONE if row.peak_mb is None else f"{row.peak_mb:,.0f}",
    )


def spread(values: list[float]) -> str:
    """The smallest and the largest of several values, or a dash.

    >>> spread([0.5, 0.25, 1.0])
    '0.25–1'
    """
    if not values:
        return NONE
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low}–{high}"


def number(value: float) -> str:
    """Three digits, never in powers of ten.

    >>> [number(v) for v in (0.01234, 2.5, 681.4, 3071.6)]
    ['0.0123', '2.5', '681', '3,072']
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
