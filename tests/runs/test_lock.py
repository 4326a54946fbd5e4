"""One run, one writer: who comes second is told who is training there."""

import os
from fcntl import LOCK_SH, flock
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from repr_toolkit.runs.lock import FILE, in_training, sole_trainer
from repr_toolkit.runs.run import Run
from repr_toolkit.study import run_study
from repr_toolkit.training import train as training
from repr_toolkit.training.train import train
from toys.runs import TINY, small

BUSY = rf"is being trained by process {os.getpid()} on \S+ since \d{{4}}-.*choose another run_dir"


@pytest.mark.parametrize("resume", [False, True])
def test_who_comes_second_is_told_who_is_training(tmp_path: Path, resume: bool) -> None:
    run = train(small(), tmp_path / "run")
    run.weights_file.unlink()
    before = run.checkpoints()[-1].stat().st_mtime_ns
    with sole_trainer(run.path), pytest.raises(BlockingIOError, match=BUSY):
        train(small(), run.path, resume=resume)
    assert run.checkpoints()[-1].stat().st_mtime_ns == before
    train(small(), run.path, resume=True)  # free again


@pytest.mark.parametrize("resume", [False, True])
def test_of_two_that_start_at_once_one_makes_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    """The other one is as far as it can be before a file is written."""
    build = training.Fitting

    def overtaken(*arguments: Any) -> training.Fitting:
        monkeypatch.setattr(training, "Fitting", build)
        train(small(seed=1), tmp_path / "run")
        return build(*arguments)

    monkeypatch.setattr(training, "Fitting", overtaken)
    with pytest.raises(FileExistsError, match="exists already"):
        train(small(seed=2), tmp_path / "run", resume=resume)
    assert Run(tmp_path / "run").config["seed"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_study_too(tmp_path: Path) -> None:
    study = {**TINY, "study": {"short": {}, "long": {"model.encoder.init_args.h_dim": 4}}}
    run_study(study, tmp_path / "both")
    with sole_trainer(tmp_path / "both"), pytest.raises(BlockingIOError, match=BUSY):
        run_study(study, tmp_path / "both")
    with pytest.raises(ValueError, match=r"training\.warmup"):
        run_study({**study, "training": {"warmup": -1}}, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_who_looks_whether_somebody_trains_keeps_nobody_out(tmp_path: Path) -> None:
    assert in_training(tmp_path) == ""
    (tmp_path / FILE).touch()
    looking = os.open(tmp_path / FILE, os.O_RDONLY)  # as `is_locked` does, for an instant
    flock(looking, LOCK_SH)
    Timer(0.03, os.close, [looking]).start()
    with sole_trainer(tmp_path):
        assert in_training(tmp_path).startswith(f"process {os.getpid()} on ")
    assert in_training(tmp_path) == ""
