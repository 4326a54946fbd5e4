"""A Gaussian decoder: a mean and a σ for every sub-pixel, trained on their likelihood."""

from collections.abc import Mapping
from math import log
from typing import ClassVar

import torch
from torch import Tensor

from repr_toolkit.decoders.base import Decoder
from repr_toolkit.decoders.deconvnet import DeconvNet
from repr_toolkit.decoders.engines.draw import Draw, Engine, host_obstacle
from repr_toolkit.decoders.likelihoods import Categorical, DiscretizedGaussian

LEAST_SIGMA = 0.1
"""In levels: here a bin has all but 6e−7 of the mass around its middle."""


class GaussianDeconv(Decoder):
    """Sub-pixels that are independent given h, each of a discretized Gaussian made from h.

    The network of `Deconv` with twice the maps: a mean on the scale 0…levels−1 and log σ, which
    starts at a quarter of the levels, and lies between `LEAST_SIGMA` and the levels. Trained on its
    likelihood, it tells what of the difference between the MSE baseline and an autoregressive
    decoder is due to one σ for all sub-pixels. `sample` draws from the Gaussians; temperature 0
    gives the means. `features` is the width of the up-sampling network at half the full size.
    """

    reconstruction_temperature: ClassVar[float] = 0.0

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
        # Unconditional, the network's input is a constant 1.
        self.net = DeconvNet(max(h_dim, 1), 2 * channels, (height, width), features)
        self.likelihood = DiscretizedGaussian(levels)

    def mean_and_sigma(self, h: Tensor | None, batch: int) -> tuple[Tensor, Tensor]:
        """The means on the scale 0…levels−1, not clipped to it, and σ, (B, C, H, W) each."""
        self._check_h(h, batch)
        if h is None:
            h = next(self.parameters()).new_ones(batch, 1)
        maps = self.net(h)
        maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
        mean, log_sigma = maps.chunk(2, dim=1)
        log_sigma = (log_sigma + log(self.levels / 4)).clamp(log(LEAST_SIGMA), log(self.levels))
        return (mean + 1) * ((self.levels - 1) / 2), log_sigma.exp()

    def subpixel_log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self._check_x(x)
        mean, sigma = self.mean_and_sigma(h, len(x))
        return self.likelihood.log_prob(mean, sigma, x.to(mean.dtype))

    def _direct(self, draw: Draw) -> Tensor:
        mean, sigma = self.mean_and_sigma(draw.h, len(draw.noise))
        draw.decided_by.copy_(mean)
        if draw.temperature == 0:
            return draw.keep(mean.round().clamp(0, self.levels - 1).to(torch.uint8))
        logits = self.likelihood.logits(mean, sigma.unsqueeze(-1))
        return draw.level(Categorical(self.levels), logits, ...).to(torch.uint8)

    engines: ClassVar[Mapping[str, Engine]] = {"direct": Engine(_direct, host_obstacle)}
