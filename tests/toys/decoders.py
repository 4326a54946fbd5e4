"""Decoders as anyone might write them, most with samples or likelihoods that are known."""

from collections.abc import Iterable, Mapping
from math import log, prod
from os import environ
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from repr_toolkit.decoders import Decoder
from repr_toolkit.decoders.engines.draw import Draw, Engine
from toys.data import CODE_LENGTHS, SHAPE, bright_quadrants, faces

PIXELCNN = {
    "class_path": "repr_toolkit.decoders.GatedPixelCNN",
    "init_args": {"features": 4, "layers": 2},
}

DECONV = {"class_path": "repr_toolkit.decoders.Deconv", "init_args": {"features": 4}}
COPIES = {"class_path": "toys.decoders.Copies"}
BERNOULLI = {"class_path": "toys.decoders.Bernoulli"}


class Drawn(Decoder):
    """A decoder that draws whole images at once, by `images`."""

    engines: ClassVar[Mapping[str, Engine]] = {
        "direct": Engine(lambda model, draw: model.images(draw))
    }

    def __init__(
        self, image_shape: tuple[int, int, int], h_dim: int = 0, levels: int = 256
    ) -> None:
        super().__init__(image_shape, h_dim, levels)
        self.anchor = nn.Parameter(torch.zeros(()))  # tells the dtype and the device

    def images(self, draw: Draw) -> Tensor:
        raise NotImplementedError


class Copies(Drawn):
    """The image that h is, rounded to the levels, whatever the noise: with `Pixels` all is kept."""

    def images(self, draw: Draw) -> Tensor:
        assert draw.h is not None
        values = draw.h.round().clamp(0, self.levels - 1).to(torch.uint8)
        return values.view(-1, *self.image_shape)


class Mistaken(Drawn):
    def log_prob(
        self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None
    ) -> Tensor:
        raise TypeError("a mistake of mine")


class Bernoulli(Drawn):
    """Each sub-pixel is the highest level with probability `shares[sub-pixel]`, else 0."""

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

    def images(self, draw: Draw) -> Tensor:
        return ((draw.noise < self.shares) * (self.levels - 1)).to(torch.uint8)


class Known(Drawn):
    """Sub-pixels of a known pmf, in which h reverses the levels where it is above 1.5."""

    def __init__(self, h_dim: int = 1) -> None:
        super().__init__(SHAPE, h_dim, 4)

    def log_prob(
        self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None
    ) -> Tensor:
        values = x.long()
        if h is not None:
            values = torch.where(h[:, :, None, None] > 1.5, 3 - values, values)
        return -(CODE_LENGTHS[values] * np.log(2)).flatten(1).sum(1)


class Independent(Decoder):
    """Every sub-pixel has its own softmax, shifted by h; with dropout, a buffer, and a fuse.

    `explode_at` makes the loss infinite at that step of training, counted from 1, and `poison_at`
    its gradient alone, for `bad_steps` steps each; 0 never.
    """

    engines: ClassVar[Mapping[str, Engine]] = Drawn.engines

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 0,
        levels: int = 256,
        *,
        dropout: float = 0.0,
        explode_at: int = 0,
        poison_at: int = 0,
        bad_steps: int = 1,
    ) -> None:
        super().__init__(image_shape, h_dim, levels)
        self.bias = nn.Parameter(0.01 * torch.randn(*image_shape, levels))
        self.shift = nn.Linear(h_dim, levels) if h_dim else None
        self.dropout = nn.Dropout(dropout)
        self.explode_at = explode_at
        self.poison_at = poison_at
        self.bad_steps = bad_steps
        self.steps_seen = 0
        self.register_buffer("mean_intensity", torch.tensor(-1.0))

    def logits(self, x: Tensor, h: Tensor | None) -> Tensor:
        logits = self.bias.expand(len(x), *self.bias.shape)
        if self.shift is not None:
            assert h is not None
            logits = logits + self.shift(self.dropout(h))[:, None, None, None]
        return logits

    def log_prob(
        self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None
    ) -> Tensor:
        if x.dtype != torch.uint8:
            raise TypeError(f"images are uint8, not {x.dtype}")
        log_pmf = self.logits(x, h).log_softmax(-1)
        return log_pmf.gather(-1, x.long()[..., None]).flatten(1).sum(1)

    def loss(self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None) -> Tensor:
        self.steps_seen += torch.is_grad_enabled()
        loss = -self.log_prob(x, h, noise=noise).mean() / (prod(self.image_shape) * log(2))
        if self.explode_at and 0 <= self.steps_seen - self.explode_at < self.bad_steps:
            return loss / 0.0
        if (
            self.poison_at and 0 <= self.steps_seen - self.poison_at < self.bad_steps
        ):  # a finite loss whose gradient is not
            return loss + (self.bias - self.bias.detach()).abs().sum().sqrt()
        return loss

    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        self.mean_intensity.fill_(torch.cat([x for x, _ in batches]).float().mean())

    def images(self, draw: Draw) -> Tensor:
        cdf = self.logits(draw.noise, draw.h).softmax(-1).cumsum(-1)
        level = (cdf < draw.noise[..., None]).sum(-1).clamp(max=self.levels - 1)
        return level.to(torch.uint8)


class Prepared(Independent):
    """Starts from the mean intensity of the first batch, and writes down who prepared what when.

    Lines of the file `journal`: "prepare" with the rank, and at the first loss of a process "loss"
    with the rank and the state in hexadecimal digits. What other ranks than the first would prepare
    is wrong.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 0,
        levels: int = 256,
        *,
        journal: str,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(image_shape, h_dim, levels, dropout=dropout)
        self.journal = Path(journal)
        self.start = nn.Parameter(torch.zeros(()))
        self.register_buffer("seen", torch.tensor(0))

    def write(self, *words: object) -> None:
        with self.journal.open("a") as file:
            file.write(" ".join(map(str, words)) + "\n")

    def prepare(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        images = torch.cat([x for x, _ in batches])
        torch.rand(7)  # another's random numbers
        self.start += images.float().mean() + int(environ.get("LOCAL_RANK", 0))
        self.seen += len(images)
        self.write("prepare", environ.get("LOCAL_RANK", 0))

    def logits(self, x: Tensor, h: Tensor | None) -> Tensor:
        return super().logits(x, h) * self.start

    def loss(self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None) -> Tensor:
        if self.steps_seen == 0 and torch.is_grad_enabled():
            value = self.start.item().hex()
            self.write("loss", environ.get("LOCAL_RANK", 0), value, int(self.seen))
        return super().loss(x, h, noise=noise)


class NoShape(nn.Module):
    """Not a decoder: it has none of what the contract asks for."""

    def __init__(self, h_dim: int = 0) -> None:
        super().__init__()


class EyePainter(Independent):
    """Draws the face whose landmarks h is."""

    def images(self, draw: Draw) -> Tensor:
        assert draw.h is not None
        return faces(draw.h.unflatten(1, (5, 2)))


class QuadrantPainter(Independent):
    """Draws the quadrant of which h is the one-hot vector."""

    def images(self, draw: Draw) -> Tensor:
        assert draw.h is not None
        return bright_quadrants(draw.h.argmax(1))


class StubbornPainter(Independent):
    """Draws the first quadrant, whatever h says."""

    def images(self, draw: Draw) -> Tensor:
        return bright_quadrants(torch.zeros(len(draw.noise), dtype=torch.int64))
