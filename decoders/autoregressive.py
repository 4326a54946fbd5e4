"""Decoders that factorise p(x|h) over the sub-pixels, one after the other."""

from collections.abc import Mapping
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from repr_toolkit.decoders.base import Decoder
from repr_toolkit.decoders.engines import fixed_point, naive
from repr_toolkit.decoders.engines.draw import Engine, host_obstacle
from repr_toolkit.decoders.likelihoods import Categorical, Likelihood


class AutoregressiveDecoder(Decoder):
    """A decoder that factorises p(x|h) over the sub-pixels in some order.

    A model implements `params`; likelihood, loss and two samplers follow from it. `likelihood` is
    by default a softmax over the levels. `order`, int64 (C·H·W,), is the order of generation:
    entry t is the index into x.flatten(1) of the t-th sub-pixel (default `raster`). Where the
    likelihood couples channels, a pixel's stand side by side in it, R first.

    Raises ValueError where `order` is no permutation.
    """

    whole_past: ClassVar[bool] = True
    """Whether a model that is deep enough sees all earlier pixels: it has no blind spot."""

    engines: ClassVar[Mapping[str, Engine]] = {
        "naive": Engine(naive.sample),
        "fixed_point": Engine(fixed_point.sample, host_obstacle),
    }

    order: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 0,
        levels: int = 256,
        *,
        h_shape: tuple[int, ...] | None = None,
        likelihood: Likelihood | None = None,
        order: Tensor | None = None,
    ) -> None:
        super().__init__(image_shape, h_dim, levels, h_shape=h_shape)
        self.likelihood: Likelihood = Categorical(levels) if likelihood is None else likelihood
        self.groups = 1 if self.likelihood.coupled else image_shape[0]
        """The sets of parameters of a pixel: one a channel, or one that couples them."""
        in_order = raster(self.image_shape)
        if order is None:
            order = in_order
        elif not torch.equal(order.sort().values, torch.arange(prod(image_shape))):
            raise ValueError(f"order is a permutation of 0…{prod(image_shape) - 1}, int64")
        self.in_raster_order = torch.equal(order, in_order)
        self.register_buffer("order", order, persistent=False)

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """The likelihood's parameters of every sub-pixel, (B, C, H, W, K), contiguous in K.

        Or of every pixel, (B, 1, H, W, K), where the likelihood couples channels. x is uint8
        (B, C, H, W), or floating on the same scale 0…levels−1, in which the result is then
        differentiable.
        """
        raise NotImplementedError

    def subpixel_log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self._check_x(x)
        return self.likelihood.log_prob(self.params(x, h), x)


def raster(image_shape: tuple[int, int, int]) -> Tensor:
    """The usual order: rows from the top, pixels from the left, then R, G, B; int64 (C·H·W,).

    >>> raster((3, 1, 2))
    tensor([0, 2, 4, 1, 3, 5])
    """
    return torch.arange(prod(image_shape)).view(image_shape).permute(1, 2, 0).flatten()
