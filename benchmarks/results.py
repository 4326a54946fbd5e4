"""What a comparison leaves behind: rows of the table, and remarks beneath it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.timing import Comparison


@dataclass
class Row:
    """One side of one comparison.

    `seconds` and `ratios` have a value a round; a ratio is the side's time over that of the
    comparison's reference, whose own ratios are 1. `flops` are the operations that the work
    needs, however many the side spends; `ceiling` is what the machine reaches at most, a second.
    """

    work: str
    side: str
    seconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    flops: float | None = None
    ceiling: float | None = None
    peak_mb: float | None = None

    @property
    def flops_per_second(self) -> float | None:
        """Of the work's operations, how many are done a second."""
        return self.flops / median(self.seconds) if self.flops and self.seconds else None


@dataclass
class Results:
    """Rows and remarks of some comparisons."""

    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, other: "Results") -> None:
        self.rows += other.rows
        self.remarks += other.remarks


def compared(
    comparison: Comparison,
    reference: str,
    *,
    flops: float | None = None,
    ceiling: Callable[[str], float] | None = None,
) -> Results:
    """The rows of a comparison, held against the side `reference`; `ceiling` is given a side."""
    rows = [
        Row(
            comparison.work,
            side,
            seconds,
            comparison.ratios(side, reference),
            flops,
            ceiling(side) if ceiling else None,
        )
        for side, seconds in comparison.seconds.items()
    ]
    name = comparison.work.split(",")[0]
    load = f"{name}: other processes used {comparison.others_load:.0%} of the machine"
    return Results(rows, [load])
