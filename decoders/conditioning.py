"""Conditioning as one idea: a map s, which every layer passes through a 1×1 convolution V.

For Eq. 4 of 1606.05328 s is h itself as a 1×1 map, so that V^T h is added at every position; for
Eq. 5, s = m(h) is a deconvolutional network's map, so that h can say what stands where. Between the
two, h may stand beside a map that is learned but constant: it tells positions apart, as m(h) does
even where h says nothing of them; or each cell of a coarse map may stand at all its positions,
beside which of them a position is. An h that is a map itself is brought to the image's size. s is
added unmasked: h may be seen from everywhere.
"""

from math import prod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.deconvnet import DeconvNet
from repr_toolkit.decoders.matrices import parts, state_matrices
from repr_toolkit.decoders.streams import apart

ConditioningKind = Literal["vector", "positional", "cells", "spatial"]

CELL = 4
"""The side of a cell, in pixels."""


class VectorConditioning(nn.Module):
    """Eq. 4: h (B, h_dim) as a map (B, h_dim, 1, 1) that broadcasts over all positions."""

    def __init__(self, h_dim: int) -> None:
        super().__init__()
        self.channels = h_dim

    def forward(self, h: Tensor) -> Tensor:
        return h[:, :, None, None]


class MapConditioning(nn.Module):
    """h (B, c, h′, w′), or flattened, as a map (B, c, H, W).

    Each position is given the cell of h that it lies in. (Smoother ways to resize have gradients
    on CUDA that differ from run to run.)
    """

    def __init__(self, h_shape: tuple[int, ...], size: tuple[int, int]) -> None:
        super().__init__()
        if len(h_shape) != 3:
            raise ValueError(f"h is a vector or a map (c, h′, w′), not of shape {h_shape}")
        self.h_shape, self.size = h_shape, size
        self.channels = h_shape[0]

    def forward(self, h: Tensor) -> Tensor:
        h = h.reshape(len(h), *self.h_shape)
        return F.interpolate(h, self.size, mode="nearest-exact")


class PositionalConditioning(nn.Module):
    """Eq. 4 beside positions: h at every position, and a learned map that is the same for every h.

    The map (B, channels of h + maps, H, W) holds h, then `maps` channels of free parameters.
    """

    def __init__(self, h_shape: tuple[int, ...], size: tuple[int, int], maps: int) -> None:
        super().__init__()
        self.as_map = _as_map(h_shape, size)
        self.channels = self.as_map.channels + maps
        self.positions = nn.Parameter(torch.randn(maps, *size))

    def forward(self, h: Tensor) -> Tensor:
        everywhere = self.as_map(h).expand(-1, -1, *self.positions.shape[1:])
        return torch.cat([everywhere, self.positions.expand(len(h), -1, -1, -1)], dim=1)


class CellConditioning(nn.Module):
    """A coarse map of h, each of its cells at all positions of the cell, and which of them it is.

    The coarse map is linear in h, `channels` for each cell of 4×4 pixels, or h itself where h is a
    map. Beside it 16 constant maps, of which one is 1 at each position, tell the positions of a
    cell apart: what a cell says of its pixels differs by where they stand in it.
    """

    place: Tensor

    def __init__(self, h_shape: tuple[int, ...], size: tuple[int, int], channels: int) -> None:
        super().__init__()
        rows, columns = (torch.arange(side) % CELL for side in size)
        place = F.one_hot(CELL * rows[:, None] + columns, CELL**2).movedim(-1, 0)
        self.register_buffer("place", place.float(), persistent=False)
        self.coarse: nn.Module = nn.Identity()
        if len(h_shape) == 1:
            cells = (-(-size[0] // CELL), -(-size[1] // CELL))
            with apart():
                self.coarse = nn.Linear(h_shape[0], channels * prod(cells))
            h_shape, size = (channels, *cells), (CELL * cells[0], CELL * cells[1])
        self.as_map = MapConditioning(h_shape, size)
        self.channels = self.as_map.channels + len(place)

    def forward(self, h: Tensor) -> Tensor:
        height, width = self.place.shape[1:]
        cells = self.as_map(self.coarse(h))[:, :, :height, :width]
        return torch.cat([cells, self.place.to(cells.dtype).expand(len(h), -1, -1, -1)], dim=1)


class SpatialConditioning(nn.Module):
    """Eq. 5: h, flattened, to the map m(h) (B, channels, H, W) of a deconvolutional network."""

    def __init__(self, h_dim: int, size: tuple[int, int], channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.m = DeconvNet(h_dim, channels, size, features=channels)

    def forward(self, h: Tensor) -> Tensor:
        s: Tensor = self.m(h.flatten(1))
        return s


Conditioning = (
    VectorConditioning
    | MapConditioning
    | PositionalConditioning
    | CellConditioning
    | SpatialConditioning
)


def conditioning_of(
    kind: ConditioningKind, h_shape: tuple[int, ...], size: tuple[int, int], map_features: int
) -> Conditioning | None:
    """What makes the map s (B, channels, H or 1, W or 1) of h; None for an empty h.

    `h_shape` is (h_dim,), or (c, h′, w′) of a map; `size` is the image's (H, W). "vector" takes h
    as it is: as a 1×1 map (Eq. 4), or resized if it is a map. "positional" puts `map_features`
    learned, constant maps beside it; "cells" makes as many of a vector, linear, at a quarter of the
    size, and "spatial" (Eq. 5) by a deconvolutional network.

    Raises ValueError for another kind or shape.
    """
    if prod(h_shape) == 0:
        return None
    if kind == "vector":
        return _as_map(h_shape, size)
    if kind == "positional":
        return PositionalConditioning(h_shape, size, map_features)
    if kind == "cells":
        return CellConditioning(h_shape, size, map_features)
    if kind == "spatial":
        return SpatialConditioning(prod(h_shape), size, map_features)
    raise ValueError(f'conditioning is "vector", "positional", "cells" or "spatial", not {kind!r}')


def condition_layer(map_channels: int, outputs: int, halves: int = 1) -> nn.Conv2d | None:
    """V, the 1×1 convolution of s to a layer's outputs, or None without s; drawn apart.

    Each of `halves` of the outputs, as of a gate, is a matrix of its own.
    """
    if not map_channels:
        return None
    with apart():
        v = nn.Conv2d(map_channels, outputs, 1, bias=False)
    state_matrices(v.weight, parts(outputs, halves))
    return v


def conditioned(maps: Tensor, v: nn.Conv2d | None, s: Tensor | None) -> Tensor:
    """Maps (B, p, H, W) and V·s, if there is any."""
    return maps if v is None else maps + v(s)


def _as_map(
    h_shape: tuple[int, ...], size: tuple[int, int]
) -> VectorConditioning | MapConditioning:
    return VectorConditioning(*h_shape) if len(h_shape) == 1 else MapConditioning(h_shape, size)
