"""A training that was cut goes on to the same weights, whatever cut it."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from repr_toolkit.data import load_data
from repr_toolkit.runs.run import Run, load
from repr_toolkit.training.train import train
from toys.processes import own_environment
from toys.runs import MUON, assert_same_weights, metrics, narrow, small, two_checkpoints


def test_a_finished_run_is_left_as_it_is(whole: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = whole.weights_file.stat().st_mtime_ns
    train(small(), whole.path, resume=True)
    assert "finished already" in capsys.readouterr().out
    assert whole.weights_file.stat().st_mtime_ns == before


def test_a_resume_with_other_settings_is_refused(whole: Run) -> None:
    with pytest.raises(ValueError, match=r"other settings \(seed, training\.warmup\)"):
        train(small(seed=1, training__warmup=0), whole.path, resume=True)


def test_kill_9_then_resume_gives_the_same_weights(whole: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "killed")
    script = (
        f"import torch; torch.set_num_threads({torch.get_num_threads()})\n"
        "import time; from toys.decoders import Independent; from toys.runs import small\n"
        "from repr_toolkit.training.train import train\n"
        "loss = Independent.loss\n"
        "def slow(self, x, h=None): time.sleep(0.2); return loss(self, x, h)\n"
        "Independent.loss = slow\n"
        f"train(small(), {str(run.path)!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], env=own_environment())
    deadline = time.monotonic() + 120
    while not run.checkpoints() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)  # into the next stretch of steps
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert [p.name for p in run.checkpoints()] == ["step_0000004.ckpt"]
    with pytest.raises(FileNotFoundError, match=r"still in training.*--name killed --resume"):
        load(run)
    seconds = 4 * 0.2  # spent before the kill, and kept
    train(small(), run.path, resume=True)
    assert_same_weights(run, whole)
    assert metrics(run) == metrics(whole)
    assert run.info["seconds"] > seconds


@pytest.mark.parametrize(
    "kept", [["step_0000008.ckpt"], ["step_0000008.ckpt", "step_0000012.ckpt"]]
)
@pytest.mark.parametrize("workers", [0, 1])
def test_any_checkpoint_leads_to_the_same_weights(
    whole: Run, tmp_path: Path, kept: list[str], workers: int
) -> None:
    run = cut_copy(whole, tmp_path / "cut", kept)
    train(small(data__workers=workers), run.path, resume=True)
    assert_same_weights(run, whole)
    assert metrics(run) == metrics(whole)


def test_a_resume_is_exact_with_the_settings_of_the_recipes(tmp_path: Path) -> None:
    config = small(
        model__encoder={
            "class_path": "repr_toolkit.encoders.ConvBottleneck",
            "init_args": {"h_dim": 3, "features": 4},
        },
        model__decoder={
            "class_path": "repr_toolkit.decoders.GatedPixelCNN",
            "init_args": {"features": 4, "layers": 2, "conditioning": "spatial"},
        },
        training__optimizer=MUON,
        trainer__precision="bf16-mixed",
        training__channels_last=True,
        training__steps=8,
    )
    whole = train(config, tmp_path / "whole")
    cut = Run(tmp_path / "cut")
    shutil.copytree(whole.path, cut.path)
    cut.weights_file.unlink()
    cut.checkpoint(8).unlink()
    train(config, cut.path, resume=True)
    assert_same_weights(cut, whole)


def test_the_run_states_how_batches_are_shared_whatever_the_threads(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        whole = train(small(training__optimizer=MUON), tmp_path / "whole")
        assert whole.config["training"]["micro_batch"] == 8  # of 16
        cut = cut_copy(whole, tmp_path / "cut", ["step_0000004.ckpt"])
        torch.set_num_threads(1)
        train(small(training__optimizer=MUON), cut.path, resume=True)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert_same_weights(cut, whole)
    with pytest.raises(ValueError, match=r"micro_batch is for models with a decoder"):
        train(narrow(1.0, training__micro_batch=4), tmp_path / "metric")
    assert not (tmp_path / "metric").exists()
    other = small(training__optimizer=MUON, training__micro_batch=4)
    with pytest.raises(ValueError, match=r"other settings \(training\.micro_batch\)"):
        train(other, cut.path, resume=True)


def test_a_resume_on_other_images_is_refused(whole: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "moved")
    shutil.copytree(whole.path, run.path)
    run.weights_file.unlink()
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace(load_data("digits").fingerprint, "another"))
    with pytest.raises(ValueError, match="not those that the run was trained on"):
        train(small(), run.path, resume=True)


def test_a_run_without_any_checkpoint_starts_again(whole: Run, tmp_path: Path) -> None:
    run = cut_copy(whole, tmp_path / "cut", [])
    train(small(), run.path, resume=True)
    assert_same_weights(run, whole)


@two_checkpoints()
def test_without_an_average_the_last_weights_are_kept(tmp_path: Path) -> None:
    run = train(small(training__ema_decay=0), tmp_path / "plain")
    checkpoint = torch.load(run.checkpoints()[-1], weights_only=True)
    weights = load_file(run.weights_file)
    assert all(torch.equal(weights[key], checkpoint["state_dict"][key]) for key in weights)
    cut = cut_copy(run, tmp_path / "cut", ["step_0000008.ckpt"])
    train(small(training__ema_decay=0), cut.path, resume=True)
    assert_same_weights(cut, run)


def test_a_checkpoint_cut_in_half_is_named(whole: Run, tmp_path: Path) -> None:
    run = cut_copy(whole, tmp_path / "cut", ["step_0000008.ckpt", "step_0000012.ckpt"])
    last = run.checkpoints()[-1]
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"step_0000012\.ckpt is damaged.*from step_0000008"):
        train(small(), run.path, resume=True)
    last.unlink()
    train(small(), run.path, resume=True)
    assert_same_weights(run, whole)


def test_a_full_disk_stops_the_run_and_keeps_the_former_checkpoint(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, save = Run(tmp_path / "full"), torch.save

    def save_until_full(state: dict[str, Any], file: Any) -> None:
        save(state, file)
        if state["global_step"] == 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", save_until_full)
    with pytest.raises(OSError, match=r"No space left.*step_0000004\.ckpt is whole"):
        train(small(), run.path)
    monkeypatch.undo()
    assert [p.name for p in run.checkpoint_dir.iterdir()] == ["step_0000004.ckpt"]
    assert not run.finished
    train(small(), run.path, resume=True)
    assert_same_weights(run, whole)


def cut_copy(run: Run, path: Path, kept: list[str]) -> Run:
    """A copy of a run as it would have been cut, with only these checkpoints."""
    subprocess.run(["cp", "-r", str(run.path), str(path)], check=True)
    copy = Run(path)
    copy.weights_file.unlink()
    copy.info_file.unlink()
    for checkpoint in copy.checkpoints():
        if checkpoint.name not in kept:
            checkpoint.unlink()
    return copy
