"""σ of groups of sub-pixels, one or many, fitted by maximum likelihood."""

from collections.abc import Callable, Sequence
from math import log
from typing import NamedTuple

import torch
from torch import Tensor

from repr_toolkit.decoders.likelihoods import DiscretizedGaussian
from repr_toolkit.decoders.precision import to_float64

LEAST_SIGMA = 0.01
GREATEST_SIGMA = 16  # times the levels: there the two edge levels have nearly a half each
STEP = log(2)  # of log σ
HALVINGS = 6  # of the step, after which a parabola is laid through three points


class Sigmas(NamedTuple):
    """σ of each group, (groups,), and which are at an end of the range, bool (groups,)."""

    sigma: Tensor
    at_end: Tensor


def fit_sigmas(
    likelihood: DiscretizedGaussian,
    pairs: Sequence[tuple[Tensor, Tensor]],
    groups: int = 1,
    group_of: Callable[[Tensor], Tensor] | None = None,
    prior: Tensor | None = None,
) -> Sigmas:
    """σ of each group that makes images x most likely under predicted means.

    `pairs` are (x uint8, mean), (B, C, H, W) each; `group_of` maps means to the int64 groups of
    their sub-pixels, (B, C, H, W); None is a single group. With `prior`, a σ, each group also has a
    made-up sub-pixel that lies so far from its mean: a group of images that are all alike there
    would else have a σ that costs another image without end. Sought from `LEAST_SIGMA` to
    `GREATEST_SIGMA` times the levels, from the root of the mean squared error, which is not the
    best σ where levels are clipped, to either side until the likelihood falls; to 0.1 %.
    """
    least, greatest = log(LEAST_SIGMA), log(GREATEST_SIGMA * likelihood.levels)

    def group(mean: Tensor) -> Tensor:
        return mean.new_zeros(mean.shape, dtype=torch.long) if group_of is None else group_of(mean)

    def summed(of: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        """The sums over each group of a function of its sub-pixels' x, mean and group."""
        total = to_float64(pairs[0][1].new_zeros(groups))
        for x, mean in pairs:
            which = group(mean)
            terms = of(x.to(mean.dtype), mean, which)
            total.index_add_(0, which.flatten().to(total.device), to_float64(terms.flatten()))
        return total

    def log_prob(log_sigma: Tensor) -> Tensor:  # (groups,) to (groups,)
        sigma = log_sigma.exp()
        total = summed(lambda x, mean, at: likelihood.log_prob(mean, sigma.to(mean)[at], x))
        if prior is None:
            return total
        return total - log_sigma - (prior.to(sigma) / sigma).square() / 2

    squares, counts = (
        summed(lambda x, mean, _: (mean - x).square()),
        summed(lambda x, mean, _: torch.ones_like(mean)),
    )
    if prior is not None:
        squares, counts = squares + to_float64(prior).square(), counts + 1
    best = ((squares / counts.clamp_min(1)).clamp_min(0.01).log() / 2).clamp(least, greatest)
    highest = log_prob(best)

    def tried(at: Tensor) -> tuple[Tensor, Tensor]:
        """The values at points, and where they are new bests, which they become."""
        nonlocal best, highest
        at = at.clamp(least, greatest)
        values = log_prob(at)
        better = values > highest
        best, highest = torch.where(better, at, best), torch.where(better, values, highest)
        return values, better

    for side in (-STEP, STEP):
        moving = torch.ones_like(best, dtype=torch.bool)
        while moving.any():
            moving = tried(torch.where(moving, best + side, best))[1]
    step = STEP
    for _ in range(HALVINGS):
        step /= 2
        for side in (-step, step):
            tried(best + side)
    lower, upper = (log_prob((best + side).clamp(least, greatest)) for side in (-step, step))
    bend = 2 * highest - lower - upper
    tried(best + torch.where(bend > 0, step / 2 * (upper - lower) / bend, 0).clamp(-step, step))
    at_end = torch.minimum(best - least, greatest - best) <= 1e-3
    return Sigmas(best.exp().to(pairs[0][1]), at_end.to(pairs[0][1].device))
