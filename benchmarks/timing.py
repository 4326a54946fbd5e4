"""Timing sides in turns, so that whatever else the machine does falls on all of them."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Side:
    """Seconds of one way of doing the work, a value a round, each already scaled to the work."""

    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> str:
        return f"{min(self.seconds):.3g}–{max(self.seconds):.3g}"


@dataclass
class Comparison:
    """Sides timed in turns; `others_load` is the share of all cores that other processes used."""

    work: str
    sides: dict[str, Side]
    others_load: float

    def ratios(self, slow: str, fast: str) -> list[float]:
        """How many times faster `fast` was, round by round."""
        pairs = zip(self.sides[slow].seconds, self.sides[fast].seconds, strict=True)
        return [a / b for a, b in pairs]


def alternate(
    work: str,
    sides: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    scale: Mapping[str, float] | None = None,
) -> Comparison:
    """Run each side once a round, `rounds` times, after one round that is not counted.

    A side that does only a part of the work has its seconds multiplied by its `scale`.
    """
    for run in sides.values():
        run()
    timed = {name: Side() for name in sides}
    busy, own, start = _busy(), _own(), time.perf_counter()
    for _ in range(rounds):
        for name, run in sides.items():
            begin = time.perf_counter()
            run()
            seconds = time.perf_counter() - begin
            timed[name].seconds.append(seconds * (scale or {}).get(name, 1.0))
    elapsed = (time.perf_counter() - start) * (os.cpu_count() or 1)
    others = max(0.0, (_busy() - busy) - (_own() - own)) / elapsed
    return Comparison(work, timed, others)


def _busy() -> float:
    """Seconds that all cores together have worked since the machine started (Linux; else 0)."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, _, _, irq, softirq, steal = map(int, stat.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    times = os.times()
    return times.user + times.system
