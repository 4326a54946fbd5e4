"""The MSE baseline: a deconvolutional decoder trained on squared error."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from math import exp, log, prod
from typing import ClassVar

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from repr_toolkit.decoders.base import Decoder, LogProb
from repr_toolkit.decoders.deconvnet import DeconvNet
from repr_toolkit.decoders.engines.draw import Draw, Engine, host_obstacle
from repr_toolkit.decoders.likelihoods import Categorical, DiscretizedGaussian
from repr_toolkit.decoders.sigmas import GREATEST_SIGMA, LEAST_SIGMA, STEP, fit_sigmas


class Deconv(Decoder):
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

    reconstruction_temperature: ClassVar[float] = 0.0

    sigma: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 0,
        levels: int = 256,
        *,
        features: int = 32,
    ) -> None:
        super().__init__(image_shape, h_dim, levels)
        channels, height, width = image_shape
        # Unconditional, the network's input is a constant 1: a learned mean image.
        self.net = DeconvNet(max(h_dim, 1), channels, (height, width), features)
        self.likelihood = DiscretizedGaussian(levels)
        self.register_buffer("sigma", torch.tensor(levels / 4))

    def mean(self, h: Tensor | None, batch: int) -> Tensor:
        """The mean image (B, C, H, W) on the scale 0…levels−1, not clipped to it."""
        self._check_h(h, batch)
        if h is None:
            h = self.sigma.new_ones(batch, 1)
        mean: Tensor = self.net(h).to(self.sigma.dtype)  # bfloat16 is coarser than the levels
        return (mean + 1) * ((self.levels - 1) / 2)

    def loss(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """The mean squared error of intensities scaled to [0, 1], for uint8 x (B, C, H, W)."""
        self._check_x(x)
        return ((self.mean(h, len(x)) - x) / (self.levels - 1)).square().mean()

    def subpixel_log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self._check_x(x)
        mean = self.mean(h, len(x))
        return self.likelihood.log_prob(mean, self.sigma, x.to(mean.dtype))

    @torch.no_grad()
    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Fit σ by maximum likelihood on batches of images x (uint8) and their h.

        Raises ValueError where there is no batch.
        """
        pairs = [(x, self.mean(h, len(x))) for x, h in batches]
        if not pairs:
            raise ValueError("no training images to fit σ on")
        dims = sum(x.numel() for x, _ in pairs)

        @cache
        def nats_per_dim(log_sigma: float) -> float:
            sigma = self.sigma.new_tensor(exp(log_sigma))
            return (
                -sum(
                    float(self.likelihood.log_prob(mean, sigma, x.to(mean.dtype)).sum())
                    for x, mean in pairs
                )
                / dims
            )

        # From the root of the mean squared error, which is not the best σ where levels are clipped,
        # to either side until the code length rises.
        squares = sum(float((mean - x).square().sum()) for x, mean in pairs)
        least, greatest = self._log_range
        low = best = high = min(max(log(max(squares / dims, 0.01)) / 2, least), greatest)
        while low == best > least:
            low = max(low - STEP, least)
            best = min(best, low, key=nats_per_dim)
        while high == best < greatest:
            high = min(high + STEP, greatest)
            best = min(best, high, key=nats_per_dim)
        within = minimize_scalar(nats_per_dim, bounds=(low, high), options={"xatol": 1e-3}).x
        self.sigma.fill_(exp(min(best, float(within), key=nats_per_dim)))

    @torch.no_grad()
    def refitted(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> Mapping[str, LogProb]:
        """A σ for every position instead of one, and one for every level that a mean rounds to."""
        pairs = [(x, self.mean(h, len(x))) for x, h in batches]
        positions = torch.arange(prod(self.image_shape), device=self.sigma.device)
        places = positions.view(self.image_shape)

        def of_levels(mean: Tensor) -> Tensor:
            levels: Tensor = mean.round().clamp(0, self.levels - 1).long()
            return levels

        def of_positions(mean: Tensor) -> Tensor:
            return places.expand_as(mean)

        def fitted(groups: int, group_of: Callable[[Tensor], Tensor]) -> LogProb:
            sigmas = fit_sigmas(self.likelihood, pairs, groups, group_of, self.sigma)

            def log_prob(x: Tensor, h: Tensor | None) -> Tensor:
                mean = self.mean(h, len(x))
                terms = self.likelihood.log_prob(mean, sigmas[group_of(mean)], x.to(mean.dtype))
                return terms.flatten(1).sum(1)

            return log_prob

        return {
            "sigma_by_position": fitted(len(positions), of_positions),
            "sigma_by_mean": fitted(self.levels, of_levels),
        }

    @property
    def remark(self) -> str:
        if min(abs(float(self.sigma.log()) - end) for end in self._log_range) > 1e-3:
            return ""
        return (
            f"σ = {float(self.sigma):g} is an end of the range in which it is sought: the code "
            "length may fall further beyond"
        )

    @property
    def _log_range(self) -> tuple[float, float]:
        """The logarithms of the least and the greatest σ."""
        return log(LEAST_SIGMA), log(GREATEST_SIGMA * self.levels)

    def _direct(self, draw: Draw) -> Tensor:
        mean = self.mean(draw.h, len(draw.noise))
        draw.decided_by.copy_(mean)
        if draw.temperature == 0:
            return draw.keep(mean.round().clamp(0, self.levels - 1).to(torch.uint8))
        logits = self.likelihood.logits(mean, self.sigma)
        return draw.level(Categorical(self.levels), logits, ...).to(torch.uint8)

    engines: ClassVar[Mapping[str, Engine]] = {"direct": Engine(_direct, host_obstacle)}
