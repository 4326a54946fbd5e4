"""The command and the test plug-ins in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
SHARED_CASES = ROOT.parent / "shared" / "cases"
"""Inputs that once failed; they are not part of the project."""


def own_environment(**more: str) -> dict[str, str]:
    """The environment of a process that imports this checkout and the test plug-ins."""
    return {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{ROOT}", **more}


def in_subprocess(
    *argv: str, cwd: Path, code: str | None = None
) -> subprocess.CompletedProcess[str]:
    """The command, or with `code` what it does with the command line."""
    with started(*argv, cwd=cwd, code=code) as process:
        out, error = process.communicate()
    return subprocess.CompletedProcess(argv, process.returncode, out, error)


def started(*argv: str, cwd: Path, code: str | None = None) -> "subprocess.Popen[str]":
    what = ["-m", "repr_toolkit"] if code is None else ["-c", code]
    return subprocess.Popen(
        [sys.executable, *what, *argv],
        cwd=cwd,
        env=own_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
