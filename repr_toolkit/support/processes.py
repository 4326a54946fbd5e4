"""The processes that train a model together, and their devices."""

from collections.abc import Callable
from functools import wraps
from os import environ
from typing import ParamSpec, TypeVar

import torch
from lightning_utilities.core.rank_zero import rank_zero_only

P = ParamSpec("P")
T = TypeVar("T")

CPU = torch.device("cpu")


def first_process_only(function: Callable[P, T]) -> Callable[P, T | None]:
    """A decorator: the function runs on the first process; on the others it returns None."""

    @wraps(function)
    def on_the_first(*args: P.args, **kwargs: P.kwargs) -> T | None:
        return function(*args, **kwargs) if first_process() else None

    return on_the_first


def first_process() -> bool:
    """Whether this is the first process, or the only one.

    The node's rank counts too: before the Trainer exists, the first process of a second node that
    somebody started by hand does not know its own rank.
    """
    node = int(environ.get("NODE_RANK") or environ.get("GROUP_RANK") or 0)
    # Lightning sets it, which takes seconds to import; until then its variables say the same.
    rank = getattr(rank_zero_only, "rank", None)
    if rank is None:
        names = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
        rank = next((int(environ[name]) for name in names if name in environ), 0)
    return node == 0 and rank == 0


def place() -> tuple[int, int]:
    """This process's rank and the number of processes by torchrun or srun; else (0, 1)."""
    for rank, size in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
        if rank in environ and size in environ:
            return int(environ[rank]), int(environ[size])
    return 0, 1


def fastest_device() -> torch.device:
    """This process's CUDA device, by torchrun or srun or else the first; without CUDA the CPU."""
    if not torch.cuda.is_available():
        return CPU
    local_rank = int(environ.get("LOCAL_RANK") or environ.get("SLURM_LOCALID") or 0)
    return torch.device("cuda", local_rank % torch.cuda.device_count())
