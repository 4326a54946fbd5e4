"""Likelihood evaluation, as `repr-toolkit evaluate` does it, against forwards alone."""

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.ceilings import Ceilings
from benchmarks.flops import forward_flops
from benchmarks.results import Results, compared
from benchmarks.sampling import SHAPE, model
from benchmarks.timing import alternate
from repr_toolkit.data import ImageSplit
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.bits import bits_per_dim, likelihood_batch

IMAGES = 128
BITS, FORWARDS = "bits_per_dim", "forwards alone"


Sides = dict[str, Callable[[], object]]


def sides(net: GatedPixelCNN) -> tuple[Sides, int]:
    """Bits/dim of images in memory, and their forwards alone; and how many a batch has.

    The batches of the one are computed side by side, a thread each, and threads share the
    operations of the other.
    """
    whole = EncoderDecoder(None, net).eval().to(next(net.parameters()).device)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, *SHAPE), dtype=np.uint8)
    split = ImageSplit({"image": images}, np.arange(IMAGES), 256)
    size = likelihood_batch(whole, 256)
    batches = torch.from_numpy(images).to(whole.device).split(size)

    @torch.inference_mode()
    def forwards() -> None:
        for batch in batches:
            net.params(batch)

    return {BITS: lambda: bits_per_dim(whole, split), FORWARDS: forwards}, size


def run(rounds: int, ceilings: Ceilings) -> Results:
    """Seconds of both sides."""
    net = model()
    calls, size = sides(net)
    comparison = alternate(f"evaluation of {IMAGES} images, seconds", calls, rounds=rounds)
    results = compared(
        comparison,
        FORWARDS,
        flops=IMAGES * forward_flops(net),
        ceiling=lambda _: ceilings.of("fp32"),
    )
    rate = IMAGES / comparison.median(BITS)
    results.remarks.append(f"evaluation: {rate:.0f} images/s, {size} at a time")
    return results
