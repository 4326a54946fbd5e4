"""The results of comparisons: rows of the table, and remarks below it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.timing import Comparison


@dataclass
class Row:
    """One side of one comparison.

    `seconds` and `ratios` have a value for each round; a ratio is the side's time over that of the
    comparison's reference, whose own ratios are 1. `flops` are the operations that the work needs,
    whatever the side does; `ceiling` is the most that the machine reaches per second.
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
        """The work's operations per second."""
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
    """The rows of a comparison with the side `reference`; `ceiling` takes the name of a side."""
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
