"""The processes that train a model together, and their devices."""

from os import environ

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only

CPU = torch.device("cpu")

first_process_only = rank_zero_only
"""A decorator: the function runs on the first process and returns None on the others."""


def first_process() -> bool:
    """Whether this is the first process, or the only one.

    The node's rank counts too: before the Trainer exists, the first process of a second node that
    somebody started by hand does not know its own rank.
    """
    node = int(environ.get("NODE_RANK") or environ.get("GROUP_RANK") or 0)
    return node == 0 and bool(rank_zero_only(lambda: True, False)())


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
