"""Autoencoders whose samples are known: plug-ins that keep the contracts and learn nothing."""

from collections.abc import Iterable
from math import prod

import torch
from torch import Tensor, nn


class Pixels(nn.Module):
    """h is the image itself."""

    source = "image"

    def __init__(self, h_dim: int) -> None:
        super().__init__()
        self.h_dim = h_dim

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).float()


class _Decoder(nn.Module):
    is_bound = False
    reconstruction_temperature = 1.0
    engines = ("direct",)

    def __init__(
        self, image_shape: tuple[int, int, int], h_dim: int = 0, levels: int = 256
    ) -> None:
        super().__init__()
        self.image_shape, self.h_dim, self.levels = image_shape, h_dim, levels

    def log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        raise NotImplementedError

    def loss(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        raise NotImplementedError

    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        raise NotImplementedError


class Copies(_Decoder):
    """The image that h is, rounded to the levels, whatever the noise: with `Pixels` all is kept."""

    def sample(
        self,
        h: Tensor | None = None,
        n: int | None = None,
        *,
        noise: Tensor | None = None,
        temperature: float = 1.0,
        **_: object,
    ) -> Tensor:
        assert h is not None
        values = h.round().clamp(0, self.levels - 1).to(torch.uint8)
        return values.view(-1, *self.image_shape)


class Bernoulli(_Decoder):
    """Each sub-pixel is the highest level with probability ``shares[sub-pixel]``, else 0."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 0,
        levels: int = 256,
        shares: list[float] | None = None,
    ) -> None:
        super().__init__(image_shape, h_dim, levels)
        shares = shares or [0.5] * prod(image_shape)
        self.register_buffer("shares", torch.tensor(shares).view(image_shape))

    def sample(
        self,
        h: Tensor | None = None,
        n: int | None = None,
        *,
        noise: Tensor | None = None,
        temperature: float = 1.0,
        **_: object,
    ) -> Tensor:
        assert noise is not None
        return ((noise < self.shares) * (self.levels - 1)).to(torch.uint8)


PIXELS = {"class_path": "autoencoders.Pixels", "init_args": {"h_dim": 64}}
COPIES = {"class_path": "autoencoders.Copies"}
BERNOULLI = {"class_path": "autoencoders.Bernoulli"}
