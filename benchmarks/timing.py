"""Times sides in turns, so that other work of the machine slows all of them."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.device import waiting


@dataclass
class Comparison:
    """Seconds of each side, a value for each round, scaled to the whole work.

    `others_load` is the share of all cores that other processes used meanwhile.
    """

    work: str
    seconds: dict[str, list[float]]
    others_load: float

    def median(self, side: str) -> float:
        return statistics.median(self.seconds[side])

    def ratios(self, side: str, reference: str) -> list[float]:
        """A side's time over the reference's, round by round; by medians if their rounds differ."""
        times, references = self.seconds[side], self.seconds[reference]
        if len(times) != len(references):
            times, references = [self.median(side)], [self.median(reference)]
        return [a / b for a, b in zip(times, references, strict=True)]


def alternate(
    work: str,
    sides: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    scale: Mapping[str, float] | None = None,
    warm_up: bool = True,
    limit: float = 60.0,
) -> Comparison:
    """Run each side once per round, `rounds` times, after a first round that does not count.

    The seconds of a side that does only a part of the work are multiplied by its `scale`. A side
    whose first run takes more than `limit` seconds runs only once, and this run counts. Without
    `warm_up` every run counts.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    scale = scale or {}

    def timed(name: str) -> float:
        run = waiting(sides[name])
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    first = {name: timed(name) for name in sides} if warm_up else {}
    slow = {name for name in first if first[name] > limit}
    for name in slow:
        seconds[name].append(first[name] * scale.get(name, 1.0))
    busy, used, start = _busy(), _used(), time.perf_counter()
    for _ in range(rounds):
        for name in sides:
            if name not in slow:
                seconds[name].append(timed(name) * scale.get(name, 1.0))
    elapsed = (time.perf_counter() - start) * (os.cpu_count() or 1)
    others = max(0.0, (_busy() - busy) - (_used() - used)) / elapsed
    return Comparison(work, seconds, others)


def _busy() -> float:
    """Seconds that all cores together have worked since the machine started (Linux; else 0)."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, _, _, irq, softirq, steal = map(int, stat.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _used() -> float:
    """Seconds that this process and those it started have worked (Linux; else 0)."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # the process has ended
            continue
        if int(fields[2]) == os.getpgrp():
            total += sum(map(int, fields[11:15]))  # user and system, and of children that ended
    return total / os.sysconf("SC_CLK_TCK")
