"""Decoders with parameters that leave nothing zero."""

from copy import deepcopy
from math import prod
from typing import TypeVar

import torch

from repr_toolkit.decoders import Decoder

AnyDecoder = TypeVar("AnyDecoder", bound=Decoder)


def randomised(decoder: AnyDecoder, seed: int = 0) -> AnyDecoder:
    """A copy in float64 and eval mode with every parameter drawn from a normal distribution.

    Weights are scaled by their fan-in, so that no gate saturates until its gradient rounds to 0.
    """
    decoder = deepcopy(decoder).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in decoder.parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            fan_in = prod(parameter.shape[1:])
            parameter.copy_(drawn / fan_in**0.5 if parameter.ndim > 1 else 0.5 * drawn)
    return decoder
