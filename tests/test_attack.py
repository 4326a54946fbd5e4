"""A small part of `python -m tests.attack`, and that it sees what is wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from attack import attempts, mutations


def test_a_few_changes_of_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPR_TOOLKIT_CACHE", str(tmp_path / "digits"))
    every = mutations.all_kinds(tmp_path)
    assert [*mutations.mutations(every, tmp_path, 12, seed=1)] == []


def fails() -> str:
    raise ValueError("something is wrong")


def recurses() -> str:
    return recurses()


@pytest.mark.parametrize(
    ("read", "verdict"),
    [
        (lambda: "right", "the same"),
        (lambda: "wrong", "silently other"),
        (lambda: print("a.npz is old", file=sys.stderr) or "wrong", "told"),
        (fails, "file not named"),
        (lambda: {}["a"], "traceback"),
        (lambda: os.kill(os.getpid(), 9), "died"),
        (lambda: attempts.time.sleep(60), "hang"),
        (lambda: str(bytearray(9 << 30)), "file not named"),  # a MemoryError
        (lambda: str(os.system("true")), "code ran"),
        (lambda: str(Path("code_ran").touch()), "code ran"),
        (lambda: str(subprocess.run(["true"])), "code ran"),
    ],
)
def test_what_an_attempt_comes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[], str], verdict: str
) -> None:
    monkeypatch.setattr(attempts, "SECONDS", 5)
    assert attempts.attempt(read, tmp_path, r"a\.npz", "right").verdict == verdict
