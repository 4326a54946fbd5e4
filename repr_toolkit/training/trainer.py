"""Makes the Lightning Trainer, and refuses settings under which training would not be exact."""

import inspect
import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from difflib import get_close_matches
from os import environ
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from lightning import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from repr_toolkit.config.recipe import explain
from repr_toolkit.training.checkpoints import AtomicCheckpointIO

PRECISIONS = ("32-true", "32", 32, "bf16-mixed", "16-mixed", None)


def make_trainer(
    config: Mapping[str, Any], folder: Path, callbacks: list[Callback], logger: Logger
) -> Trainer:
    """A Trainer with epochs of `validate_every` steps, a validation after each.

    It keeps to the run's `folder`: under SLURM, Lightning begins with any hpc_ckpt_1.ckpt that lies
    in its folder, which by default is the working directory. The section `trainer` of the
    configuration holds further arguments. Raises ValueError, naming the argument, for one that
    Trainer does not have, for a precision in which the weights are not float32, and for a strategy
    that shards the model.
    """
    training, settings = config["training"], config["trainer"]
    known = list(inspect.signature(Trainer.__init__).parameters)[1:]
    for key in settings:
        if key not in known:
            close = get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise ValueError(f"unknown key trainer.{key}: lightning.Trainer has none{hint}")
    if settings.get("precision") not in PRECISIONS:
        raise ValueError(
            f"trainer.precision is 32-true, bf16-mixed or 16-mixed, which keep the weights in "
            f"float32, not {settings['precision']!r}"
        )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Trainer, "object", skip={*known} - {*settings})
    try:
        parser.parse_object({"object": deepcopy(settings)})  # for the types alone
        trainer = Trainer(
            **{**settings, "log_every_n_steps": log_interval(config)},
            max_epochs=training["steps"] // training["validate_every"],
            default_root_dir=folder,
            callbacks=callbacks,
            logger=logger,
            plugins=[AtomicCheckpointIO()],
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            # Validation writes buffers, and a tensor of inference mode would never train again.
            inference_mode=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except Exception as error:  # of every kind, such as for an accelerator that the machine lacks
        raise ValueError(explain(error, "trainer")[:300]) from error
    if type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
        raise ValueError(
            f"trainer.strategy is auto or ddp, not {settings.get('strategy')!r}: averaged weights "
            f"and validation need the whole model on each device"
        )
    return trainer


def log_interval(config: Mapping[str, Any]) -> int:
    """The number of steps from one logged training loss to the next."""
    interval = config["trainer"].get("log_every_n_steps") or 50
    return min(int(interval), int(config["training"]["validate_every"]))


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile finds the C++ compiler that it needs for a device."""
    named = environ.get("CXX" if device.type == "cpu" else "CC")
    usual = ("g++", "clang++") if device.type == "cpu" else ("gcc", "cc", "clang")
    return any(shutil.which(name) for name in ([named] if named else usual))


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silences Lightning's tips and its warnings about what is intended here."""
    # torch.compile warns of a missing CUDA on machines that have only a CPU.
    quiet = {
        "lightning.pytorch": logging.WARNING,
        "lightning.fabric": logging.WARNING,
        "torch.utils.cpp_extension": logging.ERROR,
    }
    levels = {name: logging.getLogger(name).level for name in quiet}
    with warnings.catch_warnings():
        for message in (
            r"The '\w+' does not have many workers",  # small images need none
            r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning's own use of torch
            r"Found \d+ module\(s\) in eval mode",  # a frozen encoder stays in it
            r"You're resuming from a checkpoint that ended before the epoch",  # data go by steps
        ):
            warnings.filterwarnings("ignore", message)
        try:
            for name, level in quiet.items():
                logging.getLogger(name).setLevel(level)
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
