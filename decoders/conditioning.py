"""Conditioning as one idea: a map s, which every layer passes through a 1×1 convolution V.

For Eq. 4 of 1606.05328 s is h itself as a 1×1 map, so that V^T h is added at every position; for
Eq. 5, s = m(h) is a deconvolutional network's map, so that h can say what stands where. Between the
two, h may stand beside a map that is learned but constant: it tells positions apart, as m(h) does
even where h says nothing of them. An h that is a map itself is brought to the image's size. s is
added unmasked: h may be seen from everywhere.
"""

from math import prod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.deconvnet import DeconvNet

ConditioningKind = Literal["vector", "positional", "spatial"]


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


class SpatialConditioning(nn.Module):
    """Eq. 5: h, flattened, to the map m(h) (B, channels, H, W) of a deconvolutional network."""

    def __init__(self, h_dim: int, size: tuple[int, int], channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.m = DeconvNet(h_dim, channels, size, features=channels)

    def forward(self, h: Tensor) -> Tensor:
        s: Tensor = self.m(h.flatten(1))
        return s


Conditioning = VectorConditioning | MapConditioning | PositionalConditioning | SpatialConditioning


def conditioning_of(
    kind: ConditioningKind, h_shape: tuple[int, ...], size: tuple[int, int], map_features: int
) -> Conditioning | None:
    """What makes the map s (B, channels, H or 1, W or 1) of h; None for an empty h.

    `h_shape` is (h_dim,), or (c, h′, w′) of a map; `size` is the image's (H, W). "vector" takes h
    as it is: as a 1×1 map (Eq. 4), or resized if it is a map. "positional" puts `map_features`
    learned, constant maps beside it, and "spatial" (Eq. 5) makes as many maps of it.

    Raises ValueError for another kind or shape.
    """
    if prod(h_shape) == 0:
        return None
    if kind == "vector":
        return _as_map(h_shape, size)
    if kind == "positional":
        return PositionalConditioning(h_shape, size, map_features)
    if kind == "spatial":
        return SpatialConditioning(prod(h_shape), size, map_features)
    raise ValueError(f'conditioning is "vector", "positional" or "spatial", not {kind!r}')


def _as_map(
    h_shape: tuple[int, ...], size: tuple[int, int]
) -> VectorConditioning | MapConditioning:
    return VectorConditioning(*h_shape) if len(h_shape) == 1 else MapConditioning(h_shape, size)
