"""Decoders that use what the contract allows beside a softmax in the raster: one idea a class."""

from collections.abc import Hashable, Iterable, Mapping
from itertools import pairwise
from math import log, pi
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders import AutoregressiveDecoder, Decoder, GatedPixelCNN
from repr_toolkit.decoders.engines import cached, graph, walk
from repr_toolkit.decoders.engines.draw import Draw, Engine, host_obstacle
from repr_toolkit.decoders.engines.walk import Walk
from repr_toolkit.decoders.likelihoods import Categorical
from repr_toolkit.decoders.masked import RowLeft, RowsAbove
from repr_toolkit.decoders.noise import Law

Shape = tuple[int, int, int]

WALKED: dict[str, Engine] = {
    **AutoregressiveDecoder.engines,
    "cached": Engine(cached.sample, walk.obstacle),
    "graph": Engine(graph.sample, graph.obstacle),
}


class ByColumns(AutoregressiveDecoder):
    """Columns from the left, each from the top: a Gated PixelCNN of the transposed image."""

    def __init__(
        self, image_shape: Shape, h_dim: int = 0, levels: int = 256, **settings: Any
    ) -> None:
        channels, height, width = image_shape
        order = torch.arange(channels * height * width).view(image_shape)
        super().__init__(image_shape, h_dim, levels, order=order.permute(2, 1, 0).flatten())
        transposed = (channels, width, height)
        deep: dict[str, Any] = {"features": 2 * channels, "layers": 6, "kernel_size": 5}
        self.transposed = GatedPixelCNN(transposed, h_dim, levels, **(deep | settings))

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self.transposed.params(x.mT, h).transpose(2, 3)


class Chained(nn.Module):
    """A pixel's channels as a chain: a softmax for R, one for G by R's level, one for B by G's.

    A pixel has K = levels + 2·levels² logits, or levels in grey.
    """

    coupled = True

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.size = levels + (channels - 1) * levels**2

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        terms = []
        for c in range(x.shape[1]):
            log_pmf = self._logits(params[:, 0], x[:, :c].movedim(1, -1).long()).log_softmax(-1)
            terms.append(log_pmf.gather(-1, x[:, c, :, :, None].long()).movedim(-1, 1))
        return torch.cat(terms, 1)

    def draw(
        self, params: Tensor, u: Tensor, temperature: float = 1.0, before: Tensor | None = None
    ) -> Tensor:
        if before is None:
            before = torch.zeros(*u.shape, 0, dtype=torch.int64, device=u.device)
        return Categorical(self.levels).draw(self._logits(params, before), u, temperature)

    def _logits(self, params: Tensor, before: Tensor) -> Tensor:
        """Logits (…, levels) of the channel after those `before` (…, c)."""
        c = before.shape[-1]
        if c == 0:
            return params[..., : self.levels]
        start = self.levels + (c - 1) * self.levels**2
        tables = params[..., start : start + self.levels**2]
        index = before[..., -1:] * self.levels + torch.arange(self.levels, device=params.device)
        return tables.gather(-1, index)


class Coupled(AutoregressiveDecoder):
    """One set of parameters a pixel, (B, 1, H, W, K), from two stacks that see no part of it."""

    engines: ClassVar[Mapping[str, Engine]] = WALKED

    def __init__(self, image_shape: Shape, h_dim: int = 0, levels: int = 256) -> None:
        super().__init__(image_shape, h_dim, levels, likelihood=Chained(image_shape[0], levels))
        channels, width = image_shape[0], 8
        one = torch.zeros(width, dtype=torch.int64)
        pixel = torch.zeros(channels, dtype=torch.int64)
        self.above = nn.ModuleList(
            [RowsAbove(channels, width, 3, shifted=True), RowsAbove(width, width, 3, shifted=False)]
        )
        self.left = nn.ModuleList(
            [RowLeft(pixel, one, 3, mask_type="A"), RowLeft(one, one, 3, mask_type="B")]
        )
        self.joins = nn.ModuleList([nn.Conv2d(width, width, 1) for _ in range(2)])
        self.v = nn.Linear(h_dim, width) if h_dim else None
        self.head = nn.Conv2d(width, self.likelihood.size, 1)

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self._check_h(h, len(x))
        above = left = x.to(self.head.weight.dtype) / self.levels
        s = 0 if self.v is None else self.v(h)[:, :, None, None]
        for down, right, join in zip(self.above, self.left, self.joins, strict=True):
            above = torch.tanh(down(above))
            left = torch.tanh(right(left) + join(above) + s)
        logits: Tensor = self.head(left)
        return logits.permute(0, 2, 3, 1).contiguous()[:, None]

    def walk(self, h: Tensor | None, batch: int) -> Walk:
        return ForwardWalk(self, h, batch, groups=1)


class ForwardWalk(Walk):
    """A walk that computes everything again at every pixel."""

    def __init__(self, model: Any, h: Tensor | None, batch: int, groups: int) -> None:
        weight = next(model.parameters())
        super().__init__(model.likelihood, groups, weight.device)
        self.model, self.h = model, h
        self.x = torch.zeros(batch, *model.image_shape, dtype=torch.uint8, device=weight.device)

    def restart(self) -> None:
        self.position.zero_()
        self.x.zero_()

    def row(self, kind: Hashable) -> None:
        pass

    def pixel(self, kind: Hashable) -> None:
        pass

    def params(self, group: int) -> Tensor:
        every = self.model.params(self.x, self.h)[:, group].flatten(1, 2)
        return every.index_select(1, self.position)[:, 0]

    def take(self, channel: int, level: Tensor) -> None:
        flat = self.x.view(len(self.x), self.x.shape[1], -1)
        flat[:, channel].index_copy_(1, self.position, level[:, None].to(torch.uint8))
        if channel == self.x.shape[1] - 1:
            self.position += 1


class Striped(AutoregressiveDecoder):
    """Sees the mean of the rows above the current pair of rows and, in odd columns, the left pixel.

    So rows and pixels are of two kinds, as with strided layers, and it does not see all its past.
    """

    whole_past: ClassVar[bool] = False
    engines: ClassVar[Mapping[str, Engine]] = WALKED

    def __init__(self, image_shape: Shape, h_dim: int = 0, levels: int = 256) -> None:
        super().__init__(image_shape, h_dim, levels)
        channels = image_shape[0]
        self.rows = nn.Linear(channels, channels * levels)
        self.beside = nn.Linear(channels, channels * levels, bias=False)
        self.v = nn.Linear(h_dim, channels * levels, bias=False) if h_dim else None

    def scaled(self, x: Tensor) -> Tensor:
        return x.to(self.rows.weight.dtype) / self.levels

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self._check_h(h, len(x))
        height, width = self.image_shape[1:]
        pixels = self.scaled(x).permute(0, 2, 3, 1)  # (B, H, W, C)
        above = F.pad(pixels.mean(2).cumsum(1), (0, 0, 1, 0))[:, :-1]  # sums of the rows above
        above = above[:, torch.arange(height) // 2 * 2]
        left = F.pad(pixels, (0, 0, 1, 0))[:, :, :-1]
        odd = (torch.arange(width, device=x.device) % 2)[:, None]
        logits = self.rows(above)[:, :, None] + self.beside(left) * odd
        if self.v is not None:
            logits = logits + self.v(h)[:, None, None]
        return logits.unflatten(-1, (x.shape[1], -1)).permute(0, 3, 1, 2, 4)

    def walk(self, h: Tensor | None, batch: int) -> Walk:
        return StripedWalk(self, h, batch)


class StripedWalk(Walk):
    def __init__(self, model: Striped, h: Tensor | None, batch: int) -> None:
        channels, _, width = model.image_shape
        weight = model.rows.weight
        super().__init__(model.likelihood, channels, weight.device)
        self.model = model
        self.of_h = 0 if model.v is None or h is None else model.v(h)
        self.row_sum, self.above, self.left, self.here = weight.new_zeros(4, batch, channels)
        self.of_rows = weight.new_zeros(batch, channels * model.levels)
        self.logits = weight.new_zeros(batch, channels, model.levels)
        self.width = width

    def kinds(self, row: int, column: int) -> tuple[Hashable, Hashable]:
        return ("even", "odd")[row % 2], ("even", "odd")[column % 2]

    def restart(self) -> None:
        for buffer in (self.position, self.row_sum, self.above, self.left, self.of_rows):
            buffer.zero_()

    def row(self, kind: Hashable) -> None:
        self.above += self.row_sum / self.width
        self.row_sum.zero_()
        self.left.zero_()
        if kind == "even":
            self.of_rows.copy_(self.model.rows(self.above) + self.of_h)

    def pixel(self, kind: Hashable) -> None:
        logits = self.of_rows
        if kind == "odd":
            logits = logits + self.model.beside(self.left)
        self.logits.copy_(logits.view_as(self.logits))

    def params(self, group: int) -> Tensor:
        return self.logits[:, group]

    def take(self, channel: int, level: Tensor) -> None:
        self.here[:, channel] = self.model.scaled(level)
        if channel == self.here.shape[1] - 1:
            self.left.copy_(self.here)
            self.row_sum += self.here
            self.position += 1


class Masked(AutoregressiveDecoder):
    """One stack of masked 3×3 convolutions: causal, with the well-known blind spot; grey alone."""

    check_shapes: ClassVar[tuple[Shape, ...]] = ((1, 5, 12),)

    def __init__(self, image_shape: Shape, h_dim: int = 0, levels: int = 256) -> None:
        super().__init__(image_shape, h_dim, levels)
        widths = [1, 8, 8, levels]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.v = nn.Linear(h_dim, 8) if h_dim else None

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self._check_h(h, len(x))
        maps = x.to(self.convs[0].weight.dtype)
        for i, conv in enumerate(self.convs):
            mask = torch.ones(3, 3, dtype=maps.dtype)
            mask[1, 1 + (i > 0) :] = 0
            mask[2] = 0
            maps = F.conv2d(torch.tanh(maps), conv.weight * mask, conv.bias, padding=1)
            if i == 0 and self.v is not None:
                maps = maps + self.v(h)[:, :, None, None]
        return maps.permute(0, 2, 3, 1).contiguous()[:, None]


class MaskedAndKnown(Masked):
    """The same, which states what it does not see."""

    whole_past: ClassVar[bool] = False


class Dequantised(Decoder):
    """A Gaussian density of x + u: normal noise makes images, uniform noise a bound of log p(x)."""

    is_bound: ClassVar[bool] = True
    bound: ClassVar[str] = "dequantised"
    likelihood_noise: ClassVar[Law | None] = "uniform"
    sampling_noise: ClassVar[Law] = "normal"
    completes: ClassVar[bool] = False
    engines: ClassVar[Mapping[str, Engine]] = {
        "direct": Engine(lambda model, draw: model.images(draw), host_obstacle)
    }

    def __init__(self, image_shape: Shape, h_dim: int = 0, levels: int = 256) -> None:
        super().__init__(image_shape, h_dim, levels)
        self.mean = nn.Parameter(torch.full(image_shape, levels / 2))
        self.log_scale = nn.Parameter(torch.tensor(log(levels / 4)))
        self.v = nn.Linear(h_dim, 1) if h_dim else None

    def centre(self, h: Tensor | None, batch: int) -> Tensor:
        self._check_h(h, batch)
        return self.mean if self.v is None else self.mean + self.v(h)[:, :, None, None]

    def log_prob(
        self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None
    ) -> Tensor:
        self._check_x(x)
        u = self._likelihood_noise(x, noise)
        assert u is not None
        z = (x + u - self.centre(h, len(x))) * torch.exp(-self.log_scale)
        return (-0.5 * z.square() - 0.5 * log(2 * pi) - self.log_scale).flatten(1).sum(1)

    def images(self, draw: Draw) -> Tensor:
        spread = torch.exp(self.log_scale) * draw.temperature
        values = self.centre(draw.h, len(draw.noise)) + spread * draw.noise
        return values.floor().clamp(0, self.levels - 1).to(torch.uint8)


class Centred(AutoregressiveDecoder):
    """Sub-pixels around a level that `prepare` takes from data; they do not see each other."""

    whole_past: ClassVar[bool] = False

    def __init__(self, image_shape: Shape, h_dim: int = 0, levels: int = 256) -> None:
        super().__init__(image_shape, h_dim, levels)
        self.centre = nn.Parameter(torch.zeros(image_shape))
        self.sharpness = nn.Parameter(torch.ones(()))
        self.v = nn.Linear(h_dim, 1) if h_dim else None

    def prepare(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        images = torch.cat([x for x, _ in batches])
        self.centre.copy_(images.to(self.centre).mean(0))

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self._check_h(h, len(x))
        centre = self.centre.expand(x.shape)
        if self.v is not None:
            centre = centre + self.v(h)[:, :, None, None]
        values = torch.arange(self.levels, device=x.device)
        distance = (values - centre[..., None]) / self.levels
        # So that the Jacobian by x exists, and is 0.
        return -self.sharpness * distance.square() + 0 * x[..., None].to(distance.dtype)
