"""Checkpoints: all that training needs to go on, in files that are whole or absent."""

import errno
from io import BytesIO
from pathlib import Path
from pickle import PickleError
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from repr_toolkit.runs.run import Run
from repr_toolkit.support.files import atomic_write
from repr_toolkit.support.reading import in_utf8, reading, require_whole
from repr_toolkit.support.signals import Stopped
from repr_toolkit.training.monitor import LossMonitor

UNREADABLE = (PickleError, AttributeError, TypeError)
"""The errors of states that a file cannot hold."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes each checkpoint whole or not at all, and reads it without unpickling code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; OSError where that fails, which leaves the earlier ones whole.

        TypeError, naming the callback, for a state that could not be read without its code.
        """
        path = Path(path)
        path.parent.mkdir(exist_ok=True)
        try:
            with atomic_write(path) as file:
                torch.save(checkpoint, file)
                file.flush()
                # But for the numbers, which stay where they are.
                with in_utf8(Path(file.name)) as named:
                    torch.load(named, map_location="cpu", weights_only=True, mmap=True)
        except (OSError, RuntimeError) as error:
            earlier = sorted(path.parent.glob("*.ckpt"))
            rest = f"{earlier[-1]} is whole" if earlier else "there is no earlier one"
            raise OSError(
                getattr(error, "errno", None) or errno.EIO,
                f"the checkpoint {path} could not be written ({error}); {rest}. Make room on the "
                f"disk, then resume the run",
            ) from error
        except UNREADABLE as error:
            odd = [key for key, state in checkpoint.get("callbacks", {}).items() if _is_odd(state)]
            whose = " and ".join(name.partition("{")[0] for name in odd) or "something"
            raise TypeError(
                f"the state of {whose} cannot be kept in a checkpoint, which holds numbers, texts, "
                f"tensors, lists and mappings alone; change state_dict of that callback"
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU; ValueError, naming the file, if it is damaged."""
        path = Path(path)
        others = sorted(p for p in path.parent.glob("*.ckpt") if p != path)
        fall_back = f"resume from {others[-1].name}" if others else "start from the beginning"
        with reading(path, f"delete it to {fall_back}"):
            require_whole(path)
            loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return loaded


def _is_odd(state: Any) -> bool:
    """Whether a state cannot be written, or not be read again without its code."""
    file = BytesIO()
    try:
        torch.save(state, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except UNREADABLE:
        return True
    return False


class Checkpoints(Checkpoint):
    """Writes a checkpoint after every validation and when a signal stops training.

    Two are kept until training ends, so that one is left where the disk damages the other.
    One that was written during a validation resumes at that validation's beginning. `step` is that
    of the checkpoint that training begins with. Raises FloatingPointError, and writes nothing, once
    a loss or a weight is not finite.
    """

    def __init__(self, run: Run, monitor: LossMonitor, step: int) -> None:
        self._run = run
        self._monitor = monitor
        self._last = step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save(trainer, pl_module)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, Stopped) and trainer.global_step != self._last:
            self._save(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.validating:
            # What Lightning writes down in the first batch of a validation; it begins there again.
            begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            loops = checkpoint["loops"]["fit_loop"]
            loops["epoch_loop.val_loop.batch_progress"] |= {"total": begun, "current": begun}

    def _save(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._monitor.check(trainer, pl_module)
        self._last = trainer.global_step
        trainer.save_checkpoint(self._run.checkpoint(self._last))
        if trainer.is_global_zero:
            self._run.drop_checkpoints(keep=2)
