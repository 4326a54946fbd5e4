"""The monitor of the loss stops a run whose steps are skipped too often, and bears the others."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.run import Run
from repr_toolkit.training.monitor import LossMonitor
from toys.decoders import Independent

Skipped = Callable[[int], bool]
STOPS: dict[str, tuple[int, Skipped, str]] = {
    "in the middle of an interval": (50, lambda n: 6 <= n <= 45, "steps 6 to 45 had no finite"),
    "across two intervals": (50, lambda n: 46 <= n <= 55, "steps 46 to 55 had no finite"),
    "all but one": (50, lambda n: n % 50 > 0, "steps 1 to 49 had no finite"),
    "nine of ten": (50, lambda n: n % 10 > 0, "45 of the last 50 steps, up to step 50, had"),
    "short intervals": (4, lambda n: n >= 6, "7 of the last 12 steps, up to step 12, had"),
    "ten in a row, logged each": (1, lambda n: 5 < n < 16, "steps 6 to 15 had"),
    "two of three, logged each": (1, lambda n: n % 3 > 0, "7 of the last 10 steps, up to step 10"),
}
BORNE: dict[str, tuple[int, Skipped]] = {
    "one of two": (50, lambda n: n % 2 > 0),
    "nine in a row": (50, lambda n: n % 50 in range(21, 30)),
    "three of ten, logged each": (1, lambda n: n % 10 < 3),
    "three of four, once": (4, lambda n: 5 <= n <= 7),
}


def watch(interval: int, skipped: Skipped, steps: int = 200) -> tuple[LossMonitor, list[float]]:
    """A monitor of so many steps, whose loss is 2 where it was skipped, else 1; the losses told."""
    model, losses = EncoderDecoder(None, Independent((1, 2, 2), 0, 3)), list[float]()
    logger = SimpleNamespace(log_metrics=lambda told, step: losses.append(told["train/loss"]))
    trainer: Any = SimpleNamespace(
        loggers=[logger],
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.1}])],
        strategy=SimpleNamespace(reduce=lambda value, reduce_op: value),
    )
    monitor = LossMonitor(Run(Path("no_run")), 1, interval)
    monitor.on_train_start(trainer, model)
    for step in range(1, steps + 1):
        trainer.global_step = step
        model.step_taken = torch.tensor(not skipped(step))
        loss = torch.tensor(2.0 if skipped(step) else 1.0)
        monitor.on_train_batch_start(trainer, model, None, step - 1)
        monitor.on_train_batch_end(trainer, model, {"loss": loss}, None, step - 1)
    return monitor, losses


@pytest.mark.parametrize(("interval", "skipped", "message"), STOPS.values(), ids=STOPS)
def test_too_many_skipped_steps_stop_a_run(interval: int, skipped: Skipped, message: str) -> None:
    with pytest.raises(FloatingPointError, match=message):
        watch(interval, skipped)


@pytest.mark.parametrize(("interval", "skipped"), BORNE.values(), ids=BORNE)
def test_fewer_are_counted_and_no_part_of_the_loss(interval: int, skipped: Skipped) -> None:
    monitor, losses = watch(interval, skipped)
    assert monitor.skipped == sum(map(skipped, range(1, 201)))
    assert len(losses) == 200 // interval
    assert {loss for loss in losses if loss == loss} == {1.0}


def test_what_a_loss_scaler_skips_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the device, and without a hand on the gradients, which the scaler looks at itself."""
    model = EncoderDecoder(None, Independent((1, 2, 2), 0, 3))
    plugin = SimpleNamespace(precision_plugin=SimpleNamespace(scaler=object()))
    monkeypatch.setattr(EncoderDecoder, "trainer", plugin)
    monkeypatch.setattr(EncoderDecoder, "clip_gradients", lambda *_: None)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, torch.inf)
    model.configure_gradient_clipping(torch.optim.SGD(model.parameters()))
    assert not model.step_taken
    assert all(p.grad is not None and p.grad.isinf().all() for p in model.parameters())
