"""Small configurations that several test modules train."""

import os
from pathlib import Path
from typing import Any

from repr_toolkit.config import apply_settings, complete


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
