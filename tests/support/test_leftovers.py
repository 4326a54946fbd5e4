"""What a killed process left is removed by the next one that writes there."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from repr_toolkit.data import load_data
from repr_toolkit.data.cache import Contents, cached
from repr_toolkit.runs.run import Run, with_fingerprint
from repr_toolkit.support.caches import cache_folder
from repr_toolkit.support.files import atomic_write
from repr_toolkit.support.leftovers import remove_leftovers
from repr_toolkit.training.train import train
from toys.processes import own_environment
from toys.runs import small

HOST = socket.gethostname().replace(".", "-")


@pytest.fixture(scope="module")
def gone() -> int:
    """The number of a process that is no more, on this host."""
    process = subprocess.Popen([sys.executable, "-c", ""], env=own_environment())
    process.wait()
    return process.pid


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writing_a_file_removes_what_is_left_of_it(tmp_path: Path, gone: int) -> None:
    alive = os.getppid()
    kept = [
        f".b.png.{HOST}.{gone}.tmp",
        f".figure.png.{HOST}.{alive}.tmp",
        f".figure.png.{HOST}x.{gone}.tmp",  # another host's, which may be at work
        f".figure.png.{gone}.tmp",
        ".figure.png.note",
    ]
    for name in (f".figure.png.{HOST}.{gone}.tmp", *kept):
        (tmp_path / name).touch()
    with atomic_write(tmp_path / "figure.png") as file:
        file.write(b"new")
    assert names(tmp_path) == [*sorted(kept), "figure.png"]


def test_what_cannot_be_deleted_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / f".a.{HOST}.{gone}.tmp").touch()
    (tmp_path / f".b.{HOST}.{gone}.tmp").mkdir()
    monkeypatch.setattr(os, "unlink", refuse)
    monkeypatch.setattr(os, "rmdir", refuse)
    remove_leftovers(tmp_path, ".*.tmp")
    remove_leftovers(tmp_path / "nowhere", ".*.tmp")
    assert len(names(tmp_path)) == 2


def test_training_does_so_with_all_of_a_run(tmp_path: Path, gone: int) -> None:
    for process in (gone, os.getpid()):  # a container gives the same number again
        (tmp_path / f".run.{HOST}.{process}.tmp").mkdir()
        (tmp_path / f".run.{HOST}.{process}.tmp" / "config.yaml").touch()
    config = with_fingerprint(small(training__steps=4), load_data("digits"))
    run = Run.create(tmp_path / "run", config)
    assert names(tmp_path) == ["run"]
    run.checkpoint_dir.mkdir()
    (run.checkpoint_dir / f".step_0000004.ckpt.{HOST}.{gone}.tmp").touch()
    train(config, run.path, resume=True)
    assert not [*run.path.rglob(".*.tmp")]


def test_preparing_data_does_so_with_other_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: int
) -> None:
    monkeypatch.setenv("REPR_TOOLKIT_CACHE", str(tmp_path))
    folder = cache_folder() / "data"
    (folder / f".celeba-1234.abc.{HOST}.{gone}.tmp").mkdir(parents=True)

    def build(unfinished: Path) -> Contents:
        (name,) = names(folder)
        assert name == unfinished.name
        assert name.endswith(f".{HOST}.{os.getpid()}.tmp")
        np.save(unfinished / "image.npy", np.zeros((3, 1, 2, 2), np.uint8))
        return Contents({s: np.array([i]) for i, s in enumerate(("train", "val", "test"))})

    cached("toy", "key", build)
    assert len(names(folder)) == 1
