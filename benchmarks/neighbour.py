"""Work on a quiet machine, and beside a process that keeps one core busy."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import evaluation
from benchmarks.results import Results, compared
from benchmarks.sampling import model
from benchmarks.timing import alternate
from benchmarks.training import MASKED_SIDE, RECIPE_SIDE, SIDES, Way, training
from repr_toolkit.config.recipe import load_recipe

WAYS: Mapping[str, Way] = {
    RECIPE_SIDE: SIDES[RECIPE_SIDE],
    "threads in operations": Way(in_parts=False),
    MASKED_SIDE: SIDES[MASKED_SIDE],
}
DEMO = "bottleneck_mnist5k"
ROOT = str(Path(__file__).parents[1])
SPIN = "import time\nend = time.monotonic() + 3600\nwhile time.monotonic() < end: pass"
"""What the neighbour does, for an hour at most."""


def beside_a_neighbour(work: Callable[[], object]) -> None:
    """Work beside a process that works without pause."""
    process = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        work()
    finally:
        process.kill()
        process.wait()


def compare(
    work: str,
    call: Callable[[], object],
    rounds: int,
    *,
    calls: int = 1,
    warm_up: bool = True,
) -> Results:
    """Seconds of one of several calls that are made; the ratio is to the quiet time."""
    sides: Mapping[str, Callable[[], object]] = {
        "quiet": call,
        "beside a neighbour": partial(beside_a_neighbour, call),
    }
    scale = dict.fromkeys(sides, 1 / calls)
    comparison = alternate(work, sides, rounds=rounds, scale=scale, warm_up=warm_up)
    return compared(comparison, "quiet")


def run(rounds: int, steps: int = 10) -> Results:
    """A step of each way of training, and evaluation."""
    results = Results()
    with training(WAYS, steps * 2 * (rounds + 1)) as sides:
        for name, side in sides.items():
            block = partial(side.block, steps)
            results.add(compare(f"step of {name}", block, rounds, calls=steps))
    for name, work in evaluation.sides(model())[0].items():
        results.add(compare(f"{name} of {evaluation.IMAGES} images", work, rounds))
    return results


def demo(rounds: int, share: float) -> Results:
    """The whole demo, with a share of its steps of training, as if it never ran here before."""
    steps = max(2, 2 * round(share * load_recipe(DEMO)["training"]["steps"] / 2))
    settings = {"steps": steps, "validate_every": steps // 2, "warmup": min(100, steps // 8)}
    options = [f"--training.{key}={value}" for key, value in settings.items()]

    def study() -> None:
        with TemporaryDirectory() as folder:
            caches = dict.fromkeys(("REPR_TOOLKIT_CACHE", "TORCHINDUCTOR_CACHE_DIR"), folder)
            subprocess.run(
                [sys.executable, "-m", "repr_toolkit", "study", DEMO, *options],
                cwd=folder,
                env={**os.environ, **caches, "PYTHONPATH": ROOT},
                stdout=subprocess.DEVNULL,
                check=True,
            )

    return compare(f"the demo, {steps} steps a model", study, rounds, warm_up=False)
