"""Training steps at batch 16: the recipe's settings against the eager, fp32, masked form.

Both sides start from the same weights and see the same images, so that their losses are
comparable. The toolkit makes model, optimizer, layout, compilation, precision and clipping of the
recipe; a step here lacks the loading of images, the average of the weights and the logging of
`repr-toolkit train`. Each side trains in a separate process, since some settings of the toolkit
hold for a whole process.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from benchmarks.ceilings import Ceilings
from benchmarks.flops import training_flops
from benchmarks.masked import masked_form
from benchmarks.results import Results, compared
from benchmarks.timing import alternate
from repr_toolkit.config.build import build
from repr_toolkit.config.recipe import apply_settings, load_recipe
from repr_toolkit.data import ImageData, load_data
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.run import Run
from repr_toolkit.training.memory import keep_freed_memory
from repr_toolkit.training.train import Fitting
from repr_toolkit.training.trainer import quiet_lightning

BATCH = 16
RECIPE = "bottleneck_tinyimagenet"
COMMON: dict[str, Any] = {
    "data.source": "photos",
    "data.batch_size": BATCH,
    "model.encoder": None,
    "model.decoder": {
        "class_path": "repr_toolkit.decoders.GatedPixelCNN",
        "init_args": {"features": 66, "layers": 8},
    },
    "training.schedule": "constant",
    "training.warmup": 0,
    "training.pictures": 0,
}
"""What both sides change in the recipe; the learning rate is constant from the first step on."""

NCHW = {"training.channels_last": False}
FP32 = {"trainer.precision": "32-true"}
EAGER = {"training.compile": False}


def adam(rate: float, **arguments: Any) -> dict[str, Any]:
    """Settings of Adam at a rate, for all parameters alike."""
    spec = {"class_path": "torch.optim.Adam", "init_args": {"lr": rate, **arguments}}
    return {"training.optimizer": spec}


def muon(rate: float, rest: float = 2e-3) -> dict[str, Any]:
    """Settings of Muon at a rate for matrices, and Adam at another for the rest."""
    spec = {
        "class_path": "repr_toolkit.training.muon.Muon",
        "init_args": {"lr": rate, "momentum": 0.9},
        "groups": [{"match": [0, 1, 3], "options": {"orthogonal": False, "lr": rest}}],
    }
    return {"training.optimizer": spec}


USUAL = {**adam(1e-3, fused=False), **NCHW, **FP32, **EAGER}
"""What public code does: Adam by its default implementation, float32, contiguous, eager."""


@dataclass(frozen=True)
class Way:
    """A way of training: the recipe with some settings changed.

    `masked` kernels are not cropped. Without `keep_memory` the process returns freed memory to the
    system. Without `in_parts` the threads share operations instead of batches.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    masked: bool = False
    keep_memory: bool = True
    in_parts: bool = True

    def also(self, settings: Mapping[str, Any]) -> "Way":
        """The same with more settings."""
        return replace(self, settings={**self.settings, **settings})


RECIPE_SIDE, MASKED_SIDE = "recipe", "eager fp32 masked"
SIDES = {
    MASKED_SIDE: Way(USUAL, masked=True, keep_memory=False, in_parts=False),
    RECIPE_SIDE: Way(),
}
SWITCHES = {
    RECIPE_SIDE: Way(),
    "not cropped": Way(masked=True),
    "not channels_last": Way(NCHW),
    "not bf16": Way(FP32),
    "not fused": Way(adam(1e-3, fused=False)),
    "with Muon": Way(muon(0.02)),
    "not compiled": Way(EAGER),
    "memory not kept": Way(keep_memory=False),
    "not in parts": Way(in_parts=False),
}


class Steps:
    """Steps of training on a fixed sequence of images, and their losses in bits/dim."""

    def __init__(self, way: Way, data: ImageData, images: Tensor) -> None:
        recipe = {key: value for key, value in load_recipe(RECIPE).items() if key != "study"}
        config = apply_settings(recipe, {**COMMON, **way.settings})
        torch.manual_seed(config["seed"])
        _, decoder, config = build(config, data)
        with TemporaryDirectory() as folder:
            # As `repr-toolkit train` makes it; nothing is written.
            fitting = Fitting(Run(Path(folder) / "run"), config, data)
        self.trainer = fitting.trainer
        device = self.trainer.strategy.root_device
        arguments = fitting.model_arguments()
        if not way.in_parts:
            arguments["micro_batch"] = None
        net = masked_form(cast(GatedPixelCNN, decoder)) if way.masked else decoder
        self.model = EncoderDecoder(None, net, **arguments).to(device)
        self.model.trainer = self.trainer
        self.model.on_fit_start()
        self.model.on_train_epoch_start()
        self.optimizer = self.model.configure_optimizers()["optimizer"]
        self.images = images.to(device)
        if self.model.has_preparation:
            self.model.prepare([{"image": self.images[:BATCH]}])
        self.losses: list[Tensor] = []

    def step(self) -> None:
        start = len(self.losses) * BATCH % (len(self.images) - BATCH + 1)
        batch = {"image": self.images[start : start + BATCH]}
        with self.trainer.precision_plugin.train_step_context():
            loss = self.model.training_step(batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.model.configure_gradient_clipping(
            self.optimizer, self.trainer.gradient_clip_val, self.trainer.gradient_clip_algorithm
        )
        self.optimizer.step()
        self.losses.append(loss.detach())

    def block(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    @property
    def precision(self) -> str:
        return "bf16" if "bf16" in str(self.trainer.precision) else "fp32"


class Side:
    """`Steps` in a separate process."""

    def __init__(self, way: Way, steps: int, seed: int) -> None:
        self._process = ProcessPoolExecutor(
            1, get_context("spawn"), initializer=_begin, initargs=(way, steps, seed)
        )

    def block(self, steps: int) -> float:
        """The CPU-seconds of so many steps, over all threads."""
        return self._process.submit(_block, steps).result()

    def losses(self) -> list[float]:
        """The losses of all steps so far, in bits/dim."""
        return self._process.submit(_losses).result()

    @property
    def precision(self) -> str:
        return self._process.submit(_precision).result()

    @property
    def optimizer(self) -> str:
        """The name of the optimizer's class."""
        return self._process.submit(_optimizer).result()

    def close(self) -> None:
        self._process.shutdown()


_steps: Steps
"""The steps of this process, if it is that of a side."""


def _begin(way: Way, steps: int, seed: int) -> None:
    global _steps
    if way.keep_memory:
        keep_freed_memory()
    with quiet_lightning():
        _steps = Steps(way.also({"seed": seed}), *patches(steps, seed))


def _block(steps: int) -> float:
    begin = time.process_time()
    with quiet_lightning():
        _steps.block(steps)
    return time.process_time() - begin


def _losses() -> list[float]:
    return torch.stack(_steps.losses).tolist()


def _precision() -> str:
    return _steps.precision


def _optimizer() -> str:
    return type(_steps.optimizer).__name__


@contextmanager
def training(ways: Mapping[str, Way], steps: int, seed: int = 0) -> Iterator[dict[str, Side]]:
    """The ways of training, on the same photo patches, which suffice for `steps` steps."""
    sides = {name: Side(way, steps, seed) for name, way in ways.items()}
    try:
        yield sides
    finally:
        for side in sides.values():
            side.close()


def run(rounds: int, ceilings: Ceilings, steps: int = 10) -> Results:
    """Seconds per step, images per second, and the last losses of each side."""
    work = f"training at batch {BATCH}, seconds a step"
    return compare(work, SIDES, rounds, ceilings, steps, _flops())


def switches(rounds: int, ceilings: Ceilings, steps: int = 10) -> Results:
    """The step without each of the recipe's settings in turn."""
    work = "training without one setting, seconds a step"
    return compare(work, SWITCHES, rounds, ceilings, steps, _flops())


def losses(steps: int = 200, seeds: int = 3) -> tuple[Table, dict[str, Any]]:
    """The mean loss of the last steps on both sides, from several seeds."""
    losses: dict[str, list[list[float]]] = {name: [] for name in SIDES}
    for seed in range(seeds):
        with training(SIDES, steps, seed) as sides:
            for name, side in sides.items():
                side.block(steps)
                losses[name].append(side.losses())
    return last_losses(losses)


def last_losses(
    losses: Mapping[str, list[list[float]]], last: int = 50
) -> tuple[Table, dict[str, Any]]:
    """The mean of the last steps' losses of two sides, each a list of losses for every seed."""
    (steps,) = {len(values) for side in losses.values() for values in side}
    means = {name: [mean(values[-last:]) for values in side] for name, side in losses.items()}
    means["difference"] = [b - a for a, b in zip(*means.values(), strict=True)]
    seeds = len(means["difference"])
    table = Table(title=f"bits/dim, mean of the last {last} of {steps} steps", title_justify="left")
    table.add_column("side")
    for seed in range(seeds):
        table.add_column(f"seed {seed}", justify="right")
    table.add_column("mean ± sd", justify="right")
    for name, values in means.items():
        sd = f" ± {stdev(values):.4f}" if seeds > 1 else ""
        table.add_row(name, *(f"{value:.4f}" for value in values), f"{mean(values):.4f}{sd}")
    return table, {"steps": steps, "last": last, "losses": means}


def patches(steps: int, seed: int = 0) -> tuple[ImageData, Tensor]:
    """The photographs, and their train patches in random order for `steps` steps."""
    data = load_data("photos", size=32)
    split = data.splits["train"]
    order = np.random.default_rng(seed).permutation(len(split)).tolist()
    return data, split[order[: BATCH * steps]]["image"]


def _flops() -> float:
    """The operations that a step of the common decoder needs."""
    decoder = COMMON["model.decoder"]["init_args"]
    return BATCH * training_flops(GatedPixelCNN((3, 32, 32), **decoder))


def compare(
    work: str,
    ways: Mapping[str, Way],
    rounds: int,
    ceilings: Ceilings,
    steps: int,
    flops: float,
) -> Results:
    """Seconds a step of each way, which needs `flops`, and the last losses."""
    with training(ways, steps * (rounds + 1)) as sides:
        calls: dict[str, Callable[[], object]] = {
            name: partial(side.block, steps) for name, side in sides.items()
        }
        comparison = alternate(
            work, calls, rounds=rounds, scale=dict.fromkeys(calls, 1 / steps), limit=float("inf")
        )
        results = compared(
            comparison,
            RECIPE_SIDE,
            flops=flops,
            ceiling=lambda name: ceilings.of(sides[name].precision),
        )
        last = max(1, rounds * steps // 3)
        for row in results.rows:
            row.side = f"{row.side}, {sides[row.side].optimizer}"
        for name, side in sides.items():
            bits = side.losses()
            results.remarks.append(
                f"{name}, {side.optimizer}: {BATCH / comparison.median(name):.1f} images/s; "
                f"mean loss of the last {last} of {len(bits)} steps "
                f"{mean(bits[-last:]):.3f} bits/dim"
            )
    return results
