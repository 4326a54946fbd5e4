"""PixelCNN++: samples beside the naive engine's, as published, and training beside the usual way.

2 blocks × 40 features, 32×32 RGB, 10 mixtures. The fast sampler of 2017, a cache of states in
TensorFlow 1, was published with its speed-up over a forward for each pixel, which is what naive
does here: 1,024 forwards for an image.
"""

from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.agreement import agreement, in_words
from benchmarks.ceilings import Ceilings
from benchmarks.results import Results, compared
from benchmarks.sampling import FORWARD, NAIVE, SHAPE, SLOW, STEPS, Draws, working
from benchmarks.table import number, spread
from benchmarks.timing import Comparison, alternate
from benchmarks.training import (
    BATCH,
    EAGER,
    RECIPE_SIDE,
    USUAL,
    Steps,
    Way,
    adam,
    compare,
    patches,
    training,
)
from repr_toolkit.config.recipe import load_recipe, variants
from repr_toolkit.decoders import PixelCNNpp

PIXELS = 32 * 32
PUBLISHED = {1: 2, 2: 4, 4: 6, 8: 10, 16: 18, 32: 33, 64: 61, 128: 109, 256: 183}
"""By images drawn at once, how many times as fast as a forward for each pixel: published."""
TRAINED_STEPS = 20
DECODER: dict[str, Any] = {
    "model.decoder": {
        "class_path": "repr_toolkit.decoders.PixelCNNpp",
        "init_args": {"features": 40, "blocks": 2, "dropout": 0.0},
    },
    **adam(1e-3),
}
EAGER_SIDE = "eager fp32"
VARYING = ("model.decoder", "training.optimizer", "training.compile")
"""What a step takes from the variants of `pixelcnnpp_photos`."""
SIDES = {
    EAGER_SIDE: Way({**DECODER, **USUAL}, keep_memory=False, in_parts=False),
    RECIPE_SIDE: Way(DECODER),
}


def run(rounds: int, ceilings: Ceilings, steps: int = 10) -> Results:
    """Samples at four sizes of a batch, agreement with the forward, and training steps."""
    net, images = trained_model()
    forward, step = flops(net)
    results = Results()
    for batch in (16, 1, 64, 256):
        few = min(rounds, 2) if batch > 64 else rounds
        results.add(sampling(net, batch, few, batch * forward, ceilings))
    u = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    found = agreement(net, images, None, u, "cached")
    results.remarks.append(f"PixelCNN++, {in_words('cached', found)}")
    work = f"training PixelCNN++ at batch {BATCH}, seconds a step"
    results.add(compare(work, SIDES, rounds, ceilings, steps, BATCH * step))
    return results


def networks(rounds: int, steps: int = 5) -> Results:
    """CPU-seconds a step of the networks of `pixelcnnpp_photos`: equal time, as it claims."""
    ways = {
        name: Way({key: own[key.partition(".")[0]][key.partition(".")[2]] for key in VARYING})
        for name, own in variants(load_recipe("pixelcnnpp_photos")).items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with training(ways, steps * (rounds + 1)) as sides:
        for turn in range(rounds + 1):
            for name, side in sides.items():
                spent = side.block(steps) / steps
                if turn:  # the first one warms up
                    seconds[name].append(spent)
    work = "training of pixelcnnpp_photos, CPU-seconds a step"
    return Results(compared(Comparison(work, seconds, 0.0), "pixelcnnpp").rows)


def sampling(net: PixelCNNpp, batch: int, rounds: int, flops: float, ceilings: Ceilings) -> Results:
    """Images by the engines that compute nothing twice, and of 16 by the naive one."""
    engines = [e for e in working(net) if e not in SLOW or (e == "naive" and batch == 16)]
    comparison = alternate(
        f"PixelCNN++, sampling {batch} image{'s' * (batch > 1)}, seconds",
        Draws(net, batch, engines).sides,
        rounds=rounds,
        scale={NAIVE: PIXELS / STEPS},
    )
    results = compared(comparison, FORWARD, flops=flops, ceiling=lambda _: ceilings.of("fp32"))
    for engine in engines:
        if engine not in SLOW:
            times = [PIXELS / ratio for ratio in comparison.ratios(engine, FORWARD)]
            results.remarks.append(
                f"PixelCNN++, {batch} at once: {engine} is {number(median(times))} × "
                f"({spread(times)}) as fast as {PIXELS:,} forwards; published {PUBLISHED[batch]} ×"
            )
    return results


def trained_model() -> tuple[PixelCNNpp, Tensor]:
    """The model after a few steps on photographs, and 16 patches of them."""
    data, images = patches(TRAINED_STEPS)
    steps = Steps(Way({**DECODER, **EAGER}), data, images)
    steps.block(TRAINED_STEPS)
    net = steps.model.decoder
    assert isinstance(net, PixelCNNpp)
    return net.eval(), images[:BATCH]


def flops(net: PixelCNNpp) -> tuple[float, float]:
    """The operations of an image's forward and of its part in a training step, as torch counts."""
    x = torch.zeros(1, *SHAPE, dtype=torch.uint8, device=next(net.parameters()).device)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        net.params(x)
    with FlopCounterMode(display=False) as step:
        net.loss(x).backward()
    net.zero_grad()
    return forward.get_total_flops(), step.get_total_flops()
