"""The best validation: its weights are the result, a worse one is told, patience ends training."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repr_toolkit.data import ImageData
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import batches
from repr_toolkit.runs.run import Run, load
from repr_toolkit.support.signals import Stopped
from repr_toolkit.training.best import Best
from repr_toolkit.training.monitor import LossMonitor
from repr_toolkit.training.train import train
from repr_toolkit.training.validation import Results
from toys.decoders import DECONV
from toys.runs import assert_same_weights, metrics, small, small_metric, two_checkpoints

NAME = "val/bits_per_dim"


def few() -> ImageData:
    """Eight images to train on and eight others: one pattern, each with noise of its own."""
    draw = np.random.default_rng(0)
    pattern = draw.integers(0, 9, (1, 1, 4, 4))
    images = (pattern + draw.integers(0, 9, (24, 1, 4, 4))).astype(np.uint8)
    rows = dict(zip(("train", "val", "test"), np.arange(24).reshape(3, 8), strict=True))
    return ImageData("few", {"image": images}, rows, levels=17)


def config(**settings: Any) -> dict[str, Any]:
    """One whose validations, after every other step, get worse from the third on."""
    few_steps = {
        "data__batch_size": 8,
        "training__steps": 16,
        "training__validate_every": 2,
        "training__schedule": "constant",
        "training__optimizer__init_args__lr": 0.15,
        "training__ema_decay": 0.5,
    }
    return small(**few_steps, **settings)


@pytest.fixture(scope="module")
@two_checkpoints()
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that keeps its best weights, never interrupted."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    return train(config(training__weights="best"), path, data=few())


def validations(run: Run) -> dict[int, float]:
    return {int(row["step"]): float(row[NAME]) for row in metrics(run) if row[NAME]}


def bits(run: Run) -> float:
    """Those of the validation images, by the weights that were saved."""
    model = load(run)
    assert isinstance(model, EncoderDecoder)
    with torch.no_grad():
        return float(model.bits_per_dim(few().splits["val"][:]).double().mean())


def test_the_saved_weights_are_those_of_the_best_validation(whole: Run) -> None:
    curve = validations(whole)
    step = min(curve, key=curve.__getitem__)
    assert 2 < step < 16
    assert whole.info["weights"] == {"step": step, "validations": 8}
    assert whole.info["step"] == 16
    assert whole.info["val_bits_per_dim"] == curve[step] == pytest.approx(bits(whole), rel=1e-6)
    row = next(row for row in metrics(whole) if row["step"] == str(step) and row[NAME])
    assert whole.info["train_bits_per_dim"] == float(row["train/bits_per_dim"])


def test_the_last_weights_are_kept_unless_asked_otherwise(whole: Run, tmp_path: Path) -> None:
    last = train(config(), tmp_path / "last", data=few())
    assert "weights" not in last.info
    assert validations(last) == validations(whole)
    assert bits(last) == pytest.approx(validations(last)[16], rel=1e-6)


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
def test_the_best_weights_are_calibrated(tmp_path: Path, ema_decay: float) -> None:
    """By as many images as the last ones would be: calibrating again changes nothing."""
    again = config(model__decoder=DECONV, training__weights="best")
    again["training"]["ema_decay"] = ema_decay
    run = train(again, tmp_path / "run", data=few())
    assert run.info["weights"]["step"] < 16
    model = load(run)
    assert isinstance(model, EncoderDecoder)
    saved = {name: value.clone() for name, value in model.named_buffers()}
    model.calibrate(batches(few().splits["train"], None, 8, torch.device("cpu")))
    for name, value in model.named_buffers():
        torch.testing.assert_close(value, saved[name], rtol=1e-5, atol=0)
    assert bits(run) == pytest.approx(run.info["val_bits_per_dim"], rel=1e-5)


def cut_copy(run: Run, path: Path, step: int) -> Run:
    """A copy of a run as it would have been cut after a checkpoint of some step."""
    subprocess.run(["cp", "-r", str(run.path), str(path)], check=True)
    copy = Run(path)
    copy.weights_file.unlink()
    copy.info_file.unlink()
    for checkpoint in copy.checkpoints():
        if checkpoint != copy.checkpoint(step):
            checkpoint.unlink()
    assert copy.checkpoints()
    return copy


@pytest.mark.parametrize("step", [14, 16])
def test_a_resume_keeps_the_best_of_before(whole: Run, tmp_path: Path, step: int) -> None:
    cut = cut_copy(whole, tmp_path / "cut", step)
    train(config(training__weights="best"), cut.path, resume=True, data=few())
    assert_same_weights(cut, whole)
    assert metrics(cut) == metrics(whole)
    assert cut.info["weights"] == whole.info["weights"]


@pytest.mark.parametrize("hook", ["on_validation_batch_end", "on_train_epoch_end"])
def test_a_stop_at_the_best_validation_is_resumed(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    former, best = getattr(LossMonitor, hook), whole.info["weights"]["step"]

    def signalled(self: LossMonitor, trainer: Any, *arguments: Any, **named: Any) -> None:
        former(self, trainer, *arguments, **named)
        if trainer.global_step == best:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(LossMonitor, hook, signalled)
        with pytest.raises(Stopped):
            train(config(training__weights="best"), tmp_path / "run", data=few())
    run = train(config(training__weights="best"), tmp_path / "run", resume=True, data=few())
    assert_same_weights(run, whole)
    assert metrics(run) == metrics(whole)


def test_patience_ends_training(whole: Run, tmp_path: Path) -> None:
    patient = config(training__weights="best", training__patience=2)
    run = train(patient, tmp_path / "run", data=few())
    best = whole.info["weights"]["step"]
    end = best + 4
    assert run.info["step"] == end < 16
    assert run.info["weights"] == {"step": best, "validations": end // 2}
    assert_same_weights(run, whole)
    assert [*validations(run)] == [*range(2, end + 1, 2)]
    cut = cut_copy(run, tmp_path / "cut", end)  # ended, but not saved yet
    train(patient, cut.path, resume=True, data=few())
    assert_same_weights(cut, run)
    last = train(config(training__patience=2), tmp_path / "last", data=few())
    assert last.info["step"] == end
    assert bits(last) == pytest.approx(validations(last)[end], rel=1e-6)


def test_what_a_user_sees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(config(training__weights="best"), tmp_path / "best", data=few())
    said = capsys.readouterr().out
    step = run.info["weights"]["step"]
    later = validations(run)[step + 6]
    rise = f"{NAME} rose from {run.info['val_bits_per_dim']:.4f} at step {step} to {later:.4f} at "
    assert said.count(f"{rise}step {step + 6}: the model learns its training images by") == 1
    assert said.count(NAME) == 1
    assert f"val {run.info['val_bits_per_dim']:.4f}; weights of step {step}, best of 8" in said
    train(config(training__patience=1), tmp_path / "last", data=few())
    said = capsys.readouterr().out
    assert f"  train for {step} steps, or set training.weights best\n" in said
    assert "  training ends: 1 validation without a better one\n" in said
    assert "weights of step" not in said


class Trainer:
    is_global_zero, global_step, should_stop = True, 0, False


def follow(name: str, values: list[float], patience: int | None = None) -> tuple[Best, list[int]]:
    """What is known after these validations, and the steps after which training was to end."""
    validation, trainer, model = Results(), Trainer(), torch.nn.Linear(1, 1)
    best = Best(validation, None, len(values), keeps=True, patience=patience)
    ends = []
    for trainer.global_step, value in enumerate(values, 1):
        validation.results = {name: value}
        model.weight.data.fill_(trainer.global_step)
        best.on_validation_end(trainer, model)
        ends += [trainer.global_step] * trainer.should_stop
    return best, ends


@pytest.mark.parametrize(
    ("name", "values", "step"),
    [
        (NAME, [3.0, 2.0, 2.0, 2.5], 2),
        (NAME, [3.0, float("nan"), 2.0], 3),
        (NAME, [0.1, -0.1, 0.0], 2),
        ("val/auc", [0.7, 0.9, 0.8], 2),
    ],
)
def test_the_best_is_the_first_of_the_best(name: str, values: list[float], step: int) -> None:
    best, ends = follow(name, values)
    assert (best.step, best.count, ends) == (step, len(values), [])
    assert best.weights["weight"].item() == step


def test_patience_counts_from_the_best() -> None:
    assert follow(NAME, [3, 4, 2, 3, 1, 2, 3, 4], patience=2)[1] == [7, 8]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([2.0, 1.0, 1.1, 1.2, 1.3, 1.4], 1),  # three in a row, once
        ([2.0, 1.0, 1.1, 1.2], 1),  # at the end
        ([2.0, 1.0, 1.1, 1.0001], 0),  # by nothing worth telling
        ([4.0, 3.0, 2.0, 1.0], 0),
        ([1.0, 1.1, 1.2, 1.3, 0.5, 0.6, 0.7, 0.8], 2),
    ],
)
def test_worse_validations_are_told(
    values: list[float], told: int, capsys: pytest.CaptureFixture[str]
) -> None:
    follow(NAME, values)
    assert capsys.readouterr().out.count("rose from") == told
    follow("val/auc", [-value for value in values])
    assert capsys.readouterr().out.count("fell from") == told


def test_an_encoder_alone_is_judged_by_its_auc(tmp_path: Path) -> None:
    run = train(small_metric(training__weights="best"), tmp_path / "run")
    rows = [row for row in metrics(run) if row["val/auc"]]
    best = max(rows, key=lambda row: float(row["val/auc"]))
    assert run.info["weights"] == {"step": int(best["step"]), "validations": 3}
    assert run.info["val_auc"] == float(best["val/auc"])
