"""What a run that goes on may have otherwise: more steps, other devices."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

from repr_toolkit.config.defaults import with_defaults
from repr_toolkit.config.recipe import Config, differences
from repr_toolkit.data import ImageData
from repr_toolkit.models.assemble import assemble
from repr_toolkit.runs.checkpoint_files import checkpoint_step
from repr_toolkit.runs.run import Run
from repr_toolkit.support.console import say
from repr_toolkit.support.speech import either
from repr_toolkit.training.best import Best
from repr_toolkit.training.checkpoints import AtomicCheckpointIO

ELSEWHERE = (
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
    *("data.source", "data.root", "data.place"),
)
"""Settings that say where a run is computed, and where its data are: the same by fingerprint."""


def with_rounding(config: Config, stated: Config) -> Config:
    """A configuration that rounds as a run states it where it leaves that to the machine."""
    training, trainer = dict(config["training"]), dict(config["trainer"])
    if training["micro_batch"] is None:
        training["micro_batch"] = stated["training"]["micro_batch"]
    if trainer.get("precision") == "auto":
        trainer["precision"] = stated["trainer"].get("precision")
    return {**config, "training": training, "trainer": trainer}


def require_same(run: Run, config: Mapping[str, Any], data: ImageData) -> bool:
    """Whether a configuration asks a run for more steps, and has nothing else that matters.

    The data are the run's, wherever they are now (`with_data` has seen to it). A setting that is
    newer than the run, or left out, counts as its default. Raises ValueError, naming the settings,
    for another configuration, and for more steps than the run can still take; FileNotFoundError for
    a finished run without the checkpoint from which it would take them.
    """
    stated, asked = run.config, config
    # A configuration that builds no model of these data any more is compared as the run states it.
    with suppress(ValueError, TypeError, ImportError):
        stated, asked = with_defaults(assemble(stated, data).config), with_defaults(config)
    different = [name for name in differences(stated, asked) if name not in ELSEWHERE]
    longer = config["training"]["steps"] > stated["training"]["steps"]
    if longer and different == ["training.steps"]:
        _require_can_go_on(run, config)
        return True
    if different:
        raise ValueError(
            f"{run.path} was made with other settings ({', '.join(different)}); choose another "
            f"{either('--name', 'run_dir')}, delete it, or go back to the settings of "
            f"{run.config_file}"
        )
    return False


def _require_can_go_on(run: Run, config: Mapping[str, Any]) -> None:
    """Raise an error unless a run can take the steps of a configuration, which are more."""
    steps, stated = config["training"]["steps"], run.config["training"]["steps"]
    if config["training"]["schedule"] != "constant":
        raise ValueError(
            f"{run.path} cannot go on to step {steps}: its learning rate follows a "
            f"{config['training']['schedule']} that ends at step {stated}, and that to {steps} "
            f"would have been another from the start. A new run starts from its weights with: "
            f"repr-toolkit train {run.config_file} --from {run.path} --name NEW"
        )
    checkpoints = [run.require_checkpoint()] if run.finished else run.checkpoints()
    for checkpoint in checkpoints[-1:]:
        if (done := checkpoint_step(checkpoint)) > steps:
            raise ValueError(f"{run.path} is at step {done} already: training.steps is {steps}")
        if _ended(checkpoint, config["training"]["patience"]):
            raise ValueError(
                f"{run.path} cannot go on to step {steps}: training.patience ended it at step "
                f"{done}. A new run starts from its weights with: repr-toolkit train "
                f"{run.config_file} --from {run.path} --name NEW"
            )


def _ended(checkpoint: Path, patience: int | None) -> bool:
    """Whether patience ended the training that a checkpoint is of."""
    if patience is None:
        return False
    states = AtomicCheckpointIO().load_checkpoint(checkpoint)["callbacks"]
    return bool(states[Best.__qualname__]["worse"] >= patience)


class Devices(Callback):
    """Says what may differ where a run goes on on other devices than its checkpoint is of.

    Raises ValueError where the number of devices decides more than how sums are rounded: batch
    normalisation takes the statistics of each device's part of a batch, unless it is `synchronised`
    or does not learn.
    """

    def __init__(self, *, synchronised: bool = False) -> None:
        self._synchronised = synchronised

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["devices"] = _devices(trainer)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        then, now = checkpoint.get("devices"), _devices(trainer)
        if then in (None, now):  # None: of an earlier version
            return
        what = f"the checkpoint is of {then['count']} × {then['kind']}"
        here = f"{now['count']} × {now['kind']}"
        norms = [
            name
            for name, part in pl_module.named_modules()
            if isinstance(part, _BatchNorm) and not isinstance(part, SyncBatchNorm)
            if part.training and not self._synchronised
        ]
        if then["count"] != now["count"] and norms:
            raise ValueError(
                f"{what}, and {here} would give another result: {norms[0]} normalises by each "
                f"device's part of a batch; go on with trainer.devices {then['count']}"
            )
        random = "; what the loss draws at random, such as dropout, is each device's own"
        say(f"  {what}, this is {here}: sums round otherwise{random}")


def _devices(trainer: Trainer) -> dict[str, Any]:
    kind = trainer.strategy.root_device
    name = torch.cuda.get_device_name(kind) if kind.type == "cuda" else kind.type.upper()
    return {"count": trainer.world_size, "kind": name}
