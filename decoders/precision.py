"""Where exactness matters: eval mode, arithmetic in the full precision of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Without autocast, and on CUDA without TF32 in convolutions and matrix products.

    TF32 keeps 10 bits of a float32's mantissa, and convolutions use it unless told otherwise.
    """
    cudnn: Any = torch.backends.cudnn  # its settings are made at import, which types do not see
    flags = (cudnn.conv, torch.backends.cuda.matmul)
    before = [flag.fp32_precision for flag in flags]
    try:
        for flag in flags:
            flag.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for flag, precision in zip(flags, before, strict=True):
            flag.fp32_precision = precision


def to_float64(tensor: Tensor) -> Tensor:
    """A tensor in float64, on its own device unless that has none, as Apple's; then on the CPU."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode, and afterwards the mode that each part of a module had.

    Several threads may be in it at once where an outer one, entered before they started, or the
    module's own mode leaves nothing to change: then nothing is written.
    """
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def keeping_modes(module: nn.Module) -> Iterator[None]:
    """Whatever modes the parts of a module are given, and afterwards those that they had."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
