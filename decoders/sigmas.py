"""A σ for each of many groups of sub-pixels, fitted by maximum likelihood."""

from collections.abc import Callable, Sequence
from math import log

import torch
from torch import Tensor

from repr_toolkit.decoders.likelihoods import DiscretizedGaussian

LEAST_SIGMA = 0.01
GREATEST_SIGMA = 16  # times the levels: there the two edge levels have nearly a half each
STEP = log(2)  # of log σ
ZOOMS = 6  # halvings of the step


def fit_sigmas(
    likelihood: DiscretizedGaussian,
    pairs: Sequence[tuple[Tensor, Tensor]],
    groups: int,
    group_of: Callable[[Tensor], Tensor],
    one: Tensor,
) -> Tensor:
    """σ of each group, (groups,), that makes images x likely under predicted means.

    `pairs` are (x uint8, mean), (B, C, H, W) each; `group_of` maps means to the int64 groups of
    their sub-pixels, (B, C, H, W). Each group also has one made-up sub-pixel that lies `one`, the σ
    of all, from its mean: a group of images that are all alike there would else have a σ that
    costs another image without end. Searched from `LEAST_SIGMA` to `GREATEST_SIGMA` times the
    levels, to 1 %.
    """
    least, greatest = log(LEAST_SIGMA), log(GREATEST_SIGMA * likelihood.levels)

    def log_prob(log_sigma: Tensor) -> Tensor:  # (groups,) to (groups,)
        sigma = log_sigma.exp()
        total = -log_sigma - (one / sigma).square() / 2
        for x, mean in pairs:
            group = group_of(mean)
            terms = likelihood.log_prob(mean, sigma[group], x.to(mean.dtype))
            total = total.index_add(0, group.flatten(), terms.flatten())
        return total

    coarse = torch.arange(least, greatest, STEP).to(one)
    values = torch.stack([log_prob(at.expand(groups)) for at in coarse])
    best, highest = coarse[values.argmax(0)], values.amax(0)
    step = STEP
    for _ in range(ZOOMS):
        step /= 2
        for side in (best - step, best + step):
            value = log_prob(side.clamp(least, greatest))
            better = value > highest
            best = torch.where(better, side.clamp(least, greatest), best)
            highest = torch.maximum(highest, value)
    return best.exp()
