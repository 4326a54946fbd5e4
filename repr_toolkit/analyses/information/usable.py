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

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Usable:
    """Bits that are saved on each held-out image, by one pair of trainings a seed.

    ``saved`` is float64 (S, N): S seeds, each with a decoder with h and its null, and the same N
    images for all; or (N,) for one pair. A difference of two such numbers on the same images is
    one again: ``Usable(a.saved - b.saved)``.

    Raises ValueError for fewer than two images.
    """

    saved: Floats
    resampling_seed: int = 0

    def __post_init__(self) -> None:
        saved = np.atleast_2d(np.asarray(self.saved, np.float64))
        if saved.ndim != 2 or saved.shape[1] < 2:
            raise ValueError(f"saved is (seeds, images), two images or more, not {saved.shape}")
        object.__setattr__(self, "saved", saved)

    @property
    def bits(self) -> float:
        """The mean over images and seeds, in bits an image."""
        return float(self.saved.mean())

    @property
    def of_seeds(self) -> list[float]:
        """The mean over images of each seed."""
        return [float(mean) for mean in self.saved.mean(1)]

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `bits`: bootstrap over images, Student's t over several seeds.

        The percentiles of 2,000 resamples. Images are drawn with replacement, the same ones under
        h and null and for all seeds. Of S > 1 seeds each resample's mean is moved by s/√S times a
        variate of Student's t with S − 1 degrees of freedom, s the standard deviation of their
        means: to resample so few would cover far too little (of 2 seeds their range, one half).
        One seed's interval leaves the spread between trainings out, and no interval has what both
        trainings miss alike.
        """
        from scipy.stats import t

        seeds, images = self.saved.shape
        draw = np.random.default_rng(self.resampling_seed)
        of_images = self.saved.mean(0)
        means = np.array([of_images @ weights for weights in _weights(images, draw)])
        if seeds > 1:
            error = self.saved.mean(1).std(ddof=1) / np.sqrt(seeds)
            # Its quantiles in a random order, which no tail is missing of.
            variates = t.ppf((np.arange(RESAMPLES) + 0.5) / RESAMPLES, seeds - 1)
            means += error * draw.permutation(variates)
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)

    @property
    def covers(self) -> str:
        """What the interval takes into account, and what it leaves out."""
        seeds, images = self.saved.shape
        if seeds == 1:
            return f"bootstrap over {images:,} images; leaves out fit bias and training seeds"
        return (
            f"bootstrap over {images:,} images, Student's t over {seeds} training seeds; leaves "
            "out fit bias"
        )

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: bits an image with their interval, and the mean of each seed."""
        low, high = self.interval
        return {
            "bits": self.bits,
            "low": low,
            "high": high,
            "interval": self.covers,
            "images": self.saved.shape[1],
            "of_seeds": self.of_seeds,
        }


def _weights(images: int, draw: np.random.Generator) -> Iterator[Floats]:
    """How often each image is in a resample, as a share of all."""
    for _ in range(RESAMPLES):
        yield np.bincount(draw.integers(images, size=images), minlength=images) / images
