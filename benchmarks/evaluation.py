"""Likelihood evaluation, as `repr-toolkit evaluate` does it, against forwards alone."""

import numpy as np
import torch

from benchmarks.ceilings import Ceilings
from benchmarks.flops import forward_flops
from benchmarks.results import Results, compared
from benchmarks.sampling import SHAPE, model
from benchmarks.timing import alternate
from repr_toolkit.data import ImageSplit
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.bits import bits_per_dim

IMAGES = 128
FORWARDS = "forwards alone"


def run(rounds: int, ceilings: Ceilings) -> Results:
    """Bits/dim of 128 images in memory, and their forwards alone."""
    net = model()
    whole = EncoderDecoder(None, net).eval().to(next(net.parameters()).device)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, *SHAPE), dtype=np.uint8)
    split = ImageSplit({"image": images}, np.arange(IMAGES), 256)
    sizes: list[int] = []  # of the evaluation's batches, for forwards of the same sizes
    hook = net.gated_layers()[0].register_forward_hook(
        lambda layer, x, maps: sizes.append(len(maps[0]))
    )
    bits_per_dim(whole, split)
    hook.remove()
    batches = torch.from_numpy(images).to(whole.device).split(sizes)

    @torch.inference_mode()
    def forwards() -> None:
        for batch in batches:
            net.params(batch)

    comparison = alternate(
        f"evaluation of {IMAGES} images, seconds",
        {"bits_per_dim": lambda: bits_per_dim(whole, split), FORWARDS: forwards},
        rounds=rounds,
    )
    results = compared(
        comparison,
        FORWARDS,
        flops=IMAGES * forward_flops(net),
        ceiling=lambda _: ceilings.of("fp32"),
    )
    rate = IMAGES / comparison.median("bits_per_dim")
    results.remarks.append(f"evaluation: {rate:.0f} images/s, {max(sizes)} at a time")
    return results
