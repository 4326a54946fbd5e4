"""What a user sets of the Trainer: callbacks, a time, parts of a batch, a profiler."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from repr_toolkit.cli import main
from repr_toolkit.models.micro_batches import MicroBatches
from repr_toolkit.runs.run import Run
from repr_toolkit.support.signals import Stopped
from repr_toolkit.training import stopping
from repr_toolkit.training.train import train
from repr_toolkit.training.trainer import has_bfloat16, parts_of_batch
from toys.runs import assert_same_weights, metrics, small, small_metric


def counting(journal: Path, **init_args: Any) -> dict[str, Any]:
    arguments = {"journal": str(journal), **init_args}
    return {"class_path": "toys.callbacks.Counting", "init_args": arguments}


def out_of_time(patch: pytest.MonkeyPatch, step: int) -> None:
    """Let the clock of `max_time` run out at a step."""
    former = stopping.Stopping.on_train_batch_end

    def late(self: stopping.Stopping, trainer: Any, *arguments: Any) -> None:
        if trainer.global_step >= step:
            self._end = 0.0
        former(self, trainer, *arguments)

    patch.setattr(stopping.Stopping, "on_train_batch_end", late)


def test_a_user_s_callbacks_are_added_and_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that its time cuts counts on from its checkpoint, and ends in the same weights."""
    whole = train(small(), tmp_path / "whole")
    callbacks = [counting(tmp_path / "journal")]
    config = small(trainer__callbacks=callbacks)
    limited = small(trainer__callbacks=callbacks, trainer__max_time={"days": 1})
    with monkeypatch.context() as patch:
        out_of_time(patch, 6)
        with pytest.raises(Stopped, match=r"trainer\.max_time after step 6 of 12") as stop:
            train(limited, tmp_path / "run")
    assert stop.value.code == 143
    run = Run(tmp_path / "run")
    assert run.checkpoints()[-1] == run.checkpoint(6)
    train(config, run.path, resume=True)  # the time is no setting of a run's result
    journal = (tmp_path / "journal").read_text().split("\n")[:-1]
    assert journal == [f"{n} {n}" for n in range(1, 13)]
    assert_same_weights(run, whole)
    assert metrics(run) == metrics(whole)


def test_however_little_time_there_is_training_gets_on(tmp_path: Path) -> None:
    """It ends after a step, never again and again in the validation that a resume begins with."""
    short = {"training__steps": 4, "training__validate_every": 2}
    config = small(**short, trainer__max_time={"seconds": 1e-6})
    for step in (1, 2, 3, 4):
        with pytest.raises(Stopped, match=rf"trainer\.max_time after step {step} of 4"):
            train(config, tmp_path / "run", resume=True)
    run = train(config, tmp_path / "run", resume=True)
    assert_same_weights(run, train(small(**short), tmp_path / "whole"))


@pytest.mark.parametrize(("signalled", "name"), [(False, "trainer.max_time"), (True, "SIGTERM")])
def test_the_first_process_tells_why_any_of_them_stopped(signalled: bool, name: str) -> None:
    """Here another one alone has seen the end of the time, or a signal as well."""
    stops = stopping.Stopping(12, 1, timedelta(days=1))
    asked: list[bool] = []

    def reduced(decision: bool, *, all: bool) -> bool:
        asked.append(decision)
        return [True, signalled][len(asked) - 1]

    strategy = SimpleNamespace(reduce_boolean_decision=reduced)
    trainer: Any = SimpleNamespace(
        world_size=2, global_step=6, is_global_zero=True, is_last_batch=False, strategy=strategy
    )
    model: Any = None
    with pytest.raises(Stopped) as stop:
        stops.on_train_batch_end(trainer, model, None, None, 0)
    assert str(stop.value) == f"stopped by {name} after step 6 of 12"
    assert asked == [False, False]


def test_a_callback_may_end_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with a validation of the weights as they are."""
    config = small(trainer__callbacks=[counting(tmp_path / "journal", stop_at=6)])
    run = train(config, tmp_path / "run")
    assert run.info["step"] == 6
    assert "a callback ended training at step 6" in capsys.readouterr().out
    rows = [row for row in metrics(run) if row["val/bits_per_dim"]]
    assert [row["step"] for row in rows] == ["4", "6"]
    assert float(rows[-1]["val/bits_per_dim"]) == run.info["val_bits_per_dim"]


def test_lightning_s_own_callbacks_need_no_trust(tmp_path: Path) -> None:
    early = {
        "class_path": "lightning.pytorch.callbacks.EarlyStopping",
        "init_args": {"monitor": "val/bits_per_dim", "patience": 1, "min_delta": 100.0},
    }
    keeping = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"dirpath": str(tmp_path / "mine"), "save_weights_only": True},
    }
    config = small(trainer__callbacks=[early, keeping])
    run = train(config, tmp_path / "run")
    assert run.info["step"] == 8
    assert [path.suffix for path in (tmp_path / "mine").iterdir()] == [".ckpt"]
    assert run.config["trainer"]["callbacks"][0]["class_path"] == early["class_path"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"class_path": "toys.callbacks.Missing"}, r"trainer\.callbacks\[0\]\.class_path"),
        ({"class_path": "torch.nn.Linear"}, r"trainer\.callbacks\[0\].* no.*Callback"),
        ({"class_path": "toys.callbacks.Counting"}, r"trainer\.callbacks\[0\].*journal"),
        (
            {"class_path": "toys.callbacks.Counting", "init_args": {"journl": "x"}},
            r"trainer\.callbacks\[0\]\.init_args\.journl.*did you mean journal",
        ),
    ],
)
def test_what_is_no_callback_makes_no_directory(
    spec: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((ValueError, ImportError, TypeError), match=message):
        train(small(trainer__callbacks=[spec]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_state_that_could_not_be_read_again_is_named_at_once(tmp_path: Path) -> None:
    config = small(trainer__callbacks=[{"class_path": "toys.callbacks.Unreadable"}])
    with pytest.raises(TypeError, match=r"the state of Unreadable .* numbers, texts, tensors"):
        train(config, tmp_path / "run")
    assert not Run(tmp_path / "run").checkpoints()


def test_a_profile_is_written_into_the_run(tmp_path: Path) -> None:
    config = small(trainer__profiler="simple", training__steps=4)
    run = train(config, tmp_path / "run")
    assert "run_training_epoch" in (run.path / "fit-profile.txt").read_text()


# Parts of a batch, one after another


@pytest.mark.parametrize("parts", [2, 3])
def test_parts_of_a_batch_are_the_same_training(tmp_path: Path, parts: int) -> None:
    """Steps, images and random numbers of a step stay; the gradient is that of the whole batch."""
    plain: dict[str, Any] = {"model__decoder__init_args__dropout": 0.0}
    plain |= {"trainer__precision": "32-true", "training__optimizer__init_args__lr": 0.01}
    whole = train(small(**plain), tmp_path / "whole")
    run = train(small(**plain, trainer__accumulate_grad_batches=parts), tmp_path / "run")
    assert run.info["step"] == whole.info["step"] == 12
    assert [row["step"] for row in metrics(run)] == [row["step"] for row in metrics(whole)]
    one, other = load_file(whole.weights_file), load_file(run.weights_file)
    for key, value in one.items():
        torch.testing.assert_close(other[key], value, rtol=1e-4, atol=1e-5)


def test_parts_are_as_small_as_said_and_resume_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With dropout too, which parts side by side could not have."""
    config = small(trainer__accumulate_grad_batches=3)
    sizes: list[int] = []
    part = MicroBatches._part

    def noted(self: MicroBatches, autocast: Any, batch: Any) -> Any:
        sizes.append(len(batch["image"]))
        return part(self, autocast, batch)

    monkeypatch.setattr(MicroBatches, "_part", noted)
    whole = train(config, tmp_path / "whole")
    assert sizes == 12 * [6, 6, 4]
    assert "12 steps of 16 images in 3 parts on" in capsys.readouterr().out
    with monkeypatch.context() as patch:
        out_of_time(patch, 6)
        with pytest.raises(Stopped):
            train(config, tmp_path / "run")
    run = train(config, tmp_path / "run", resume=True)
    assert_same_weights(run, whole)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (small, {"trainer__accumulate_grad_batches": 17}, r"17 parts of 16 images"),
        (
            small,
            {"trainer__accumulate_grad_batches": 2, "training__micro_batch": 4},
            r"accumulate_grad_batches and training\.micro_batch both",
        ),
        (small_metric, {"trainer__accumulate_grad_batches": 2}, r"model\.metric compares"),
    ],
)
def test_what_cannot_be_parted_makes_no_directory(
    make: Callable[..., dict[str, Any]], settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        train(make(**settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_scaled_is_not_parted() -> None:
    config = small(trainer__accumulate_grad_batches=2, trainer__precision="16-mixed")
    with pytest.raises(ValueError, match=r"accumulate_grad_batches goes with 32-true and bf16"):
        parts_of_batch(config, world_size=1)


# The command line


def test_a_run_that_its_time_ends_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(json.dumps(small()))
    out_of_time(monkeypatch, 5)
    assert main(["train", "small.yaml", "--trainer.max_time", "{hours: 1}"]) == 143
    error = capsys.readouterr().err
    assert "stopped by trainer.max_time after step 5 of 12; go on with: repr-toolkit train" in error
    assert error.rstrip().endswith("--resume")


@pytest.mark.parametrize(
    ("known", "fast"),
    [
        ({}, False),
        ({"avx512_bf16": False, "avx512_f": True}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"bf16": True}, True),  # ARM
    ],
)
def test_a_cpu_computes_in_bfloat16_where_it_has_instructions_for_it(
    known: dict[str, bool], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    assert has_bfloat16("cpu") is fast


@pytest.mark.parametrize(("supported", "cuda"), [(True, True), (False, True), (True, False)])
def test_a_gpu_computes_in_bfloat16_where_it_does_not_emulate_it(
    supported: bool, cuda: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    support = {False: supported, True: True}
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: support[including_emulation]
    )
    assert has_bfloat16("auto") is (supported and cuda)
    assert not has_bfloat16("cpu")


def test_automatic_precision_is_fixed_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run goes on as it began, on a machine that would have begun it otherwise."""
    name = "repr_toolkit.training.{}.has_bfloat16"
    chosen = {}
    for fast, precision in ((True, "bf16-mixed"), (False, "32-true")):
        for module in ("trainer", "train"):
            monkeypatch.setattr(name.format(module), lambda _, fast=fast: fast)
        run = train(small(trainer__precision="auto"), tmp_path / precision)
        assert run.config["trainer"]["precision"] == precision
        assert f"precision {precision}\n" in capsys.readouterr().out
        chosen[fast] = run
    cut = Run(tmp_path / "cut")
    shutil.copytree(chosen[True].path, cut.path)
    cut.weights_file.unlink()
    cut.checkpoint(12).unlink(missing_ok=True)
    train(small(trainer__precision="auto"), cut.path, resume=True)
    assert "precision bf16-mixed\n" in capsys.readouterr().out
    assert_same_weights(cut, chosen[True])
    with pytest.raises(ValueError, match=r"other settings \(trainer\.precision\)"):
        train(small(trainer__precision="32-true"), cut.path, resume=True)
    train(small(trainer__precision="bf16-mixed", seed=1), tmp_path / "slow")
    assert "bfloat16 is emulated here; --trainer.precision auto" in capsys.readouterr().out
