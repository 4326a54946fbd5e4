"""Signals: training ends with a checkpoint of that very step, and resumes bit for bit."""

import os
import signal
import subprocess
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
import torch

from repr_toolkit.runs.run import Run
from repr_toolkit.support.signals import Stopped
from repr_toolkit.training.monitor import LossMonitor
from repr_toolkit.training.train import train
from toys.runs import MUON, assert_same_weights, metrics, small, small_metric

KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "dropout and an average": small,
    "no average, in parts": lambda: small(
        training__ema_decay=0.0,
        training__optimizer=MUON,
        training__micro_batch=8,
        model__decoder__init_args__dropout=0.0,
    ),
    "a metric": small_metric,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run of each kind that no signal stopped."""
    folder = tmp_path_factory.mktemp("whole")
    return {name: train(make(), folder / name) for name, make in KINDS.items()}


def send(
    monkeypatch: pytest.MonkeyPatch, hook: str, step: int, number: int = signal.SIGTERM
) -> None:
    """Let this process, and those that load its data, get a signal in a hook of training."""
    former = getattr(LossMonitor, hook)

    def signalled(self: LossMonitor, trainer: Any, *arguments: Any, **named: Any) -> None:
        former(self, trainer, *arguments, **named)
        if trainer.global_step == step:
            # From another process, as signals come: loaders end by one of the main process.
            loaders = [str(child.pid) for child in active_children()]
            if loaders:
                subprocess.run(["kill", f"-{number}", *loaders], check=True)
            os.kill(os.getpid(), number)

    monkeypatch.setattr(LossMonitor, hook, signalled)


# A validation follows steps 4, 8 and 12.
@pytest.mark.parametrize(
    ("hook", "step"),
    [
        ("on_train_batch_end", 1),
        ("on_train_batch_end", 6),
        ("on_train_batch_end", 8),
        ("on_validation_batch_end", 4),
        ("on_train_epoch_end", 8),
        ("on_train_epoch_end", 12),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_at_any_step_resumes_bit_for_bit(
    kind: str,
    hook: str,
    step: int,
    whole: dict[str, Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, handlers = Run(tmp_path / "run"), [*map(signal.getsignal, (2, 10, 15))]
    with monkeypatch.context() as patch:
        send(patch, hook, step)
        with pytest.raises(Stopped, match=f"SIGTERM after step {step} of 12") as stop:
            train(KINDS[kind](), run.path)
    assert stop.value.code == 143
    assert [*map(signal.getsignal, (2, 10, 15))] == handlers
    assert run.checkpoints()[-1] == run.checkpoint(step)
    assert len(run.checkpoints()) <= 2
    assert not run.finished
    train(KINDS[kind](), run.path, resume=True)
    assert_same_weights(run, whole[kind])
    assert metrics(run) == metrics(whole[kind])


def test_stops_one_after_another(
    whole: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them in one validation, which begins again each time, and with loader processes."""
    run = tmp_path / "run"
    config, before = small(data__workers=1), set(active_children())
    for hook, step, number, status in (
        ("on_train_batch_end", 3, signal.SIGINT, 130),
        ("on_validation_batch_end", 8, signal.SIGUSR1, 138),
        ("on_validation_batch_end", 8, signal.SIGTERM, 143),
        ("on_train_batch_end", 11, signal.SIGTERM, 143),
    ):
        with monkeypatch.context() as patch:
            send(patch, hook, step, number)
            with pytest.raises(Stopped) as stop:
                train(config, run, resume=True)
        assert stop.value.code == status
        assert set(active_children()) <= before
    train(config, run, resume=True)
    assert_same_weights(Run(run), whole["dropout and an average"])
    assert metrics(Run(run)) == metrics(whole["dropout and an average"])


def test_a_stop_forgets_no_step_that_was_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(model__decoder__init_args__explode_at=7)
    whole = train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        send(patch, "on_train_batch_end", 7)
        with pytest.raises(Stopped):
            train(config, tmp_path / "run")
    resumed = train(config, tmp_path / "run", resume=True)
    assert_same_weights(resumed, whole)
    assert metrics(resumed) == metrics(whole)
    assert metrics(whole)[-1]["train/skipped_steps"] or metrics(whole)[-2]["train/skipped_steps"]


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(monkeypatch, "on_train_batch_start", 5, signal.SIGINT)
    send(monkeypatch, "on_train_batch_start", 5, signal.SIGINT)
    with pytest.raises(SystemExit) as stop:
        train(small(), tmp_path / "run")
    assert isinstance(stop.value.__context__, KeyboardInterrupt)
    assert [path.name for path in Run(tmp_path / "run").checkpoints()] == ["step_0000004.ckpt"]


def test_slurm_neither_bypasses_signals_nor_reads_a_foreign_checkpoint(
    whole: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "NTASKS": "1",
        "JOB_NAME": "train",
        "JOB_ID": "7",
        "PROCID": "0",
        "LOCALID": "0",
        "NODEID": "0",
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.chdir(tmp_path)
    torch.save({"epoch": "of another project"}, "hpc_ckpt_1.ckpt")
    with monkeypatch.context() as patch:
        send(patch, "on_train_batch_end", 6)
        with pytest.raises(Stopped) as stop:
            train(small(), tmp_path / "run")
    assert stop.value.code == 143
    run = train(small(), tmp_path / "run", resume=True)
    assert_same_weights(run, whole["dropout and an average"])
