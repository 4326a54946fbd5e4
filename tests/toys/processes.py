"""The command and the test plug-ins in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


def own_environment(**more: str) -> dict[str, str]:
    """The environment of a process that imports this checkout and the test plug-ins."""
    return {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{ROOT}", **more}


def in_subprocess(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    with started(*argv, cwd=cwd) as process:
        out, error = process.communicate()
    return subprocess.CompletedProcess(argv, process.returncode, out, error)


def started(*argv: str, cwd: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "repr_toolkit", *argv],
        cwd=cwd,
        env=own_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
