"""Couplings: one part of the values moves and scales the other, which leaves it as it was."""

from itertools import pairwise
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.conditioning import condition_layer, conditioned
from repr_toolkit.decoders.flows.bijections import COUPLING_BOUND, Bijection, bounded


class Network(Protocol):
    """A coupling's network, `nn.Module`: what stays, and s, to raw shifts and log-scales."""

    def __call__(self, x: Tensor, s: Tensor | None) -> Tensor: ...


class Coupling(Bijection):
    """Of two parts (a, b) the first stays, and b becomes scale(a, s)·b + shift(a, s).

    A subclass says how x splits, and how it is joined, in the shape of `like`. `affine` False
    leaves the scale at 1. The network gives (B, k·n, …), n channels of shifts and, if affine, n of
    raw log-scales, which are held within ±`bound`; under autocast it alone computes in the lower
    precision.

    Raises ValueError for a bound that is not positive.
    """

    def __init__(self, network: Network, *, affine: bool, bound: float = COUPLING_BOUND) -> None:
        super().__init__()
        if not bound > 0:
            raise ValueError(f"bound, of log-scales, is positive, not {bound}")
        self.bound = bound
        self.network: Any = network
        self.affine = affine

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def join(self, a: Tensor, b: Tensor, like: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        a, b = self.split(x)
        shift, log_scale = self.maps(a, s)
        if log_scale is None:
            return self.join(a, b + shift, x), x.new_zeros(())
        return self.join(a, b * log_scale.exp() + shift, x), log_scale.flatten(1).sum(1)

    def inverse(self, y: Tensor, s: Tensor | None) -> Tensor:
        a, b = self.split(y)
        shift, log_scale = self.maps(a, s)
        b = b - shift
        return self.join(a, b if log_scale is None else b * (-log_scale).exp(), y)

    def maps(self, a: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Shift and log-scale, each of b's shape, in a's dtype."""
        raw = self.network(a, s).to(a.dtype)
        if not self.affine:
            return raw, None
        shift, log_scale = raw.chunk(2, 1)
        return shift, bounded(log_scale, self.bound)


class ParityCoupling(Coupling):
    """Sub-pixels in raster order, channel after channel: every second one moves the others.

    `odd` says which ones stay (1410.8516 §5.1).
    """

    def __init__(self, network: Network, *, affine: bool, odd: bool, **how: Any) -> None:
        super().__init__(network, affine=affine, **how)
        self.odd = odd

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.flatten(1)
        parts = flat[:, ::2], flat[:, 1::2]
        return parts[::-1] if self.odd else parts

    def join(self, a: Tensor, b: Tensor, like: Tensor) -> Tensor:
        even, odd = (b, a) if self.odd else (a, b)
        flat = like.new_empty(like.shape).flatten(1)
        flat[:, ::2], flat[:, 1::2] = even, odd
        return flat.view_as(like)


class Perceptron(nn.Module):
    """Layers of ReLU, to each of which V·s is added, and a linear one that starts at 0.

    (B, inputs) to (B, outputs), for s (B, c, 1, 1).
    """

    def __init__(
        self, inputs: int, outputs: int, features: int, hidden: int, s_channels: int
    ) -> None:
        super().__init__()
        sizes = [inputs] + [features] * hidden
        self.layers, self.conditions = nn.ModuleList(), nn.ModuleList()
        for a, b in pairwise(sizes):  # in turns: `condition_layer` leaves the generator as it is
            self.layers.append(nn.Linear(a, b))
            if (v := condition_layer(s_channels, features)) is not None:
                self.conditions.append(v)
        self.out = nn.Linear(features, outputs)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, s: Tensor | None) -> Tensor:
        conditions: list[Any] = [*self.conditions] or [None] * len(self.layers)
        for layer, v in zip(self.layers, conditions, strict=True):
            x = F.relu(conditioned(layer(x)[:, :, None, None], v, s).flatten(1))
        y: Tensor = self.out(x)
        return y


class ChannelCoupling(Coupling):
    """One half of the channels (B, C, H, W) moves the other; `second` says which one stays."""

    def __init__(self, network: Network, *, affine: bool, second: bool = False, **how: Any) -> None:
        super().__init__(network, affine=affine, **how)
        self.second = second

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        parts = x.chunk(2, 1)
        return (parts[1], parts[0]) if self.second else (parts[0], parts[1])

    def join(self, a: Tensor, b: Tensor, like: Tensor) -> Tensor:
        return torch.cat([b, a] if self.second else [a, b], 1)


class CheckerboardCoupling(Coupling):
    """The pixels of one colour of a checkerboard move the others (1605.08803 §3.4)."""

    stays: Tensor

    def __init__(
        self, network: Network, size: tuple[int, int], *, affine: bool, odd: bool, **how: Any
    ) -> None:
        super().__init__(network, affine=affine, **how)
        rows, columns = (torch.arange(side) for side in size)
        stays = (rows[:, None] + columns) % 2 == int(odd)
        self.register_buffer("stays", stays.float(), persistent=False)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * self.stays, x * (1 - self.stays)

    def join(self, a: Tensor, b: Tensor, like: Tensor) -> Tensor:
        return a + b

    def maps(self, a: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor | None]:
        shift, log_scale = super().maps(a, s)
        moves = 1 - self.stays
        return shift * moves, None if log_scale is None else log_scale * moves
