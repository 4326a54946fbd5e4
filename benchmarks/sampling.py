"""Sampling 16 images of 32×32 RGB: the cached engine against a full forward a sub-pixel."""

import time

import torch

from benchmarks.timing import Comparison, alternate
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.decoders.sampling import sample_naive

SHAPE = (3, 32, 32)
DIMS = 3 * 32 * 32
STEPS = 30
BATCH = 16


def model() -> GatedPixelCNN:
    """8 layers × 66 features, 3×3, 256 levels; unconditional."""
    torch.manual_seed(0)
    return GatedPixelCNN(SHAPE, features=66, layers=8).eval()


def run(rounds: int) -> Comparison:
    """Seconds for 16 images; naive draws 30 sub-pixels, spread over the image, and is scaled."""
    net = model()
    noise = torch.rand(BATCH, *SHAPE)

    @torch.inference_mode()
    def naive() -> None:
        sample_naive(net, None, noise, 1.0, steps=STEPS)

    @torch.inference_mode()
    def forward() -> None:
        net.params(torch.zeros(BATCH, *SHAPE, dtype=torch.uint8))

    return alternate(
        f"sampling {BATCH} images, seconds",
        {
            "naive (scaled)": naive,
            "cached": lambda: net.sample(n=BATCH, noise=noise, engine="cached"),
            "one forward": forward,
        },
        rounds=rounds,
        scale={"naive (scaled)": DIMS / STEPS},
    )


def complete_naive() -> tuple[float, bool]:
    """Seconds of one whole naive run, and whether its images are the cached engine's.

    They are, until a tie of float32 (see `Decoder.sample`).
    """
    net = model()
    noise = torch.rand(BATCH, *SHAPE)
    begin = time.perf_counter()
    naive = net.sample(n=BATCH, noise=noise, engine="naive")
    seconds = time.perf_counter() - begin
    return seconds, torch.equal(naive, net.sample(n=BATCH, noise=noise, engine="cached"))
