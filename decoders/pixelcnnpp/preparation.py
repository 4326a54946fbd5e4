"""The initialisation of weight-normalised convolutions from data (1701.05517; 1602.07868 §3)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.pixelcnnpp.layers import WeightNormalised

FLAT = 1e-5
"""Of its mean, the standard deviation below which a channel has none but of rounding."""


@contextmanager
def initialising(convolutions: Iterable[WeightNormalised]) -> Iterator[None]:
    """Within, a convolution that is called sets its gain and bias by what it is given.

    So a forward initialises them one by one, each on what those before it give once they are
    initialised. A `dropout` among them draws by a generator of its own.
    """
    hooks = [layer.register_forward_pre_hook(_initialise) for layer in convolutions]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def draws_apart(device: torch.device) -> Iterator[None]:
    """Within, random numbers are those of a seed of its own; afterwards, what they would be."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        # Not `torch.manual_seed`, which would seed the devices that are not restored, too.
        torch.default_generator.manual_seed(0)
        for cuda in devices:
            with torch.cuda.device(cuda):
                torch.cuda.manual_seed(0)
        yield


def _initialise(layer: Any, inputs: tuple[Tensor]) -> None:
    """Give each output mean 0 and the standard deviation `init_scale`, over images and positions.

    An output that does not vary keeps the gain that it is built with.
    """
    layer.gain.fill_(layer.init_scale)
    layer.bias.zero_()
    output = layer.forward(*inputs)
    mean = output.mean((0, 2, 3))
    deviation = (output - mean[:, None, None]).square().mean((0, 2, 3)).sqrt()
    factor = torch.where(deviation > FLAT * mean.abs(), layer.init_scale / deviation, 1.0)
    layer.gain.mul_(factor)
    layer.bias.copy_(-mean * factor)
