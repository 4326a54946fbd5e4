"""`make bench`: time each comparison and print one table.

python -m benchmarks [--rounds N] [--only sampling|training] [--complete-naive]
"""

import argparse
import statistics

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import sampling, training
from benchmarks.timing import Comparison


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--only", choices=["sampling", "training"], help="one comparison only")
    parser.add_argument(
        "--complete-naive",
        action="store_true",
        help="draw 16 images by the naive engine from start to end, about 10 minutes, and stop",
    )
    options = parser.parse_args()
    console = Console()
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    if options.complete_naive:
        seconds, same = sampling.complete_naive()
        verdict = "the same images as" if same else "images that differ in float32 from"
        console.print(f"naive, complete: {seconds:.1f} s; {verdict} the cached engine's")
        return
    if options.only != "training":
        show(console, sampling.run(options.rounds), "naive (scaled)", "cached")
    if options.only != "sampling":
        comparison, losses = training.run(options.rounds)
        show(console, comparison, "eager fp32 masked", "recipe")
        for name, side in comparison.sides.items():
            rate = training.BATCH / side.median
            console.print(f"{name}: {rate:.1f} images/s, loss {losses[name]:.3f} bits/dim")


def show(console: Console, comparison: Comparison, slow: str, fast: str) -> None:
    table = Table(title=comparison.work, title_justify="left")
    table.add_column("side")
    for heading in ("median", "min–max", f"{slow} / side"):
        table.add_column(heading, justify="right")
    for name, side in comparison.sides.items():
        ratio = statistics.median(comparison.ratios(slow, name))
        table.add_row(name, f"{side.median:.3g}", side.spread, f"{ratio:.3g}")
    console.print(table)
    ratios = comparison.ratios(slow, fast)
    console.print(
        f"{fast} is {statistics.median(ratios):.3g} × faster than {slow} "
        f"({min(ratios):.3g}–{max(ratios):.3g} over {len(ratios)} rounds); "
        f"other processes used {comparison.others_load:.0%} of the machine\n"
    )


if __name__ == "__main__":
    main()
