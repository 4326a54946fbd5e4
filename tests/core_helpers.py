"""Small configurations that several test modules train, and what they ask of the runs."""

import csv
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from repr_toolkit.config.recipe import apply_settings, complete
from repr_toolkit.runs.run import Run

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def small(**settings: Any) -> dict[str, Any]:
    """A plug-in autoencoder on the 8×8 digits, a second to train; double underscores are dots."""
    config = complete(
        {
            "data": {"source": "digits", "batch_size": 16},
            "model": {
                "encoder": {"class_path": "plugin_models.ChannelMean", "init_args": {"h_dim": 3}},
                "decoder": {
                    "class_path": "plugin_models.Independent",
                    "init_args": {"dropout": 0.2},
                },
            },
            "training": {
                "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.05}},
                "schedule": "cosine",
                "warmup": 2,
                "steps": 12,
                "validate_every": 4,
                "ema_decay": 0.9,
            },
            "trainer": {"accelerator": "cpu", "devices": 1, "gradient_clip_val": 1.0},
        }
    )
    return apply_settings(config, {k.replace("__", "."): v for k, v in settings.items()})


def own_environment(**more: str) -> dict[str, str]:
    """The environment of a process that imports this checkout and the test plug-ins."""
    here = Path(__file__).parent
    threads = {"OMP_NUM_THREADS": "1"}
    return {**os.environ, **threads, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}", **more}


def metrics(run: Run) -> list[dict[str, str]]:
    """The rows of metrics.csv without what depends on the clock."""
    with run.metrics_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["train/images_per_second"]
    return rows


def assert_same_weights(one: Run, other: Run) -> None:
    """Bit for bit."""
    a, b = load_file(one.weights_file), load_file(other.weights_file)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
