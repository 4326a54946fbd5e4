"""Usable information: the bits that h saves a decoder, and how sure their mean is.

With a decoder q(x|h) trained with h and a null q(x) trained without, on the same images by the same
budget, the mean of log₂ q(x|h) − log₂ q(x) over held-out images estimates CE(x) − CE(x|h): the
information in h that decoders of this family and budget can use (Xu et al. 2020, arXiv:2002.10689).
It is not the mutual information, nor a bound of it:

    CE(x) − CE(x|h) = I(x; h) + KL(p(x) ‖ q(x)) − E KL(p(x|h) ‖ q(x|h))

and either divergence may be the larger. For a deterministic encoder I(x; h) is H(h), which says
nothing of what h is good for. Rankings by this number rank usable bits.

The null here is the same decoder given h = 0 for every image. An unconditional decoder lacks the
conditioning's map too, which tells positions apart even where h says nothing; what that is worth
would be counted for h.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from repr_toolkit.support.stats import Number, bootstrap

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Usable:
    """Bits that are saved on each held-out image, by one pair of trainings a seed.

    `saved` is float64 (S, N): S seeds, each with a decoder with h and its null, and the same N
    images for all; or (N,) for one pair. A difference of two such numbers on the same images is
    one again: `Usable(a.saved - b.saved)`.

    Raises ValueError for fewer than two images.
    """

    saved: Floats
    resampling_seed: int = 0

    def __post_init__(self) -> None:
        saved = np.atleast_2d(np.asarray(self.saved, np.float64))
        if saved.ndim != 2 or saved.shape[1] < 2:
            raise ValueError(f"saved is (seeds, images), two images or more, not {saved.shape}")
        object.__setattr__(self, "saved", saved)

    @cached_property
    def bits(self) -> Number:
        """The mean over images and seeds, in bits an image; see `bootstrap`.

        No interval has what both trainings miss alike.
        """
        return bootstrap(self.saved, seed=self.resampling_seed)

    @property
    def mean(self) -> float:
        """The value of `bits`."""
        return float(self.saved.mean())

    @property
    def of_seeds(self) -> list[float]:
        """The mean over images of each seed."""
        return [float(mean) for mean in self.saved.mean(1)]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: bits an image with their interval, and the mean of each seed."""
        return {"bits": self.bits.as_dict(), "of_seeds": self.of_seeds}
