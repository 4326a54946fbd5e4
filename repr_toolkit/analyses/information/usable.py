"""Usable information: the bits that h saves a decoder, and how sure their mean is.

What it is, and what it is not, is the `STATEMENT`. The null is the same decoder given h = 0 for
every image: an unconditional decoder lacks the conditioning's map too, which tells positions apart
even where h says nothing; what that is worth would be counted for h.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from repr_toolkit.support.stats import Number, bootstrap

Floats = npt.NDArray[np.float64]

STATEMENT = (
    "bits saved: the mean over held-out images of log₂ q(x|h) − log₂ q(x), the two by decoders of "
    "one kind, trained on the same images for as many steps, the null's given h = 0 for every "
    "image. It estimates CE(x) − CE(x|h) = I(x; h) + KL(p(x) ‖ q) − E KL(p(x|h) ‖ q(·|h)): the "
    "information in h that is *usable* by this decoder family and budget (Xu et al. 2020, "
    "arXiv:2002.10689), **not the mutual information, nor a bound of it**. For a deterministic "
    "encoder I(x; h) = H(h), which says nothing of what h is good for. Rankings rank usable bits."
)


@dataclass(frozen=True, eq=False)
class Usable:
    """Bits that are saved on each held-out image, by one pair of trainings a seed.

    `saved` is float64 (S, N): S seeds, each with a decoder with h and its null, and the same N
    images for all; or (N,) for one pair. A difference of two such numbers on the same images is
    one again: `Usable(a.saved - b.saved)`.

    Raises ValueError for fewer than two images.
    """

    saved: Floats

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
        return bootstrap(self.saved)

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
