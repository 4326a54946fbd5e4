"""Usable information: the bits that h saves a decoder, and how sure their mean is.

What it is, and what it is not, is the `STATEMENT`. The null is the same decoder given h = 0 of the
same dimension for every image: an unconditional decoder lacks the conditioning's map too, which
tells positions apart even where h says nothing, and one of another dimension starts from other
weights; what that is worth would be counted for h.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from repr_toolkit.support.stats import Groups, Number, mean, over_trainings

Floats = npt.NDArray[np.float64]

LEAST_SEEDS = 3
"""The fewest pairs of trainings that allow a verdict."""

STATEMENT = (
    "bits saved: the mean over held-out images of log₂ q(x|h) − log₂ q(x), the two by decoders of "
    "one kind that start from the same weights and are trained on the same images for as many "
    "steps, the null's given h = 0 of the same dimension for every image. It estimates "
    "CE(x) − CE(x|h) = I(x; h) + KL(p(x) ‖ q) − E KL(p(x|h) ‖ q(·|h)): the information in h "
    "that is *usable* by decoders of this family at this budget (Xu et al. 2020, "
    "arXiv:2002.10689), **not the mutual information, nor a bound of it**. For a deterministic "
    "encoder I(x; h) = H(h), which says nothing of what h is good for. An estimate below 0 is of "
    "the fit: a decoder could leave h aside, and this one fits worse than its null."
)


@dataclass(frozen=True, eq=False)
class Usable:
    """Bits that are saved on each held-out image, by one pair of trainings a seed.

    `saved` is float64 (S, N): S seeds, each with a decoder with h and its null, and the same N
    images for all; or (N,) for one pair. A difference of two such numbers on the same images is
    one again: `Usable(a.saved - b.saved, groups)`. `groups` says which images belong together.

    Raises ValueError for fewer than two images.
    """

    saved: Floats
    groups: Groups | None = None

    def __post_init__(self) -> None:
        saved = np.atleast_2d(np.asarray(self.saved, np.float64))
        if saved.ndim != 2 or saved.shape[1] < 2:
            raise ValueError(f"saved is (seeds, images), two images or more, not {saved.shape}")
        object.__setattr__(self, "saved", saved)

    @cached_property
    def bits(self) -> Number:
        """The mean over images and seeds, in bits an image; see `over_trainings`.

        No interval has what both trainings miss alike.
        """
        number = over_trainings(self.saved, self.groups)
        if number.low is None:
            return number
        rest = "" if len(self.saved) > 1 else " and training seeds"
        return replace(number, how=f"{number.how}; leaves out fit bias{rest}", error=None)

    @cached_property
    def over_seeds(self) -> Number | None:
        """The same mean with Student's interval over the pairs; None of fewer than `LEAST_SEEDS`.

        It knows nothing of images: it says whether other trainings would find the same on these.
        """
        if len(self.saved) < LEAST_SEEDS:
            return None
        return mean(self.saved.mean(1), over="pairs of trainings", least=LEAST_SEEDS)

    @property
    def sign(self) -> int | None:
        """1 or −1 where the interval over pairs excludes 0, 0 where it does not; or None."""
        if self.over_seeds is None:
            return None
        low, high = self.over_seeds.low, self.over_seeds.high
        assert low is not None
        assert high is not None
        return int(low > 0) - int(high < 0)

    @property
    def mean(self) -> float:
        """The value of `bits`."""
        return float(self.saved.mean())

    @property
    def of_seeds(self) -> list[float]:
        """The mean over images of each seed."""
        return [float(mean) for mean in self.saved.mean(1)]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: bits an image with their intervals, the mean of each seed, the sign."""
        over_seeds = self.over_seeds and self.over_seeds.as_dict()
        bits, of_seeds = self.bits.as_dict(), self.of_seeds
        return {"bits": bits, "of_seeds": of_seeds, "over_seeds": over_seeds, "sign": self.sign}
