"""Plug-ins as anyone might write them: modules that keep the contracts and inherit nothing else."""

from collections.abc import Iterable
from math import log, prod

import torch
from torch import Tensor, nn


class ChannelMean(nn.Module):
    """h is a linear map of the image's mean intensities; knows no image_shape."""

    source = "image"

    def __init__(self, h_dim: int, channels: int = 1) -> None:
        super().__init__()
        self.h_dim = h_dim
        self.linear = nn.Linear(channels, h_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.float().mean((2, 3)) / 8).float()


class Independent(nn.Module):
    """Every sub-pixel has its own softmax, shifted by h; with dropout, a buffer, and a fuse.

    `explode_at` makes the loss infinite at that step of training, counted from 1; 0 never.
    """

    is_bound = False
    reconstruction_temperature = 1.0
    engines = ("direct",)

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 0,
        levels: int = 256,
        *,
        dropout: float = 0.0,
        explode_at: int = 0,
        poison_at: int = 0,
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.h_dim = h_dim
        self.levels = levels
        self.bias = nn.Parameter(0.01 * torch.randn(*image_shape, levels))
        self.shift = nn.Linear(h_dim, levels) if h_dim else None
        self.dropout = nn.Dropout(dropout)
        self.explode_at = explode_at
        self.poison_at = poison_at
        self.steps_seen = 0
        self.register_buffer("mean_intensity", torch.tensor(-1.0))

    def logits(self, x: Tensor, h: Tensor | None) -> Tensor:
        logits = self.bias.expand(len(x), *self.bias.shape)
        if self.shift is not None:
            assert h is not None
            logits = logits + self.shift(self.dropout(h))[:, None, None, None]
        return logits

    def log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        if x.dtype != torch.uint8:
            raise TypeError(f"images are uint8, not {x.dtype}")
        log_pmf = self.logits(x, h).log_softmax(-1)
        return log_pmf.gather(-1, x.long()[..., None]).flatten(1).sum(1)

    def loss(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self.steps_seen += 1
        loss = -self.log_prob(x, h).mean() / (prod(self.image_shape) * log(2))
        if self.steps_seen == self.explode_at:
            return loss / 0.0
        if self.steps_seen == self.poison_at:  # a finite loss whose gradient is not
            return loss + (self.bias - self.bias.detach()).abs().sum().sqrt()
        return loss

    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        self.mean_intensity.fill_(torch.cat([x for x, _ in batches]).float().mean())

    @torch.no_grad()
    def sample(
        self,
        h: Tensor | None = None,
        n: int | None = None,
        *,
        noise: Tensor | None = None,
        temperature: float = 1.0,
        **_: object,
    ) -> Tensor:
        h = None if h is None else h.repeat_interleave(n or 1, 0)
        batch = (n or 1) if h is None else len(h)
        u = torch.rand(batch, *self.image_shape) if noise is None else noise
        cdf = self.logits(u, h).softmax(-1).cumsum(-1)
        return (cdf < u[..., None]).sum(-1).clamp(max=self.levels - 1).to(torch.uint8)


class NoShape(nn.Module):
    """Not a decoder: it has none of what the contract asks for."""

    def __init__(self, h_dim: int = 0) -> None:
        super().__init__()


class NotAModule:
    """No nn.Module at all."""


class ReadsText(nn.Module):
    """An encoder of a batch key that no image data have."""

    source = "text"

    def __init__(self, h_dim: int) -> None:
        super().__init__()
        self.h_dim = h_dim
