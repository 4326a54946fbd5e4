"""The progress of a training: a bar on a terminal, or a line now and then."""

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from math import isfinite, isnan
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.learner import Learner
from repr_toolkit.support.console import say
from repr_toolkit.support.pulse import Work, working
from repr_toolkit.support.tables import duration
from repr_toolkit.training.monitor import LossMonitor
from repr_toolkit.training.validation import Results

FIRST_LINE, NEXT_LINES = 5.0, 30.0
"""Seconds of silence before the first line, and from one line to the next, without a terminal."""
SETTLING = 3
"""The first steps, which compile and warm up, and say nothing of the others."""
TIMED = 1.0
"""Seconds of later steps before their speed is known."""


class Pace:
    """How fast a training goes, and how long the rest of it takes.

    The first steps do not count. Validations count by the last one's time; before the first one
    the time that is left is a lower bound.
    """

    def __init__(self, steps: int, every: int, batch_size: int) -> None:
        self._steps, self._every, self._batch_size = steps, every, batch_size
        self._seen = 0
        self._seconds = 0.0
        self._validation: float | None = None

    def stepped(self, seconds: float) -> None:
        """Take in the time of a step."""
        self._seen += 1
        if self._seen > SETTLING:
            self._seconds += seconds

    def validated(self, seconds: float) -> None:
        """Take in the time of a validation."""
        self._validation = seconds

    def words(self, step: int) -> str:
        """The speed and the time left after a step, as far as they are known.

        >>> pace = Pace(steps=1000, every=500, batch_size=16)
        >>> for seconds in (60, 0.2, 0.2, *[0.125] * 8):
        ...     pace.stepped(seconds)
        >>> pace.words(11)
        '128 images/s, more than 2 min 4 s left'
        >>> pace.validated(20)
        >>> pace.words(500), pace.words(1000)
        ('128 images/s, 1 min 22 s left', '128 images/s')
        """
        if self._seconds < TIMED:
            return ""
        per_step = self._seconds / (self._seen - SETTLING)
        rate = self._batch_size / per_step
        speed = f"{rate:,.0f} images/s" if rate >= 10 else f"{rate:.1f} images/s"
        if step >= self._steps:
            return speed
        validations = self._steps // self._every - step // self._every
        left = (self._steps - step) * per_step + validations * (self._validation or 0.0)
        bound = "more than " if self._validation is None else ""
        return f"{speed}, {bound}{duration(left)} left"


class TrainingProgress(Callback):
    """Shows the steps, the loss, the last validation, the speed and the remaining time.

    A terminal has a bar and a line for each validation; elsewhere there is also a line after five
    seconds and then every half minute in between. While the first step compiles, that is said.
    """

    def __init__(self, pace: Pace, steps: int, monitor: LossMonitor, validation: Results) -> None:
        self._pace = pace
        self._steps = steps
        self._monitor = monitor
        self._validation = validation
        self._bar: Progress | None = None
        self._work = Work("training")
        self._held = ExitStack()
        self._said = self._mark = 0.0
        self._pause = FIRST_LINE

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._said = self._mark = time.monotonic()
        if not trainer.is_global_zero:
            return
        compiles = isinstance(pl_module, Learner) and pl_module.compiled_core != pl_module.core
        first = "compiling" if compiles else "the first step"
        self._work = self._held.enter_context(working(Work(first)))
        if sys.stdout.isatty():
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("steps {task.description}"))
            self._bar = Progress(*columns)
            self._bar.add_task(f"{first}…", total=self._steps, completed=trainer.global_step)
            self._bar.start()
            self._work.drawn = True
        elif compiles:
            say("  compiling…")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        self._pace.stepped(now - self._mark)
        self._mark = now
        self._work.drawn = True  # by the lines below
        step = trainer.global_step
        text = "" if isnan(self._monitor.loss) else f"loss {self._monitor.loss:.4f}"
        text += self._skipped
        if self._bar is not None:
            self._describe(step, "  ".join(filter(None, [text, self._pace.words(step)])))
        elif now - self._said > self._pause:
            self._line(step, text)
            self._pause = NEXT_LINES

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._mark = time.monotonic()
        self._work.description, self._work.started = "validating", self._mark
        self._work.drawn = self._bar is not None
        if self._bar is not None:
            self._describe(trainer.global_step, "validating…")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        now = time.monotonic()
        self._pace.validated(now - self._mark)
        self._mark = now
        self._work.drawn = True
        text = in_words(self._validation.results, pl_module) + self._skipped
        self._line(trainer.global_step, text)

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

    def _describe(self, step: int, text: str) -> None:
        assert self._bar is not None
        self._bar.update(self._bar.task_ids[0], completed=step, description=text)

    def _line(self, step: int, text: str) -> None:
        self._said = time.monotonic()
        pace = self._pace.words(step)
        ending = f"  ({pace})" if pace else ""
        say(f"  step {step:>{len(str(self._steps))}}/{self._steps}  {text}{ending}")

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._held.close()


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
