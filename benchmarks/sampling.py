"""Sampling 32×32 RGB images by every engine that works here, against one forward of the batch.

One forward does all the arithmetic that sampling needs, in large operations. An engine that takes
as long loses nothing by drawing the sub-pixels in turn.
"""

import time
from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.ceilings import Ceilings
from benchmarks.flops import forward_flops, weights_read
from benchmarks.results import Results, compared
from benchmarks.timing import alternate
from benchmarks.training import EAGER, Steps, Way, patches
from repr_toolkit.decoders import AutoregressiveDecoder, GatedPixelCNN
from repr_toolkit.decoders.engines import naive
from repr_toolkit.decoders.engines.draw import Draw
from repr_toolkit.support.processes import fastest_device

SHAPE = (3, 32, 32)
DIMS = 3 * 32 * 32
STEPS = 30
"""Sub-pixels that the naive engine draws, spread over the image, before its time is scaled."""
TRAINED_STEPS = 50
SLOW = ("naive", "fixed_point")
NAIVE = "naive (scaled)"
FORWARD = "one forward"


def model() -> GatedPixelCNN:
    """8 layers × 66 features, 3×3, 256 levels; unconditional."""
    torch.manual_seed(0)
    return GatedPixelCNN(SHAPE, features=66, layers=8).eval().to(fastest_device())


def trained_model() -> GatedPixelCNN:
    """The same after a few steps on photographs.

    Only the fixed point's time depends on the weights, and strongly: if a network hardly uses its
    context, all sub-pixels are right after two or three forwards.
    """
    data, images = patches(TRAINED_STEPS)
    steps = Steps(Way(EAGER), data, images)
    steps.block(TRAINED_STEPS)
    net = model()
    net.load_state_dict(steps.model.decoder.state_dict())
    return net


def paper_model() -> GatedPixelCNN:
    """20 layers × 384 features, 5×5, 256 levels, and a head of 1,026 (the paper's has 1,024).

    Its weights are channels last, the fastest layout for torch's convolutions.
    """
    torch.manual_seed(0)
    net = GatedPixelCNN(SHAPE, features=384, layers=20, kernel_size=5, head_features=1026)
    return net.eval().to(fastest_device()).to(memory_format=torch.channels_last)


def working(net: AutoregressiveDecoder) -> list[str]:
    """The engines that can run here, slowest first."""
    return [engine for engine in net.engines if net.obstacle(engine) is None]


def run(rounds: int, ceilings: Ceilings) -> Results:
    """16 images by every engine; 1 and 64 by the fast ones."""
    net = trained_model() if "fixed_point" in GatedPixelCNN.engines else model()
    results = Results()
    for batch in (16, 1, 64):
        engines = [e for e in working(net) if batch == 16 or e not in SLOW]
        draws = Draws(net, batch, engines)
        comparison = alternate(
            f"sampling {batch} image{'s' * (batch > 1)}, seconds",
            draws.sides,
            rounds=rounds,
            scale={NAIVE: DIMS / STEPS},
        )
        results.add(
            compared(
                comparison,
                FORWARD,
                flops=batch * forward_flops(net),
                ceiling=lambda _: ceilings.of("fp32"),
            )
        )
        results.remarks += [
            f"{engine} computed {count:,} forwards for {batch} images of a model trained for "
            f"{TRAINED_STEPS} steps"
            for engine, count in draws.forwards.items()
            if count
        ]
        if batch == 1:
            read, engine = weights_read(net), engines[-1]
            speed = read / comparison.median(engine)
            results.remarks.append(
                f"one image takes {read / 1e9:.2f} GB of weights: {engine} {speed / 1e9:.0f} GB/s, "
                f"{speed / ceilings.bandwidth:.0%} of what memory gives"
            )
    return results


def paper(rounds: int, ceilings: Ceilings) -> Results:
    """16 images of the paper's model by the fastest engine; each takes half a minute a round."""
    net = paper_model()
    engine = working(net)[-1]
    if engine in (*SLOW, "cached") and fastest_device().type == "cpu":
        reason = net.obstacle("native") if "native" in net.engines else "not in this version"
        return Results(remarks=[f"paper size: left out, no native engine ({reason})"])
    # Not timed: what an engine compiles or loads once.
    GatedPixelCNN((3, 4, 4), features=3, layers=1).to(fastest_device()).sample(engine=engine)
    sides = Draws(net, 16, [engine]).sides
    comparison = alternate("paper size: 16 images, seconds", sides, rounds=rounds, warm_up=False)
    flops = 16 * forward_flops(net)
    return compared(comparison, FORWARD, flops=flops, ceiling=lambda _: ceilings.of("paper fp32"))


def complete_naive() -> tuple[float, bool]:
    """Seconds of one whole naive run, and whether the cached engine draws the same images.

    It does, unless there is a tie in float32 (see `Decoder.sample`).
    """
    net = model()
    noise = torch.rand(16, *SHAPE)
    begin = time.perf_counter()
    naive = net.sample(n=16, noise=noise, engine="naive")
    seconds = time.perf_counter() - begin
    return seconds, torch.equal(naive, net.sample(n=16, noise=noise, engine="cached"))


class Draws:
    """The engines of one model and one forward of it, as calls on the same noise."""

    def __init__(self, net: AutoregressiveDecoder, batch: int, engines: list[str]) -> None:
        self.net, self.batch = net, batch
        device, weight = fastest_device(), next(p for p in net.parameters() if p.ndim == 4)
        channels_last = weight.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.noise = torch.rand(batch, *SHAPE, device=device)
        self.zeros = torch.zeros(batch, *SHAPE, dtype=torch.uint8, device=device)
        self.zeros = self.zeros.contiguous(memory_format=layout)
        self.forwards: dict[str, int] = {}
        self.sides: dict[str, Callable[[], object]] = {}
        for engine in engines:
            if engine == "naive":
                self.sides[NAIVE] = self.naive
            else:
                self.sides[engine] = partial(self.draw, engine)
        self.sides[FORWARD] = self.forward

    @torch.inference_mode()
    def naive(self) -> None:
        naive.sample(self.net, Draw(None, self.noise), steps=STEPS)

    @torch.inference_mode()
    def forward(self) -> None:
        self.net.params(self.zeros)

    def draw(self, engine: str) -> None:
        """Draw the images, and note how many forwards of the network that took."""
        self.forwards[engine] = 0
        params = self.net.params

        def counted(x: Tensor, h: Tensor | None = None) -> Tensor:
            self.forwards[engine] += 1
            return params(x, h)

        with patch.object(self.net, "params", counted):
            self.net.sample(n=self.batch, noise=self.noise, engine=engine)
