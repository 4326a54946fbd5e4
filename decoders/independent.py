"""Decoders whose sub-pixels are independent given h, each of a discretized Gaussian."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from repr_toolkit.decoders.base import Decoder
from repr_toolkit.decoders.deconvnet import DeconvNet
from repr_toolkit.decoders.engines.draw import Draw, Engine, host_obstacle
from repr_toolkit.decoders.likelihoods import Categorical, DiscretizedGaussian


class IndependentGaussians(Decoder):
    """A deconvolutional network makes maps of h, and a subclass means and σ of these.

    `sample` draws from the Gaussians; temperature 0 gives the means. `features` is the width of the
    up-sampling network at half the full size.
    """

    reconstruction_temperature: ClassVar[float] = 0.0

    maps: ClassVar[int]
    """How many the network makes for each channel."""

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
        # Unconditional, the network's input is a constant 1: learned maps.
        self.net = DeconvNet(max(h_dim, 1), self.maps * channels, (height, width), features)
        self.likelihood = DiscretizedGaussian(levels)

    def mean_and_sigma(self, h: Tensor | None, batch: int) -> tuple[Tensor, Tensor]:
        """Means on the scale 0…levels−1, (B, C, H, W), not clipped to it, and σ that broadcast."""
        raise NotImplementedError

    def made(self, h: Tensor | None, batch: int) -> Tensor:
        """The maps (B, maps·C, H, W) of h, in float32 or wider: bfloat16 is coarser than levels."""
        self._check_h(h, batch)
        if h is None:
            h = next(self.parameters()).new_ones(batch, 1)
        maps: Tensor = self.net(h)
        return maps.to(torch.promote_types(maps.dtype, torch.float32))

    def scaled(self, maps: Tensor) -> Tensor:
        """Maps around −1…1 as means on the scale 0…levels−1."""
        return (maps + 1) * ((self.levels - 1) / 2)

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
