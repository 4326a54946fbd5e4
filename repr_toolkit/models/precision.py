"""Full precision for measurements, whatever the precision of training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from repr_toolkit import decoders
from repr_toolkit.support.processes import CPU, fastest_device


@contextmanager
def exactly() -> Iterator[None]:
    """No gradients, no autocast and no TF32, on the CPU and on this process's CUDA device."""
    device = fastest_device()
    with torch.inference_mode(), decoders.full_precision(device), decoders.full_precision(CPU):
        yield
