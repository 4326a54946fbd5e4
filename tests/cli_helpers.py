"""What the tests of the command line share: a tiny recipe, and the command in a new process."""

import os
import subprocess
import sys
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
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "repr_toolkit", *argv]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
