"""Watches the training loss without making the device wait, and stops a run that diverges."""

import time
from collections.abc import Mapping
from math import isfinite
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from repr_toolkit.models.learner import Learner
from repr_toolkit.runs.run import Run

MOST_SKIPPED = 10
"""The number of steps in a row whose gradients are not finite that ends a training."""


class LossMonitor(Callback):
    """Logs the mean training loss, the learning rate and the speed every `interval` steps.

    The device sums the loss, and the host reads the sum at the end of an interval and before each
    checkpoint. The device also remembers the first step whose loss is not finite, so that the
    error that stops the run can name it. A step that was skipped, since its gradient is not finite
    (`Learner.step_taken`), is counted and is no part of the mean. `MOST_SKIPPED` in a row stop the
    run, and so do more than half of an interval, or of several that together have as many steps.

    Attributes:
        loss: The mean training loss of the last interval; NaN before the first.
        skipped: The number of skipped steps of the run, as last read.
    """

    _sum: Tensor
    _taken: Tensor
    _skipped: Tensor
    _in_a_row: Tensor
    _longest: Tensor
    _longest_end: Tensor
    _bad_step: Tensor
    _count: int
    _judged: int
    _judged_skipped: int
    _interval_started: float

    def __init__(self, run: Run, batch_size: int, interval: int) -> None:
        self._run = run
        self._batch_size = batch_size
        self._interval = interval
        self._earlier = 0.0
        self._started: float | None = None
        self._begun: dict[str, Any] = {"sum": 0.0, "seconds": 0.0}
        whole = ("count", "taken", "skipped", "in_a_row", "longest", "longest_end")
        self._begun |= dict.fromkeys((*whole, "judged", "judged_skipped"), 0)
        self._judged = self._judged_skipped = 0
        self._reset(torch.device("cpu"))
        self.loss = float("nan")
        self.skipped = 0
        self._skipped = self._in_a_row = torch.zeros((), dtype=torch.long)

    @property
    def seconds(self) -> float:
        """The time spent in training, through all resumes."""
        running = 0.0 if self._started is None else time.monotonic() - self._started
        return self._earlier + running

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic()
        self._reset(pl_module.device)
        self._sum += self._begun["sum"]
        self._taken += self._begun["taken"]
        self._longest += self._begun["longest"]
        self._longest_end += self._begun["longest_end"]
        device = pl_module.device
        self._skipped, self._in_a_row = (
            torch.tensor(self._begun[key], device=device) for key in ("skipped", "in_a_row")
        )
        self._count = self._begun["count"]
        self._judged = self._begun["judged"]
        self._judged_skipped = self._begun["judged_skipped"]
        self._interval_started = self._started - self._begun["seconds"]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._earlier, self._started = self.seconds, None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._count == 0:  # no interval counts the time of a validation
            self._interval_started = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(outputs, Mapping)  # what Lightning makes of a step's loss
        loss: Tensor = outputs["loss"].detach()
        assert isinstance(pl_module, Learner)
        step, taken = trainer.global_step, pl_module.step_taken
        self._sum += torch.where(taken, loss, 0)
        self._taken += taken
        self._skipped += ~taken
        self._in_a_row = torch.where(taken, 0, self._in_a_row + 1)
        self._longest_end = torch.where(self._in_a_row > self._longest, step, self._longest_end)
        self._longest = torch.maximum(self._longest, self._in_a_row)
        self._bad_step = torch.where(
            torch.isfinite(loss) | ~taken | (self._bad_step > 0), self._bad_step, step
        )
        self._count += 1
        if step % self._interval == 0:
            self._read(trainer, pl_module)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raise FloatingPointError if a loss or a weight is not finite, before any use of it."""
        if self._count:
            self._read(trainer, pl_module)
        self._check_weights(trainer, pl_module)

    def _check_weights(self, trainer: Trainer, pl_module: LightningModule) -> None:
        norms = torch.stack([p.detach().norm() for p in pl_module.parameters()])
        if not bool(torch.isfinite(norms).all()):
            self._stop(f"after step {trainer.global_step} a weight is not finite")

    def check(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raise FloatingPointError if a loss, a weight or the last validation is not finite."""
        self._mean(trainer)
        self._check_weights(trainer, pl_module)
        assert isinstance(pl_module, Learner)
        for name, value in pl_module.validation_results.items():
            if not isfinite(value):
                self._stop(f"after step {trainer.global_step} {name} is {value}")

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._earlier = state_dict["seconds"]

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["loss_interval"] = {
            "sum": float(trainer.strategy.reduce(self._sum, reduce_op="mean")),
            "count": self._count,
            "taken": int(self._taken),
            "skipped": int(self._skipped),
            "in_a_row": int(self._in_a_row),
            "longest": int(self._longest),
            "longest_end": int(self._longest_end),
            "judged": self._judged,
            "judged_skipped": self._judged_skipped,
            "seconds": time.monotonic() - self._interval_started if self._count else 0.0,
        }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # Before steps were skipped, a checkpoint stated their number alone: all were taken.
        stated = checkpoint.get("loss_interval", {})
        self._begun |= {"taken": stated.get("count", 0), **stated}

    def _mean(self, trainer: Trainer) -> float:
        """The mean loss of the interval so far, over all processes; an error if not finite.

        It is that of the last interval where every step was skipped.
        """
        self.skipped, taken = int(self._skipped), int(self._taken)
        # Of the gradients that all processes share, so every process stops.
        longest, last = int(self._longest), int(self._longest_end)
        if longest >= MOST_SKIPPED:
            self._stop(
                f"steps {last - longest + 1} to {last} had no finite gradient, and were skipped"
            )
        if self._count and not taken:
            return self.loss
        mean = self._sum / self._taken.clamp(min=1)
        loss = float(trainer.strategy.reduce(mean, reduce_op="mean"))
        if not isfinite(loss):  # reduced, so every process stops
            bad = trainer.strategy.reduce(self._bad_step.float(), reduce_op="max")
            self._stop(f"the training loss at step {int(bad)} is not finite ({loss})")
        return loss

    def _read(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.loss = loss = self._mean(trainer)
        seconds = time.monotonic() - self._interval_started
        metrics = {
            "train/loss": loss,
            "train/images_per_second": self._count * self._batch_size / seconds,
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
        }
        if self.skipped:
            metrics["train/skipped_steps"] = self.skipped
        for logger in trainer.loggers:
            logger.log_metrics(metrics, trainer.global_step)
        self._judge(trainer)
        self._reset(pl_module.device)

    def _judge(self, trainer: Trainer) -> None:
        """Raise FloatingPointError if more than half of the steps since the last time were skipped.

        Never before there are `MOST_SKIPPED` of them, so that the shortest interval bears some.
        """
        self._judged += self._count
        self._judged_skipped += self._count - int(self._taken)
        if self._judged < MOST_SKIPPED:
            return
        if 2 * self._judged_skipped > self._judged:
            self._stop(
                f"{self._judged_skipped} of the last {self._judged} steps, up to step "
                f"{trainer.global_step}, had no finite gradient, and were skipped"
            )
        self._judged = self._judged_skipped = 0

    def _reset(self, device: torch.device) -> None:
        self._sum = torch.zeros((), device=device)
        self._taken, self._longest, self._longest_end, self._bad_step = (
            torch.zeros((), dtype=torch.long, device=device) for _ in range(4)
        )
        self._count = 0

    def _stop(self, reason: str) -> None:
        raise FloatingPointError(
            f"{reason}; {what_is_kept(self._run)}. A lower learning rate, more warm-up or gradient "
            f"clipping (trainer.gradient_clip_val) usually helps"
        )


def what_is_kept(run: Run) -> str:
    """Names the last good checkpoint of a run that went wrong, as part of a sentence."""
    checkpoints = run.checkpoints()
    if not checkpoints:
        return "no checkpoint was written"
    return f"the last good checkpoint is {checkpoints[-1]}"
