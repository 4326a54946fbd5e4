"""Bits/dim over steps and over CPU-seconds, of named ways of training the same model.

python -m benchmarks.learning TASK [--ways WAY …] [--set KEY=VALUE …] [--seeds N] [--steps N]

Each way of each seed trains in a process of its own, on one thread, as `repr-toolkit train` does;
the seconds are the process's CPU time in training steps, so neither a busy neighbour nor a
validation counts. All ways see the same images in the same order, and are measured on the same
validation images.
"""

import argparse
import csv
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from math import prod
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any, cast

from lightning import Callback, LightningModule, Trainer
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.masked import masked_form
from benchmarks.training import USUAL, Way, adam, muon
from repr_toolkit.config.optimizer import optimizer_factory
from repr_toolkit.config.recipe import apply_settings, load_recipe
from repr_toolkit.config.yaml_text import parse_yaml
from repr_toolkit.data import ImageData, load_data
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.models.assemble import Assembly, assemble
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.run import Run, data_arguments, with_fingerprint
from repr_toolkit.training.train import Fitting
from repr_toolkit.training.trainer import quiet_lightning

THUMBNAIL = {"class_path": "benchmarks.thumbnail.Thumbnail", "init_args": {}}
NO_H = ", no h"
CONDITIONING = "model.decoder.init_args.conditioning"
UNCONDITIONAL = {"model.encoder": None, CONDITIONING: "vector"}
TASKS: dict[str, tuple[str, dict[str, Any], int]] = {
    "mnist5k": ("bottleneck_mnist5k", {}, 400),
    "tinyimagenet": ("bottleneck_tinyimagenet", UNCONDITIONAL, 400),
    "photos": ("bottleneck_photos", UNCONDITIONAL, 400),
    "thumbnail": (
        "bottleneck_tinyimagenet",
        {"data.source": "benchmarks.thumbnail.halved", "model.encoder": THUMBNAIL},
        2000,
    ),
}
"""Recipe, what is changed in it, and steps, of every task."""

SOFTMAX = {"model.decoder.init_args.likelihood": "categorical"}
MIXTURE = {"model.decoder.init_args.likelihood": "logistic_mixture"}


def usual(rate: float) -> Way:
    """The way of public code, with Adam at a rate."""
    settings = {**USUAL, **adam(rate, fused=False), **SOFTMAX, "training.ema_decay": 0.0}
    return Way(settings, masked=True)


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    **{kind: (kind, {}) for kind in ("spatial", "cells", "positional", "vector")},
    "map": ("cells", {"as_map": True}),
}
"""What the control is given its thumbnail by: the kind of conditioning, and what else h is."""


def control(kind: str, *, blank: bool) -> Way:
    """A decoder given a thumbnail by a kind of `KINDS`, or given nothing by the same."""
    conditioning, arguments = KINDS[kind]
    encoder = {**THUMBNAIL, "init_args": {**arguments, "blank": blank}}
    return Way({CONDITIONING: conditioning, "model.encoder": encoder, **muon(0.02), **MIXTURE})


WAYS = {
    **{f"usual {rate}": usual(float(rate)) for rate in ("1e-3", "4e-4")},
    **{f"adam {rate}": Way(adam(float(rate))) for rate in ("1e-3", "2e-3", "4e-3", "8e-3")},
    **{f"muon {rate}": Way(muon(float(rate))) for rate in ("0.01", "0.02", "0.04", "0.08")},
    "recipe": Way(),
    "softmax": Way(SOFTMAX),
    "mixture": Way(MIXTURE),
    **{kind: control(kind, blank=False) for kind in KINDS},
    **{f"{kind}{NO_H}": control(kind, blank=True) for kind in KINDS},
}
"""Ways of training by name. "usual" is that of public code: masked kernels, float32, eager, Adam, a
softmax, no average of the weights; "adam RATE" and "muon RATE" are the recipe with these
optimizers, "recipe" is the recipe as it is. The kinds of conditioning, each with the thumbnail as
h and without h, are for the task "thumbnail", whose table says how many bits an image h saves."""


@dataclass
class Curve:
    """The validations of one training: steps, CPU-seconds of training, bits/dim."""

    way: str
    seed: int
    dims: int
    steps: list[int]
    seconds: list[float]
    bits: list[float]
    first: float
    """CPU-seconds of the first step, in which a compiler works; `seconds` lack them."""


class Clock(Callback):
    """The CPU-seconds of the process in training steps, and what they were at each validation.

    Those of the first step, in which a compiler may work for a minute, stand alone in `first`.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.first = 0.0
        self._total = self._begin = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._begin = time.process_time()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        seconds = time.process_time() - self._begin
        if trainer.global_step > 1:
            self._total += seconds
        else:
            self.first = seconds

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seconds.append(self._total)


def configuration(
    task: str, name: str, settings: Mapping[str, Any], seed: int, steps: int, every: int
) -> tuple[Assembly, ImageData]:
    """The model of a task by a way with further settings, and the task's data."""
    recipe, changes, _ = TASKS[task]
    plain = {
        "seed": seed,
        "training.steps": steps,
        "training.validate_every": every,
        "training.pictures": 0,
    }
    config = {key: value for key, value in load_recipe(recipe).items() if key != "study"}
    config["training"]["warmup"] = min(config["training"]["warmup"], steps // 8)
    config = apply_settings(config, {**changes, **WAYS[name].settings, **plain, **settings})
    data = load_data(**data_arguments(config))
    arguments = config["model"]["decoder"]["init_args"]
    if arguments.get("likelihood", "categorical") == "categorical":
        # A softmax parts the features into a group for each channel.
        for key in {"features", "head_features"} & set(arguments):
            arguments[key] += -arguments[key] % data.image_shape[0]
    return assemble(with_fingerprint(config, data), data), data


def learn(
    task: str, name: str, settings: Mapping[str, Any], seed: int, steps: int, every: int
) -> Curve:
    """Train a task by a way with further settings, on one thread, and return its curve."""
    (_, join, config), data = configuration(task, name, settings, seed, steps, every)
    clock = Clock()
    with TemporaryDirectory() as folder, quiet_lightning():
        run = Run(Path(folder) / "run")
        fitting = Fitting(run, config, data, callbacks=[clock])
        model = join(**fitting.model_arguments())
        if WAYS[name].masked:
            assert isinstance(model, EncoderDecoder)
            model.decoder = masked_form(cast(GatedPixelCNN, model.decoder))
        Run.create(run.path, config)
        fitting.fit(model)
        with run.metrics_file.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("val/bits_per_dim")]
    bits = [float(row["val/bits_per_dim"]) for row in rows]
    dims = prod(data.image_shape)
    reached = [int(row["step"]) for row in rows]
    return Curve(name, seed, dims, reached, clock.seconds, bits, clock.first)


def table(task: str, curves: Sequence[Curve]) -> Table:
    """The last validation of each way: its seeds, their mean and spread, and the cost of a step."""
    result = Table(box=box.SIMPLE_HEAD, title=f"{task}: validation bits/dim", title_justify="left")
    result.add_column("way")
    headings = ("steps", "CPU-seconds", "first step", "ms a step", "bits/dim, by seed", "mean ± sd")
    for heading in headings:
        result.add_column(heading, justify="right")
    last_bits = {(curve.way, curve.seed): curve.bits[-1] for curve in curves}
    nulls = any(way.endswith(NO_H) for way, _ in last_bits)
    if nulls:
        result.add_column("bits an image saved", justify="right")
    for way in dict.fromkeys(curve.way for curve in curves):
        those = [curve for curve in curves if curve.way == way]
        last = [curve.bits[-1] for curve in those]
        seconds, steps = mean(curve.seconds[-1] for curve in those), those[0].steps[-1]
        spread = f" ± {stdev(last):.4f}" if len(last) > 1 else ""
        result.add_row(
            way,
            f"{steps:,}",
            f"{seconds:,.0f}",
            f"{mean(curve.first for curve in those):.0f} s",
            f"{1e3 * seconds / max(steps - 1, 1):.0f}",
            " ".join(f"{bits:.3f}" for bits in last),
            f"{mean(last):.4f}{spread}",
            *([saved(those, last_bits)] if nulls else []),
        )
    return result


def saved(curves: Sequence[Curve], last_bits: Mapping[tuple[str, int], float]) -> str:
    """The bits an image that a way saves against the same without h, seed by seed, in words."""
    nulls = [(curve, last_bits.get((f"{curve.way}{NO_H}", curve.seed))) for curve in curves]
    bits = [(null - curve.bits[-1]) * curve.dims for curve, null in nulls if null is not None]
    spread = f" ± {stdev(bits):.0f}" if len(bits) > 1 else ""
    return f"{mean(bits):.0f}{spread}" if bits else ""


def picture(task: str, curves: Sequence[Curve]) -> Figure:
    """Bits/dim over steps, and over CPU-seconds: a colour a way, a thin line a seed."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    over_steps, over_seconds = figure.subplots(1, 2, sharey=True)
    ways = list(dict.fromkeys(curve.way for curve in curves))
    for curve in curves:
        colour = f"C{ways.index(curve.way) % 10}"
        first = curve.seed == min(c.seed for c in curves if c.way == curve.way)
        label = curve.way if first else None
        over_steps.plot(curve.steps, curve.bits, color=colour, lw=1, label=label)
        over_seconds.plot(curve.seconds, curve.bits, color=colour, lw=1)
    over_steps.set(xlabel="steps", ylabel=f"validation bits/dim, {task}", xscale="log")
    over_seconds.set(xlabel="CPU-seconds of training, one thread", xscale="log")
    figure.legend(*over_steps.get_legend_handles_labels(), frameon=False, loc="outside right upper")
    for axes in (over_steps, over_seconds):
        for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            formatter(lambda value, _: f"{value:g}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning",
        description="Bits/dim over steps and CPU-seconds, of named ways of training one model.",
    )
    parser.add_argument("task", choices=TASKS, help="which recipe's data and model")
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=["usual 1e-3", "recipe"], metavar="WAY",
        help=f"of {', '.join(WAYS)}",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for all ways"
    )
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each way (default 3)")
    parser.add_argument("--steps", type=int, help="steps of each training (default: the task's)")
    parser.add_argument("--validations", type=int, default=8, help="points of a curve (default 8)")
    parser.add_argument("--processes", type=int, default=1, help="trainings at a time (default 1)")
    parser.add_argument(
        "--out", type=Path, default=Path("learning"), help="the curves go to OUT.json and OUT.png"
    )
    options = parser.parse_args()
    steps = options.steps or TASKS[options.task][2]
    if steps % options.validations:
        parser.error(f"--validations {options.validations} does not divide {steps} steps")
    if not options.out.parent.is_dir():
        parser.error(f"--out: there is no folder {options.out.parent}")
    settings = {}
    for text in options.set:
        key, _, value = text.partition("=")
        settings[key] = parse_yaml(value)
    every = steps // options.validations
    for way in options.ways:  # errors before any work
        (_, join, config), _ = configuration(options.task, way, settings, 0, steps, every)
        join(optimizer=optimizer_factory(config)).make_optimizer()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are started
    file = options.out.with_name(f"{options.out.name}.json")
    curves: list[Curve] = []
    context = get_context("spawn")
    with ProcessPoolExecutor(options.processes, context, max_tasks_per_child=1) as pool:
        jobs = [
            pool.submit(learn, options.task, way, settings, seed, steps, every)
            for seed in range(options.seeds)
            for way in options.ways
        ]
        try:
            for job in as_completed(jobs):
                curves.append(job.result())
                raw = {"task": options.task, "curves": [asdict(curve) for curve in curves]}
                file.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    curves.sort(key=lambda curve: (options.ways.index(curve.way), curve.seed))
    picture(options.task, curves).savefig(f"{options.out}.png", dpi=120)
    Console(width=100).print(table(options.task, curves))


if __name__ == "__main__":
    main()
