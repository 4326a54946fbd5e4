"""A training step on a quiet machine, and beside a process that keeps one core busy."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.results import Results, compared
from benchmarks.timing import alternate
from benchmarks.training import MASKED_SIDE, RECIPE_SIDE, SIDES, Way, training

WAYS: Mapping[str, Way] = {
    RECIPE_SIDE: SIDES[RECIPE_SIDE],
    "threads in operations": Way(in_parts=False),
    MASKED_SIDE: SIDES[MASKED_SIDE],
}
SPIN = "import time\nend = time.monotonic() + 600\nwhile time.monotonic() < end: pass"
"""What the neighbour does, for ten minutes at most."""


def beside_a_neighbour(work: Callable[[], object]) -> None:
    """Work beside a process that works without pause."""
    process = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        work()
    finally:
        process.kill()
        process.wait()


def run(rounds: int, steps: int = 10) -> Results:
    """Seconds a step of each way of training; the ratio is to its own quiet time."""
    results = Results()
    with training(WAYS, steps * 2 * (rounds + 1)) as sides:
        for name, side in sides.items():
            block = partial(side.block, steps)
            calls = {"quiet": block, "beside a neighbour": partial(beside_a_neighbour, block)}
            comparison = alternate(
                f"step of {name}", calls, rounds=rounds, scale=dict.fromkeys(calls, 1 / steps)
            )
            results.add(compared(comparison, "quiet"))
    return results
