"""`make bench`: run each comparison, its sides in turns, and print one table.

python -m benchmarks [--only PART …] [--rounds N] [--json FILE]
"""

import argparse
import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks import (
    ceilings,
    evaluation,
    flows,
    memory,
    neighbour,
    pixelcnnpp,
    pixelrnn,
    sampling,
    training,
)
from benchmarks.results import Results
from benchmarks.table import table
from repr_toolkit.support.processes import fastest_device
from repr_toolkit.training.trainer import quiet_lightning

DEFAULT = (
    "sampling",
    "paper",
    "training",
    "pixelrnn",
    "pixelcnnpp",
    "flows",
    "evaluation",
    "memory",
)
ON_DEMAND = {
    "switches": "training without each of the recipe's settings in turn",
    "losses": "200 steps from 3 seeds on both sides of training, some 10 minutes",
    "flow-losses": "200 steps from 3 seeds of Glow and of normflows', some 10 minutes",
    "networks": "training steps of the networks of pixelcnnpp_photos",
    "neighbour": "training and evaluation beside a process that keeps a core busy",
    "demo": "the whole demo quiet and beside such a process, some 15 minutes a round",
    "naive": "16 images by the naive engine from start to end, some 12 minutes",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time each comparison, its sides in turns, and print one table.",
        epilog="Only when asked for: "
        + "; ".join(f"{name} ({what})" for name, what in ON_DEMAND.items()),
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*DEFAULT, *ON_DEMAND],
        default=DEFAULT,
        metavar="PART",
        help=f"of {', '.join((*DEFAULT, *ON_DEMAND))} (default: the first {len(DEFAULT)})",
    )
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the demo's steps of training (default 1)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw numbers here")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    if not 0 < options.share <= 1:
        parser.error("--share is above 0 and at most 1")
    with quiet_lightning():
        raw = run(Console(width=100), options.only, options.rounds, options.share)
    if options.json:
        options.json.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")


def run(console: Console, parts: list[str], rounds: int, share: float) -> dict[str, Any]:
    """Run the parts, the demo with a share of its steps; print the results; return raw numbers."""
    console.print(_machine())
    ceiling = ceilings.measure()
    console.print(ceilings.table(ceiling))
    raw: dict[str, Any] = {"machine": _machine(), "ceilings": asdict(ceiling)}
    results = Results()
    timed = {
        "sampling": lambda: sampling.run(rounds, ceiling),
        # A round takes about a minute on two cores.
        "paper": lambda: sampling.paper(min(rounds, 2), ceiling),
        "training": lambda: training.run(rounds, ceiling),
        "pixelrnn": lambda: pixelrnn.run(rounds),
        "flows": lambda: flows.run(rounds),
        "pixelcnnpp": lambda: pixelcnnpp.run(rounds, ceiling),
        "networks": lambda: pixelcnnpp.networks(rounds),
        "switches": lambda: training.switches(rounds, ceiling),
        "neighbour": lambda: neighbour.run(rounds),
        "demo": lambda: neighbour.demo(rounds, share),
        "evaluation": lambda: evaluation.run(rounds, ceiling),
        "memory": memory.run,
    }
    for name, part in timed.items():
        if name in parts:
            with console.status(f"{name} …"):
                results.add(part())
    for name, measure in (("losses", training.losses), ("flow-losses", flows.losses)):
        if name in parts:
            losses, raw[name] = measure()
            console.print(losses)
    if "naive" in parts:
        seconds, same = sampling.complete_naive()
        verdict = "the same images as" if same else "images that differ in float32 from"
        results.remarks.append(f"naive, complete: {seconds:.1f} s; {verdict} the cached engine's")
    if results.rows:
        console.print(table(results.rows))
        console.print(
            "ratio: time over that of the comparison's reference, the side with ratio 1. GFLOP/s: "
            "the operations that the work needs, per second; of peak: over the better ceiling of "
            "its precision and shape. MB: growth of a separate process from the model's making to "
            "the peak.",
            highlight=False,
        )
    for remark in results.remarks:
        console.print(f"- {remark}", highlight=False)
    raw["rows"] = [asdict(row) for row in results.rows]
    raw["remarks"] = results.remarks
    return raw


def _machine() -> str:
    device = fastest_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"torch {torch.__version__}, {name}, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()
