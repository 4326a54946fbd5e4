"""The section `trainer`: every argument of lightning.Trainer, taken or refused. No torch here."""

from collections.abc import Mapping
from copy import deepcopy
from datetime import timedelta
from difflib import get_close_matches
from re import fullmatch
from typing import Any

DEFAULTS: dict[str, Any] = {
    "accelerator": "auto",
    "strategy": "auto",
    "devices": "auto",
    "num_nodes": 1,
    "precision": None,
    "callbacks": None,
    "max_time": None,
    "log_every_n_steps": None,
    "accumulate_grad_batches": 1,
    "gradient_clip_val": None,
    "gradient_clip_algorithm": None,
    "deterministic": None,
    "benchmark": None,
    "profiler": None,
    "detect_anomaly": False,
    "sync_batchnorm": False,
}
"""What can be set, with its defaults; `callbacks` are added to the toolkit's own."""

_STEPS = "a run has training.steps steps, no more and no fewer"
_WHOLE = "numbers of a part of the images would stand where those of all are expected"
_EVERY = "training.validate_every says when"
_ORDER = "the order of the images follows from seed and step, so that a resume is exact"
_UNUSED = "training only fits and validates; `repr-toolkit evaluate` measures test images"

REFUSED = {
    "max_steps": _STEPS,
    "min_steps": _STEPS,
    "max_epochs": _STEPS,
    "min_epochs": _STEPS,
    "fast_dev_run": "training.steps and training.validate_every of 2 are as fast, and leave a run",
    "limit_train_batches": _STEPS,
    "limit_val_batches": _WHOLE,
    "limit_test_batches": _UNUSED,
    "limit_predict_batches": _UNUSED,
    "overfit_batches": _ORDER,
    "val_check_interval": _EVERY,
    "check_val_every_n_epoch": _EVERY,
    "num_sanity_val_steps": "the model is built and tried before a run's folder is made",
    "use_distributed_sampler": _ORDER,
    "reload_dataloaders_every_n_epochs": _ORDER,
    "enable_checkpointing": "a resume needs checkpoints; training.keep weights drops the last",
    "logger": "metrics.csv is always written, and --wandb (wandb=True) logs to W&B too",
    "enable_autolog_hparams": "config.yaml has the configuration, --wandb (wandb=True) logs it",
    "model_registry": "a run is a folder, and no registry of Lightning's is asked",
    "enable_progress_bar": "progress is a bar on a terminal, and lines elsewhere",
    "enable_model_summary": "training says what is trained",
    "inference_mode": "validation writes buffers, which inference mode forbids",
    "plugins": "trainer.precision and trainer.strategy choose them",
    "default_root_dir": "--runs-dir and --name (run_dir) say where the run is",
    "barebones": "it forbids checkpoints and logging, which every run has",
}
"""The other arguments of lightning.Trainer, and why they cannot be set."""

_OLD = ("limit_test_batches", "limit_predict_batches")
"""Refused, but not in the configuration of a run, which could once state them, to no effect."""


def check_trainer(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The section `trainer` as it is; ValueError, naming the argument, for one that is refused."""
    for key in raw:
        if key in REFUSED and key not in _OLD:
            raise ValueError(f"trainer.{key} cannot be set: {REFUSED[key]}")
    max_time(raw.get("max_time"))
    return deepcopy(dict(raw))


def require_known(settings: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the argument, unless all of these can be set."""
    for key in settings:
        if key in REFUSED:
            raise ValueError(f"trainer.{key} cannot be set: {REFUSED[key]}")
        if key not in DEFAULTS:
            close = get_close_matches(str(key), DEFAULTS, n=1, cutoff=0.5)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise ValueError(f"unknown key trainer.{key}: lightning.Trainer has none{hint}")


def max_time(value: Any) -> timedelta | None:
    """trainer.max_time as a time, or None without one; ValueError for what is none.

    >>> max_time("01:02:00:00"), max_time({"minutes": 90})
    (datetime.timedelta(days=1, seconds=7200), datetime.timedelta(seconds=5400))
    """
    if value is None:
        return None
    units = ("days", "hours", "minutes", "seconds")
    counts: Any = value
    if isinstance(value, str) and fullmatch(r"\d{1,4}(:\d\d){3}", value):
        counts = dict(zip(units, map(int, value.split(":")), strict=True))
    plain = isinstance(counts, Mapping) and all(
        key in units and isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n < 10**7
        for key, n in counts.items()
    )
    if not (plain and sum(counts.values()) > 0):
        raise ValueError(
            f"trainer.max_time is DD:HH:MM:SS in quotes, which YAML would take for a number, or a "
            f"mapping such as {{hours: 2}}, not {value!r}"
        )
    return timedelta(**counts)
