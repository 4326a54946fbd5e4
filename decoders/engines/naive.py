"""The reference engine: a full forward for every sub-pixel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.engines.draw import Draw


def sample(model: Any, draw: Draw, steps: int | None = None) -> Tensor:
    """Draw uint8 images (B, C, H, W).

    Serves every autoregressive model and is what the faster engines are held against. With
    `steps`, only that many sub-pixels are drawn, spread evenly over the image and the others left
    at 0, which is how its cost is estimated.
    """
    channels, height, width = draw.noise.shape[1:]
    x = torch.zeros(draw.noise.shape, dtype=torch.uint8, device=draw.noise.device)
    every = channels * height * width
    chosen = range(every) if steps is None else [i * every // steps for i in range(steps)]
    for done, step in enumerate(chosen, 1):
        pixel, c = divmod(step, channels)
        at = (slice(None), c, pixel // width, pixel % width)
        x[at] = draw.level(model.likelihood, model.params(x, draw.h)[at], at).to(torch.uint8)
        draw.progress(done / len(chosen))
    return x
