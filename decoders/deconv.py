"""The MSE baseline: a deconvolutional decoder trained on squared error."""

from collections.abc import Callable, Iterable, Mapping
from math import log, prod
from typing import ClassVar

import torch
from torch import Tensor

from repr_toolkit.decoders.base import Refit
from repr_toolkit.decoders.independent import IndependentGaussians
from repr_toolkit.decoders.sigmas import GREATEST_SIGMA, LEAST_SIGMA, fit_sigmas


class Deconv(IndependentGaussians):
    """Reconstructs x as a mean image, and states a code length by a discretized Gaussian.

    Training minimises the squared error of the mean (1606.05328 §3.4, the autoencoder trained
    on MSE). So that it stands in one table with exact likelihoods, `log_prob` is the exact
    code length of a Gaussian around the mean, discretized to the levels, with one σ for all
    sub-pixels, which `calibrate` fits on training images by maximum likelihood and which is
    kept with the weights. That is the weakest likelihood that such means can have: `refitted` has
    stronger ones, and `GaussianDeconv` is trained on one. `sample` draws from that Gaussian;
    temperature 0 gives the mean.

    `features` is the width of the up-sampling network at half the full size.
    """

    maps: ClassVar[int] = 1

    sigma: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 0,
        levels: int = 256,
        *,
        features: int = 32,
    ) -> None:
        super().__init__(image_shape, h_dim, levels, features=features)
        self.register_buffer("sigma", torch.tensor(levels / 4))

    def mean(self, h: Tensor | None, batch: int) -> Tensor:
        """The mean image (B, C, H, W) on the scale 0…levels−1, not clipped to it."""
        return self.scaled(self.made(h, batch))

    def mean_and_sigma(self, h: Tensor | None, batch: int) -> tuple[Tensor, Tensor]:
        """The mean image, and σ (), one for all."""
        return self.mean(h, batch), self.sigma

    def loss(self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None) -> Tensor:
        """The mean squared error of intensities scaled to [0, 1], for uint8 x (B, C, H, W)."""
        self._check_x(x)
        self._likelihood_noise(x, noise)
        return ((self.mean(h, len(x)) - x) / (self.levels - 1)).square().mean()

    @torch.no_grad()
    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Fit σ by maximum likelihood on batches of images x (uint8) and their h.

        Raises ValueError where there is no batch.
        """
        pairs = [(x, self.mean(h, len(x))) for x, h in batches]
        if not pairs:
            raise ValueError("no training images to fit σ on")
        self.sigma.copy_(fit_sigmas(self.likelihood, pairs).sigma[0])

    @torch.no_grad()
    def refitted(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> Mapping[str, Refit]:
        """A σ for every position instead of one, and one for every level that a mean rounds to."""
        pairs = [(x, self.mean(h, len(x))) for x, h in batches]
        positions = torch.arange(prod(self.image_shape), device=self.sigma.device)
        places = positions.view(self.image_shape)

        def of_levels(mean: Tensor) -> Tensor:
            levels: Tensor = mean.round().clamp(0, self.levels - 1).long()
            return levels

        def of_positions(mean: Tensor) -> Tensor:
            return places.expand_as(mean)

        def fitted(each: str, groups: int, group_of: Callable[[Tensor], Tensor]) -> Refit:
            sigmas, at_end = fit_sigmas(self.likelihood, pairs, groups, group_of, self.sigma)

            def log_prob(x: Tensor, h: Tensor | None) -> Tensor:
                mean = self.mean(h, len(x))
                terms = self.likelihood.log_prob(mean, sigmas[group_of(mean)], x.to(mean.dtype))
                return terms.flatten(1).sum(1)

            count = int(at_end.sum())
            ends = f"σ of {count} of {groups:,} {each} is an end of the range in which it is sought"
            return Refit(log_prob, ends if count else "")

        return {
            "sigma_by_position": fitted("positions", len(positions), of_positions),
            "sigma_by_mean": fitted("rounded means", self.levels, of_levels),
        }

    @property
    def remark(self) -> str:
        ends = (log(LEAST_SIGMA), log(GREATEST_SIGMA * self.levels))
        if min(abs(float(self.sigma.log()) - end) for end in ends) > 1e-3:
            return ""
        return (
            f"σ = {float(self.sigma):g} is an end of the range in which it is sought: the code "
            "length may fall further beyond"
        )
