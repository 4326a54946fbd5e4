"""Numbers as text, and Markdown tables and lists that fit a terminal."""

from collections.abc import Sequence
from math import floor, log10
from textwrap import fill
from typing import TYPE_CHECKING

from repr_toolkit.analyses.probing import Probe
from repr_toolkit.support.stats import Estimate, normal_interval

if TYPE_CHECKING:
    from repr_toolkit.analyses.classification.bayes import Classification
    from repr_toolkit.analyses.classification.pixel_classifiers import Baseline


WIDTH = 100  # columns of a terminal that the Markdown fits


NONE = "–"


def notes_text(notes: Sequence[str]) -> str:
    """A Markdown list of sentences, broken at the width of a terminal."""
    return "".join(
        fill(
            note,
            WIDTH,
            initial_indent="- ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        + "\n"
        for note in notes
    )


def with_error(estimate: Estimate | None, scale: float = 1) -> str:
    """Mean ± standard error, to the error's second digit and at most four decimals.

    >>> with_error(Estimate(1.23456, 0.01234, 100)), with_error(None)
    ('1.235 ± 0.012', '–')
    """
    if estimate is None:
        return NONE
    mean, error = estimate.mean * scale, estimate.standard_error * scale
    digits = _digits(error)
    return f"{mean:.{digits}f} ± {error:.{digits}f}".replace("-", "−")


def interval_text(estimate: Estimate | None) -> str:
    """The 95 % interval, to the digits of `with_error`.

    >>> interval_text(Estimate(-0.0123, 0.0021, 500))
    '−0.0164 to −0.0082'
    """
    if estimate is None:
        return NONE
    digits = _digits(estimate.standard_error)
    low, high = normal_interval(estimate)
    return f"{low:.{digits}f} to {high:.{digits}f}".replace("-", "−")


def with_interval(probe: "Probe | Baseline | Classification | None") -> str:
    """Accuracy and its interval, in per cent."""
    if probe is None:
        return NONE
    low, high = (100 * bound for bound in probe.interval)
    return f"{100 * probe.accuracy:.1f} ({low:.1f}–{high:.1f})"


def _digits(error: float) -> int:
    return min(4, max(0, 1 - floor(log10(error)))) if error > 0 else 3


def aligned(columns: Sequence[Sequence[str]]) -> str:
    """A Markdown table of these columns, whose first cells are the headings."""
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for cells in zip(*columns, strict=True):
        texts = [cells[0].ljust(widths[0])]
        texts += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        lines.append(f"| {' | '.join(texts)} |")
    rules = [":" + "-" * (widths[0] + 1), *("-" * (width + 1) + ":" for width in widths[1:])]
    lines.insert(1, f"|{'|'.join(rules)}|")
    return "\n".join(lines) + "\n"


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(42), duration(200), duration(7500)
    ('42 s', '3 min 20 s', '2 h 5 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
