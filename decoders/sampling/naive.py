"""The reference engine: a full forward for every sub-pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from repr_toolkit.decoders.sampling.progress import Progress, silent

if TYPE_CHECKING:
    from repr_toolkit.decoders.base import AutoregressiveDecoder


def sample_naive(
    model: AutoregressiveDecoder,
    h: Tensor | None,
    noise: Tensor,
    temperature: float,
    known: Tensor | None = None,
    mask: Tensor | None = None,
    progress: Progress = silent,
    steps: int | None = None,
) -> Tensor:
    """Draw uint8 images (B, C, H, W) for h (B, h_dim) and uniform noise (B, C, H, W).

    Serves every autoregressive model and is what the faster engines are held against. `known`
    (B, C, H, W) stays where `mask` is True. With `steps`, only that many sub-pixels are drawn,
    spread evenly over the image and the others left at 0, which is how its cost is estimated.
    """
    channels, height, width = noise.shape[1:]
    x = torch.zeros(noise.shape, dtype=torch.uint8, device=noise.device)
    every = channels * height * width
    chosen = range(every) if steps is None else [i * every // steps for i in range(steps)]
    for done, step in enumerate(chosen, 1):
        pixel, c = divmod(step, channels)
        at = (slice(None), c, pixel // width, pixel % width)
        level = model.likelihood.draw(model.params(x, h)[at], noise[at], temperature)
        level = level.to(torch.uint8)
        x[at] = level if known is None or mask is None else torch.where(mask[at], known[at], level)
        progress(done / len(chosen))
    return x
