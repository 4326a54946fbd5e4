"""The progress of a training: a bar on a terminal, or a line now and then."""

import sys
import time
from collections.abc import Mapping
from math import isfinite, isnan
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.support.console import say
from repr_toolkit.support.tables import duration
from repr_toolkit.training.monitor import LossMonitor
from repr_toolkit.training.validation import Results

SECONDS_BETWEEN_LINES = 30


class TrainingProgress(Callback):
    """Shows the steps, the loss, the last validation and the remaining time.

    A terminal has a bar and a line for each validation; elsewhere there is also a line every half
    minute in between.
    """

    def __init__(self, steps: int, monitor: LossMonitor, validation: Results) -> None:
        self._steps = steps
        self._monitor = monitor
        self._validation = validation
        self._bar: Progress | None = None
        self._said = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._first, self._started = trainer.global_step, time.monotonic()
        self._said = self._started
        if trainer.is_global_zero and sys.stdout.isatty():
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("steps {task.description}"))
            self._bar = Progress(*columns, TimeRemainingColumn())
            self._bar.add_task("", total=self._steps, completed=self._first)
            self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        text = "" if isnan(self._monitor.loss) else f"loss {self._monitor.loss:.4f}"
        text += self._skipped
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, description=text)
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._line(step, text)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._line(
            trainer.global_step, in_words(self._validation.results, pl_module) + self._skipped
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    @property
    def _skipped(self) -> str:
        """The number of steps that were skipped so far, if there are any."""
        count = self._monitor.skipped
        steps = "step" if count == 1 else "steps"
        return f"  ({count} {steps} skipped: gradients not finite)" if count else ""

    def _line(self, step: int, text: str) -> None:
        self._said = time.monotonic()
        left = (self._said - self._started) / max(1, step - self._first) * (self._steps - step)
        ending = f"  ({duration(left)} left)" if step < self._steps else ""
        say(f"  step {step:>{len(str(self._steps))}}/{self._steps}  {text}{ending}")

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def in_words(results: Mapping[str, float], model: LightningModule) -> str:
    """The numbers of a validation: bits/dim with their label, then the others by their names.

    Nats stand beside bits/dim of images of two levels.
    """
    bits: list[str] = []
    others: list[str] = []
    for name, value in results.items():
        if isinstance(model, EncoderDecoder) and name.endswith("/bits_per_dim"):
            nats = model.decoder.nats_for_a_bit
            beside = f" ({nats * value:.2f} nats)" if nats else ""
            bits.append(f"{name.removesuffix('/bits_per_dim')} {value:.4f}{beside}")
        else:
            others.append(f"{name} {value:{'.1e' if name.endswith('error') else '.4f'}}")
    parts = [", ".join(others)] if others else []
    if bits:
        assert isinstance(model, EncoderDecoder)
        parts.insert(0, f"bits/dim ({model.decoder.likelihood_label}): {', '.join(bits)}")
    if not isfinite(results.get("val/round_trip_error", 0.0)):
        parts.append("some validation images do not come back from their z")
    return "; ".join(parts)
