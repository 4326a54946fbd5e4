"""Lower bounds of the mutual information that one conditional network gives on held-out images."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import log2
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.classification.bayes import Classification
from repr_toolkit.analyses.information.code_lengths import image_bits
from repr_toolkit.data import ImageSplit
from repr_toolkit.support.stats import LEAST_UNITS, Groups, Number, Units, mean

if TYPE_CHECKING:
    from repr_toolkit.models.autoencoder import EncoderDecoder

Floats = npt.NDArray[np.float64]

SATURATED = 0.95  # of the most that a bound can reach


@dataclass(frozen=True, eq=False)
class Bound:
    """A lower bound of I(x; h), estimated on held-out images.

    `values` are draws whose expectation the bound is, (R, G), those of a replicate independent of
    each other, or (G,): the estimate is their mean, which may lie above I(x; h) by chance.
    `ceiling` is the most that it can be, in bits, `images` how many it was measured on, `what` says
    which bound, `over` what the draws are of, `groups` which of them belong together, and `least`
    how many of them give an interval.
    """

    values: Floats
    ceiling: float
    images: int
    what: str
    over: str = "images"
    groups: Groups | None = None
    least: int = LEAST_UNITS

    @cached_property
    def bits(self) -> Number:
        """The estimate of the bound (not of the information), with Student's interval of it.

        That of one replicate's error: the mean of several is known better, but they share people.
        The interval ends at the ceiling, which the bound cannot exceed.
        """
        replicates = np.atleast_2d(self.values)
        errors = [mean(v, self.groups, self.over, self.least).error or 0 for v in replicates]
        units = Units.of(replicates.shape[1], self.groups, self.over)
        error = float(np.sqrt(np.mean(np.square(errors))))
        number = units.student(float(replicates.mean()), error, self.least)
        if number.high is None:
            return number
        high = min(number.high, max(self.ceiling, number.value))
        how = f"{number.how}; leaves out training seeds"
        return replace(number, high=high, how=how, error=None)

    @property
    def saturated(self) -> bool:
        """Whether the bound is so near its ceiling that it says little more than the ceiling."""
        return self.bits.value >= SATURATED * self.ceiling

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "what": self.what,
            "bits": self.bits.as_dict(),
            "ceiling": self.ceiling,
            "saturated": self.saturated,
            "images": self.images,
        }


def candidate_bound(
    model: "EncoderDecoder",
    split: ImageSplit,
    h: Tensor,
    *,
    candidates: int = 16,
    images: int = 512,
    seed: int = 0,
    **options: Any,
) -> Bound:
    """E log₂ [q(x|h) / mean_j q(x|h_j)] over M candidates, the image's own h among them.

    For images drawn independently this is at most I(x; h), whatever q, and at most log₂ M (van den
    Oord et al. 2018, arXiv:1807.03748; Poole et al. 2019, arXiv:1905.06922, Eq. 12). About
    `images` of the split, drawn by `seed`, are parted into groups of M = `candidates`; the
    candidates of an image are the h of its group, `h` (N, h_dim) being those of the split, those
    that are equal to its own among them, as they come: without them it would be no bound.
    Groups are independent, so that the draws are the groups' means: M likelihoods an image. Where
    several images are of one person or photograph, each replicate draws one of each anew, and there
    are as many replicates as make about `images`. `options` are those of `log_likelihoods`.

    Raises ValueError for fewer than two candidates, and where there are no two groups of them.
    """
    if candidates < 2:
        raise ValueError(f"a bound needs at least two candidates, not {candidates}")
    codes, over = split.groups() or (np.arange(len(split)), "images")
    count = min(images, len(np.unique(codes)))
    groups = count // candidates
    if groups < 2:
        raise ValueError(
            f"{count} {over} make no two groups of {candidates} candidates; take at most "
            f"{count // 2}"
        )
    draw = torch.Generator().manual_seed(seed)
    replicates = max(1, images // count) if count < len(split) and over != "images" else 1
    members = torch.cat(
        [
            _one_each(torch.randperm(len(split), generator=draw), codes)[: groups * candidates]
            for _ in range(replicates)
        ]
    ).reshape(replicates * groups, candidates)
    bits = image_bits(
        model,
        split,
        [h[members.roll(shift, 1).flatten()] for shift in range(candidates)],
        indices=members.flatten().tolist(),
        **options,
    )
    values = own_over_mean(-bits).reshape(replicates, groups, candidates).mean(2)
    what = f"log₂ q(x|h) − log₂ of its mean over the h of {candidates} images"
    each = f"groups of {candidates} {over}"
    if over != "images":
        each += f", an image each, drawn anew {replicates} times"
    # A draw is the mean of many images, and so hardly skewed: two give an interval that holds.
    values = values if replicates > 1 else values[0]
    return Bound(values, log2(candidates), len(members.unique()), what, each, least=2)


def most_candidates(split: ImageSplit, wanted: int) -> int:
    """At most `wanted` candidates, of which the split has two groups; fewer than 2 are no bound."""
    codes = split.groups()
    return min(wanted, (len(split) if codes is None else len(np.unique(codes[0]))) // 2)


def _one_each(order: Tensor, codes: npt.NDArray[np.integer[Any]]) -> Tensor:
    """The first image of each group in an order of all images, in this order."""
    first = np.unique(codes[order.numpy()], return_index=True)[1]
    return order[torch.from_numpy(np.sort(first))]


def own_over_mean(log2_likelihood: Floats) -> Floats:
    """log₂ q(x|h_0) − log₂ mean_j q(x|h_j), (n,), of log₂ q(x|h_j), (M, n).

    Exactly 0 where all M are equal.
    """
    highest = log2_likelihood.max(0)
    mean = np.exp2(log2_likelihood - highest).mean(0)
    own: Floats = log2_likelihood[0] - highest - np.log2(mean)
    return own


def label_bound(classified: Classification) -> Bound:
    """E[log₂ q(x|y) − log₂ Σ_y p(y) q(x|y)] ≤ I(x; y), for a model conditional on labels.

    See `Classification.information_bits`. Its ceiling is H(y).
    """
    values = classified.information_bits
    kind = "log₂ q(x|y) − log₂ Σ p(y) q(x|y) over labels y"
    return Bound(values, classified.prior_entropy, len(values), kind, groups=classified.groups)
