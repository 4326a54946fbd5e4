"""Streams of random numbers for initial weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def apart() -> Iterator[None]:
    """Draw what follows by a seed of its own: weights whose number depends on h.

    The seed is what torch's generator would give next, and the generator stays where it is, so that
    all other weights of a decoder start alike whatever the size of h, and without any h.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, ())))
        yield
