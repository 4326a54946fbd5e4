"""The fixed-point engine: all sub-pixels at once, again and again until none changes.

With the noise fixed, an image x is the sample if x = draw(params(x, h), noise). In every iteration
x ← draw(params(x, h), noise) at least one more sub-pixel comes to stay, in the order of
generation, and usually far more do, since few depend on the exact levels of all before them.

Song et al. 2021, "Accelerating Feedforward Computation via Parallel Nonlinear Equation Solving"
(arXiv:2002.03629); Wiggers and Hoogeboom 2020, "Predictive Sampling with Forecasting
Autoregressive Models" (arXiv:2002.09928).
"""

from __future__ import annotations

from dataclasses import dataclass
from logging import getLogger
from math import prod
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.engines.draw import Draw

log = getLogger("repr_toolkit.sampling")


@dataclass
class FixedPoint:
    """Images, and what they cost."""

    images: Tensor
    """uint8 (B, C, H, W)"""
    forwards: Tensor
    """int64 (B): the forwards that each image took part in; their maximum is how many there were"""


def sample(model: Any, draw: Draw) -> Tensor:
    """Draw uint8 images (B, C, H, W)."""
    return solve(model, draw).images


def solve(model: Any, draw: Draw) -> FixedPoint:
    """Draw images, and count the forwards.

    Serves every autoregressive model, and takes at most C·H·W forwards. The progress is the
    fraction of sub-pixels before the first that still changes, the mean over the images.
    """
    noise, decided_by = draw.noise, draw.decided_by  # of all images, as draw comes to be of some
    every = prod(noise.shape[1:])
    place = model.order.argsort().view(noise.shape[1:])  # in the order of generation
    # The first guess is what the noise draws from a uniform distribution.
    x = draw.keep((noise * model.levels).clamp_max(model.levels - 1).to(torch.uint8))
    images = torch.empty_like(x)
    forwards = torch.zeros(len(x), dtype=torch.int64, device=noise.device)
    going = torch.arange(len(x), device=noise.device)  # the images that still change
    final = torch.zeros_like(going)  # how many of their sub-pixels are known to be right
    while len(going):
        forwards[going] += 1
        drawn = _drawn(model, draw, x, place < final[:, None, None, None])
        # Whatever stands before the first change was drawn from itself, and the first change from
        # what stands before it: both are final, one more at least than there were.
        final = torch.where(drawn != x, place, every - 1).flatten(1).amin(1) + 1
        x = drawn
        images[going] = x
        decided_by[going] = draw.decided_by.clone()
        counts = final.tolist()  # waits for the device, once an iteration
        remaining = [i for i, count in enumerate(counts) if count < every]
        if len(remaining) < len(counts):
            going, x, final = (t[remaining] for t in (going, x, final))
            draw = draw.rows(remaining)
        draw.progress((len(images) - len(counts) + sum(counts) / every) / len(images))
    log.info("fixed point after %d forwards instead of %s", int(forwards.max()), f"{every:,}")
    return FixedPoint(images, forwards)


def _drawn(model: Any, draw: Draw, x: Tensor, final: Tensor) -> Tensor:
    """What is drawn of every sub-pixel given the images x (B, C, H, W), but for the final ones.

    They stay even where rounding would move one, as it may with the size of the batch or with what
    stands after them: were it to bring one back, this might never end.
    """
    params = model.params(x, draw.h)
    if params.shape[1] == x.shape[1]:
        level = draw.level(model.likelihood, params, ...).to(torch.uint8)
        return torch.where(final, x, level)
    drawn = x.clone()
    for c in range(x.shape[1]):
        at = (slice(None), c)
        before = drawn[:, :c].movedim(1, -1).long()
        level = draw.level(model.likelihood, params[:, 0], at, before).to(torch.uint8)
        drawn[at] = torch.where(final[at], x[at], level)
    return drawn
