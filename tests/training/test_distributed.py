"""Two processes train what one process trains, given the same global batches."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from repr_toolkit.runs.run import Run
from repr_toolkit.training.train import train
from toys.processes import own_environment
from toys.runs import small

SCRIPT = """
import json, sys
from repr_toolkit.training import train
config, path, resume = sys.argv[1:]
if __name__ == "__main__":
    train(json.loads(config), path, resume=bool(int(resume)))
"""


def rows(run: Run) -> list[dict[str, str]]:
    with run.metrics_file.open(newline="") as file:
        return list(csv.DictReader(file))


def test_two_processes_give_the_result_of_one(tmp_path: Path) -> None:
    """With the MSE baseline, whose σ is calibrated, and a resume in the middle."""
    settings = {
        "model__decoder": {
            "class_path": "repr_toolkit.decoders.Deconv",
            "init_args": {"features": 4},
        },
        "training__optimizer__init_args__lr": 0.003,
    }
    one = train(small(**settings), tmp_path / "one")
    two = Run(tmp_path / "two")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ddp = small(**settings, trainer__devices=2, trainer__strategy="ddp")

    def launch(resume: bool) -> str:
        command = [sys.executable, "-W", "error", str(script), json.dumps(ddp), str(two.path)]
        done = subprocess.run(
            [*command, str(int(resume))],
            env=own_environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = launch(resume=False)
    assert said.count("training ChannelMean") == 1  # by the first process only
    assert "on 2 × CPU" in said
    first = load_file(two.weights_file)
    two.weights_file.unlink()
    two.checkpoints()[-1].unlink()
    launch(resume=True)
    resumed = load_file(two.weights_file)
    expected = load_file(one.weights_file)
    for key, value in expected.items():
        torch.testing.assert_close(first[key], value, rtol=1e-3, atol=1e-5)
        assert torch.equal(first[key], resumed[key])
    for row, other in zip(rows(one), rows(two), strict=True):
        for key in (
            "step",
            "train/loss",
            "learning_rate",
            "train/bits_per_dim",
            "val/bits_per_dim",
        ):
            assert float(row[key] or 0) == pytest.approx(float(other[key] or 0), rel=1e-4)
    assert sorted(p.name for p in one.image_dir.iterdir()) == sorted(
        p.name for p in two.image_dir.iterdir()
    )
