"""Makes the Lightning Trainer, and refuses settings under which training would not be exact."""

import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from os import environ
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from lightning import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from repr_toolkit.config.build import parse
from repr_toolkit.config.recipe import explain
from repr_toolkit.config.trainer import DEFAULTS, REFUSED, require_known
from repr_toolkit.training.checkpoints import AtomicCheckpointIO

PRECISIONS = ("auto", "32-true", "32", 32, "bf16-mixed", "16-mixed", None)

PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}
OURS = ("callbacks", "max_time", "accumulate_grad_batches")
"""The arguments that the toolkit itself carries out."""


def make_trainer(
    config: Mapping[str, Any], folder: Path, callbacks: list[Callback], logger: Logger
) -> Trainer:
    """A Trainer with epochs of `validate_every` steps, a validation after each.

    It keeps to the run's `folder`: under SLURM, Lightning begins with any hpc_ckpt_1.ckpt that lies
    in its folder, which by default is the working directory. The section `trainer` of the
    configuration holds further arguments, but for `OURS`. Raises ValueError, naming the argument,
    for one that cannot be set (`repr_toolkit.config.trainer`), for a precision in which the weights
    are not float32, and for a strategy that shards the model.
    """
    training = config["training"]
    require_known(config["trainer"])
    settings = {key: value for key, value in config["trainer"].items() if key not in OURS}
    if settings.get("precision") not in PRECISIONS:
        raise ValueError(
            f"trainer.precision is auto, 32-true, bf16-mixed or 16-mixed, which keep the weights "
            f"in float32, not {settings['precision']!r}"
        )
    if settings.get("precision") == "auto":
        fast = has_bfloat16(settings.get("accelerator", "auto"))
        settings["precision"] = "bf16-mixed" if fast else "32-true"
    parser = ArgumentParser(exit_on_error=False)
    skipped = {*DEFAULTS, *REFUSED} - {*settings}
    parser.add_class_arguments(Trainer, "object", skip=skipped)
    try:
        parser.parse_object({"object": deepcopy(settings)})  # for the types alone
        if settings.get("profiler") in PROFILERS:  # their default is a log that nobody reads
            profiler = PROFILERS[settings["profiler"]]
            settings["profiler"] = profiler(dirpath=folder, filename="profile")
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


def has_bfloat16(accelerator: str) -> bool:
    """Whether the device that Lightning takes for an accelerator has instructions for bfloat16.

    Where it has none, arithmetic in bfloat16 is emulated: a training step of the Gated PixelCNN
    took 2.4 times as long as in float32 on such a CPU.
    """
    if accelerator != "cpu" and torch.backends.mps.is_available():
        return False
    if accelerator != "cpu" and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.cpu.get_capabilities()
    return any(known.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))  # the last of ARM


def user_callbacks(config: Mapping[str, Any]) -> list[Callback]:
    """The callbacks that the section `trainer` names.

    Raises ImportError, TypeError or ValueError, naming the setting, for one that cannot be made.
    """
    callbacks = []
    for number, spec in enumerate(config["trainer"].get("callbacks") or ()):
        name = f"trainer.callbacks[{number}]"
        _, _, instantiate = parse(deepcopy(spec), name, {}, Callback)
        try:
            callbacks.append(instantiate())
        except Exception as error:  # of every kind, as anybody's class raises
            raise ValueError(f"{name}: {explain(error, name)[:300]}") from error
    return callbacks


def parts_of_batch(config: Mapping[str, Any], world_size: int) -> int:
    """The number of parts in which each process computes its share of a batch, one by one.

    Raises ValueError where a batch cannot be parted so.
    """
    name, by = "trainer.accumulate_grad_batches", "training.micro_batch"
    parts = int(config["trainer"].get("accumulate_grad_batches") or 1)
    micro_batch, size = config["training"]["micro_batch"], config["data"]["batch_size"]
    if "metric" in config["model"] and (parts > 1 or micro_batch):
        raise ValueError(
            f"{name if parts > 1 else by} is for models with a decoder; model.metric compares the "
            f"images of a whole batch"
        )
    if parts > 1 and micro_batch:
        raise ValueError(f"{name} and {by} both say how a batch is parted: give one of them")
    if parts > size // world_size:
        raise ValueError(
            f"{name}: {parts} parts of {size // world_size} images, a process's share of "
            f"data.batch_size, which counts the images of a whole step"
        )
    if parts > 1 and config["trainer"].get("precision") == "16-mixed":
        raise ValueError(f"{name} goes with 32-true and bf16-mixed: 16-mixed scales whole batches")
    return parts


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
