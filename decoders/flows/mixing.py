"""Actnorm and a mixing of channels, as the one 1×1 convolution that they are together."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.flows.bijections import NORM_BOUND, ActNorm, Bijection, bounded
from repr_toolkit.decoders.precision import to_float64

PermutationKind = Literal["lu", "plain", "shuffle", "reverse"]


class LU(nn.Module):
    """W = P·L·(U + diag(d)) (1807.03039 Eq. 10), at first a random rotation.

    P and the signs of d stay as they are; L, U and log|d|, within ±`NORM_BOUND`, are learned.
    """

    order: Tensor
    sign: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        p, lower, upper = torch.linalg.lu(_rotation(channels))
        diagonal = upper.diagonal()
        self.lower = nn.Parameter(lower.tril(-1).float())
        self.upper = nn.Parameter(upper.triu(1).float())
        size = diagonal.abs().log() / NORM_BOUND
        self.log_diagonal = nn.Parameter((NORM_BOUND * size.clamp(-0.999, 0.999).atanh()).float())
        self.register_buffer("order", p.argmax(1))
        self.register_buffer("sign", diagonal.sign().float())

    def forward(self) -> tuple[Tensor, Tensor]:
        """W (c, c), and log|det W|."""
        log_diagonal = bounded(self.log_diagonal, NORM_BOUND)
        lower = self.lower.tril(-1) + torch.diag(torch.ones_like(log_diagonal))
        upper = self.upper.triu(1) + torch.diag(self.sign * log_diagonal.exp())
        return (lower @ upper)[self.order], log_diagonal.sum()


class Plain(nn.Module):
    """W itself learned, at first a random rotation (1807.03039 Eq. 9).

    Unlike all other scales nothing bounds it: training may make it singular.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(_rotation(channels).float())

    def forward(self) -> tuple[Tensor, Tensor]:
        """W (c, c), and log|det W|."""
        return self.weight, torch.linalg.slogdet(self.weight).logabsdet


class Fixed(nn.Module):
    """The channels in another order, y[i] = x[order[i]]."""

    matrix: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.eye(len(order))[order])

    def forward(self) -> tuple[Tensor, Tensor]:
        """The permutation as a matrix, and 0."""
        return self.matrix, self.matrix.new_zeros(())


def _rotation(channels: int) -> Tensor:
    """A random orthogonal matrix, float64."""
    q: Tensor = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64)).Q
    return q


def mixing_matrix(kind: PermutationKind | None, channels: int) -> nn.Module:
    """What makes W and log|det W|; None leaves the channels where they are.

    Raises ValueError for another kind.
    """
    if kind == "lu":
        return LU(channels)
    if kind == "plain":
        return Plain(channels)
    if kind == "shuffle":
        return Fixed(torch.randperm(channels))
    if kind == "reverse":
        return Fixed(torch.arange(channels).flip(0))
    if kind is None:
        return Fixed(torch.arange(channels))
    raise ValueError(f'permutation is "lu", "plain", "shuffle" or "reverse", not {kind!r}')


class Mixing(Bijection):
    """Actnorm, then y = W·x at every position, computed as one convolution.

    Its inverse is computed in float64, of the very weight that `forward` applies.
    """

    def __init__(self, channels: int, kind: PermutationKind | None) -> None:
        super().__init__()
        self.norm = ActNorm(channels)
        self.mix = mixing_matrix(kind, channels)
        self.kept: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        self.norm.take(x)
        with torch.autocast(x.device.type, enabled=False):
            weight, bias, log_det = self._folded()
            y = F.conv2d(x, weight[:, :, None, None], bias)
        return y, log_det * prod(x.shape[2:])

    def inverse(self, y: Tensor, s: Tensor | None) -> Tensor:
        """x, by what `Inverses` keeps while it is in use, and by a new inverse otherwise."""
        weight, bias = self.kept or self.inverted()
        return F.conv2d(y, weight[:, :, None, None], bias)

    @torch.no_grad()
    def inverted(self) -> tuple[Tensor, Tensor]:
        """Weight (c, c) and bias (c,) of the inverse; not finite where W is singular."""
        weight, bias, _ = self._folded()
        back, info = torch.linalg.inv_ex(to_float64(weight))
        back = back.masked_fill(info > 0, torch.nan)
        return back.to(weight), (-back @ to_float64(bias)).to(weight)

    def _folded(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weight (c, c), bias (c,) and log-determinant of a pixel."""
        scale, bias, log_scale = self.norm.affine()
        matrix, log_det = self.mix()
        return matrix * scale, matrix @ bias, log_det + log_scale.sum()


class Inverses:
    """The inverses of mixings, kept until one of their parameters or buffers changes.

    Whether one did is asked by one comparison for all, as a device makes its host wait for each.
    """

    def __init__(self, mixings: Sequence[Mixing]) -> None:
        self._mixings = mixings
        self._kept: tuple[Tensor, list[tuple[Tensor, Tensor]]] | None = None

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Within it the mixings take the kept inverses, which are up to date.

        Several threads may be in it: where the first one to leave takes the inverses away, the
        others compute them.
        """
        if not self._mixings:
            yield
            return
        for mixing, inverse in zip(self._mixings, self._up_to_date(), strict=True):
            mixing.kept = inverse
        try:
            yield
        finally:
            for mixing in self._mixings:
                mixing.kept = None

    def _up_to_date(self) -> list[tuple[Tensor, Tensor]]:
        # Ordinary tensors, which may be kept and used in another mode.
        with torch.inference_mode(False), torch.no_grad():
            now = torch.cat(
                [
                    tensor.flatten()
                    for mixing in self._mixings
                    for tensor in (*mixing.parameters(), *mixing.buffers())
                ]
            )
            kept = self._kept
            if kept is not None and (kept[0].device, kept[0].dtype) != (now.device, now.dtype):
                kept = None
            if kept is None or not torch.equal(kept[0], now):
                kept = now, [mixing.inverted() for mixing in self._mixings]
                self._kept = kept
        return kept[1]
