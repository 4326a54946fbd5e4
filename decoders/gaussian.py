"""A Gaussian decoder: a mean and a σ for every sub-pixel, trained on their likelihood."""

from math import log
from typing import ClassVar

from torch import Tensor

from repr_toolkit.decoders.independent import IndependentGaussians

LEAST_SIGMA = 0.1
"""In levels: here a bin has all but 6e−7 of the mass around its middle."""


class GaussianDeconv(IndependentGaussians):
    """Sub-pixels that are independent given h, each of a discretized Gaussian made from h.

    The network of `Deconv` with twice the maps: a mean on the scale 0…levels−1 and log σ, which
    starts at a quarter of the levels, and lies between `LEAST_SIGMA` and the levels. Trained on its
    likelihood, it tells what of the difference between the MSE baseline and an autoregressive
    decoder is due to one σ for all sub-pixels. `sample` draws from the Gaussians; temperature 0
    gives the means. `features` is the width of the up-sampling network at half the full size.
    """

    maps: ClassVar[int] = 2

    def mean_and_sigma(self, h: Tensor | None, batch: int) -> tuple[Tensor, Tensor]:
        """The means on the scale 0…levels−1, not clipped to it, and σ, (B, C, H, W) each."""
        mean, log_sigma = self.made(h, batch).chunk(2, dim=1)
        log_sigma = (log_sigma + log(self.levels / 4)).clamp(log(LEAST_SIGMA), log(self.levels))
        return self.scaled(mean), log_sigma.exp()
