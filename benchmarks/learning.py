"""Bits/dim over steps and over CPU-seconds, of named ways of training the same model.

python -m benchmarks.learning TASK [--ways WAY …] [--set KEY=VALUE …] [--seeds N] [--steps N]
python -m benchmarks.learning TASK --budget SECONDS [--ways FIRST WAY …] [--interval STEPS]

The second form is a race: the first way trains for a budget of CPU-seconds, every other one until
it has the bits that the first one has then.

Each way of each seed trains in a process of its own, on one thread, as `repr-toolkit train` does;
the seconds are the process's CPU time in training steps, so neither a busy neighbour nor a
validation counts. All ways see the same images in the same order, and are measured on the same
validation images.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict
from math import inf, prod
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from lightning import Callback, LightningModule, Trainer
from rich.console import Console

from benchmarks.curves import NO_H, Curve, picture, race_table, table
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


PLAIN = {
    **{f"adam {rate}": Way(adam(float(rate))) for rate in ("1e-3", "2e-3", "4e-3", "8e-3")},
    **{f"muon {rate}": Way(muon(float(rate))) for rate in ("0.01", "0.02", "0.04", "0.08")},
    "recipe": Way(),
}
WAYS = {
    **{f"usual {rate}": usual(float(rate)) for rate in ("1e-3", "4e-4")},
    **PLAIN,
    **{f"{name}, softmax": way.also(SOFTMAX) for name, way in PLAIN.items()},
    **{f"{name}, mixture": way.also(MIXTURE) for name, way in PLAIN.items()},
    **{kind: control(kind, blank=False) for kind in KINDS},
    **{f"{kind}{NO_H}": control(kind, blank=True) for kind in KINDS},
}
"""Ways of training by name. "usual" is that of public code: masked kernels, float32, eager, Adam, a
softmax, no average of the weights; "adam RATE" and "muon RATE" are the recipe with these
optimizers, "recipe" is the recipe as it is, and each of them with ", softmax" or ", mixture" has
that likelihood. The kinds of conditioning, each with the thumbnail as h and without h, are for the
task "thumbnail", whose table says how many bits an image h saves."""

RACE = ["usual 1e-3", "adam 2e-3, softmax", "adam 4e-3, mixture", "muon 0.02, mixture"]
"""Ways that differ by one factor from each to the next: the means that a step is computed by (bf16,
compilation, cropped kernels), with an average of the weights; the likelihood; the optimizer."""
ENDLESS = 10_000  # validations, of a race


class Reached(Exception):
    """A training has the bits, or has taken the time, at which it is to end."""


class Clock(Callback):
    """The validations of a training, and the CPU-seconds of the process in training steps.

    Those of the first step, in which a compiler may work for a minute, stand alone in `first`.
    Raises `Reached` at the validation that has at most these bits/dim, or that comes after these
    seconds, the first step's included.
    """

    def __init__(self, seconds: float = inf, bits: float = -inf) -> None:
        self.steps: list[int] = []
        self.seconds: list[float] = []
        self.bits: list[float] = []
        self.first = 0.0
        self._most, self._target = seconds, bits
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

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, EncoderDecoder)
        self.steps.append(trainer.global_step)
        self.seconds.append(self._total)
        self.bits.append(pl_module.validation_results["val/bits_per_dim"])
        if self.bits[-1] <= self._target or self.first + self._total >= self._most:
            raise Reached


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
    task: str,
    name: str,
    settings: Mapping[str, Any],
    seed: int,
    steps: int,
    every: int,
    **ends: float,
) -> Curve:
    """Train a task by a way with further settings, on one thread, and return its curve.

    It may end before its last step: `ends` are the arguments of `Clock`.
    """
    (_, join, config), data = configuration(task, name, settings, seed, steps, every)
    clock = Clock(**ends)
    with TemporaryDirectory() as folder, quiet_lightning(), suppress(Reached):
        run = Run(Path(folder) / "run")
        fitting = Fitting(run, config, data, callbacks=[clock])
        model = join(**fitting.model_arguments())
        if WAYS[name].masked:
            assert isinstance(model, EncoderDecoder)
            model.decoder = masked_form(cast(GatedPixelCNN, model.decoder))
        Run.create(run.path, config)
        fitting.fit(model)
    dims = prod(data.image_shape)
    return Curve(name, seed, dims, clock.steps, clock.seconds, clock.bits, clock.first)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning",
        description="Bits/dim over steps and CPU-seconds, of named ways of training one model.",
    )
    parser.add_argument("task", choices=TASKS, help="which recipe's data and model")
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, metavar="WAY", help=f"of {', '.join(WAYS)}"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for all ways"
    )
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each way (default 3)")
    parser.add_argument("--steps", type=int, help="steps of each training (default: the task's)")
    parser.add_argument("--validations", type=int, default=8, help="points of a curve (default 8)")
    parser.add_argument(
        "--budget", type=float, metavar="SECONDS",
        help="a race: the first way trains for so many CPU-seconds, and each other until it has "
        "the same bits, or as long; by a constant learning rate",
    )  # fmt: skip
    parser.add_argument(
        "--interval", type=int, default=50, help="steps between the validations of a race"
    )
    parser.add_argument("--processes", type=int, default=1, help="trainings at a time (default 1)")
    parser.add_argument(
        "--out", type=Path, default=Path("learning"), help="the curves go to OUT.json and OUT.png"
    )
    options = parser.parse_args()
    race = options.budget is not None
    ways = options.ways or (RACE if race else ["usual 1e-3", "recipe"])
    steps = options.steps or TASKS[options.task][2]
    if steps % options.validations:
        parser.error(f"--validations {options.validations} does not divide {steps} steps")
    every = steps // options.validations
    settings: dict[str, Any] = {}
    if race:
        every, steps = options.interval, ENDLESS * options.interval
        settings = {"training.schedule": "constant", "training.warmup": every}
    if not options.out.parent.is_dir():
        parser.error(f"--out: there is no folder {options.out.parent}")
    for text in options.set:
        key, _, value = text.partition("=")
        settings[key] = parse_yaml(value)
    for way in ways:  # errors before any work
        (_, join, config), _ = configuration(options.task, way, settings, 0, steps, every)
        join(optimizer=optimizer_factory(config)).make_optimizer()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are started
    file = options.out.with_name(f"{options.out.name}.json")
    curves: list[Curve] = []
    context = get_context("spawn")
    with ProcessPoolExecutor(options.processes, context, max_tasks_per_child=1) as pool:

        def started(way: str, seed: int, **ends: float) -> Future[Curve]:
            return pool.submit(learn, options.task, way, settings, seed, steps, every, **ends)

        def finished(jobs: Sequence[Future[Curve]]) -> None:
            for job in as_completed(jobs):
                curves.append(job.result())
                raw = {"task": options.task, "curves": [asdict(curve) for curve in curves]}
                file.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")

        seeds, budget = range(options.seeds), {"seconds": options.budget}
        try:
            if race:
                finished([started(ways[0], seed, **budget) for seed in seeds])
                goals = {curve.seed: curve.bits[-1] for curve in curves}
                ends = {seed: {**budget, "bits": goal} for seed, goal in goals.items()}
                finished([started(w, seed, **ends[seed]) for seed in seeds for w in ways[1:]])
            else:
                finished([started(way, seed) for seed in seeds for way in ways])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    curves.sort(key=lambda curve: (ways.index(curve.way), curve.seed))
    picture(options.task, curves).savefig(f"{options.out}.png", dpi=120)
    Console(width=100).print((race_table if race else table)(options.task, curves))


if __name__ == "__main__":
    main()
