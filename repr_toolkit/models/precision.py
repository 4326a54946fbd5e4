"""Full precision for what is measured, whatever a model was trained in."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from repr_toolkit import decoders
from repr_toolkit.support.processes import CPU, fastest_device


@contextmanager
def exactly() -> Iterator[None]:
    """No gradients, no autocast, no TF32: results in the full precision of the weights."""
    device = fastest_device()
    with torch.inference_mode(), decoders.full_precision(device), decoders.full_precision(CPU):
        yield
