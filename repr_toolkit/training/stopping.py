"""Ends training at the end of a step once a signal asks for it, or its time is over."""

import os
import signal
import time
from datetime import timedelta
from functools import partial
from math import inf
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from repr_toolkit.support.processes import first_process
from repr_toolkit.support.signals import Stopped, on_signals

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C, what ends a process politely, and what SLURM can send before a job's time is over."""


class Stopping(Callback):
    """Raises `Stopped` at the end of the step, or of the batch of a validation, of a signal.

    So does the end of `max_time` since this training, or this resume of it, began, but not before
    it took a step: a resume that ends in the validation that it began with would do so for ever.
    `Checkpoints` then writes the state. Several processes ask each other every
    `interval` steps, since a GPU waits for the answer: all stop at the same step,
    whichever of them the signal reached, and the first one alone has the exit status of a signal,
    as Lightning kills a training one of whose processes fails. A second Ctrl-C stops at once,
    without a checkpoint.

    Lightning's own handlers would exchange messages in the middle of a step, and under SLURM write
    a checkpoint of such a moment into the working directory, which any later training would read.
    """

    def __init__(self, steps: int, interval: int, max_time: timedelta | None = None) -> None:
        self._steps, self._interval = steps, interval
        self._number: int | None = None
        self._seconds = max_time.total_seconds() if max_time else inf
        self._end, self._first = inf, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end, self._first = time.monotonic() + self._seconds, trainer.global_step
        on_signals(SIGNALS, self._note)  # when training ends, Lightning restores the former ones

    def _note(self, number: int, frame: Any) -> None:
        if number == signal.SIGINT:
            if self._number is not None:
                raise KeyboardInterrupt
            if first_process():  # print may be at work already
                os.write(2, b"\nstopping after this step; Ctrl-C again stops at once\n")
        self._number = number

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch:  # after which a validation is due
            self._stop(trainer, trainer.global_step)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._stop(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop(trainer)

    def _stop(self, trainer: Trainer, count: int = 0) -> None:
        if trainer.world_size > 1 and count % self._interval:
            return
        over = time.monotonic() >= self._end and trainer.global_step > self._first
        anybody = partial(trainer.strategy.reduce_boolean_decision, all=False)
        if not anybody(self._number is not None or over):
            return
        signalled = anybody(self._number is not None)
        reached = f"after step {trainer.global_step:,} of {self._steps:,}"
        by = "" if signalled else "trainer.max_time"
        stopped = Stopped(self._number or signal.SIGTERM, reached, by)
        if not trainer.is_global_zero:
            stopped.code = 0
        raise stopped
