"""What the tests of the command line share: a tiny recipe, and the command in a new process."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

TINY = {
    "about": {"what": "two steps on digits"},
    "data": {"source": "digits", "batch_size": 8},
    "model": {
        "encoder": {
            "class_path": "repr_toolkit.encoders.ConvBottleneck",
            "init_args": {"h_dim": 2, "features": 4},
        },
        "decoder": {
            "class_path": "repr_toolkit.decoders.GatedPixelCNN",
            "init_args": {"features": 4, "layers": 2},
        },
    },
    "training": {"steps": 2, "validate_every": 2},
}


def in_subprocess(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    with started(*argv, cwd=cwd) as process:
        out, error = process.communicate()
    return subprocess.CompletedProcess(argv, process.returncode, out, error)


def started(*argv: str, cwd: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "repr_toolkit", *argv],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: "subprocess.Popen[str]", file: Path) -> None:
    """Until a file appears that the process writes."""
    deadline = time.monotonic() + 120
    while not file.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
