"""Conditioning as one idea: a map s, which every layer passes through a 1×1 convolution V.

For Eq. 4 of 1606.05328 s is h itself as a 1×1 map, so that V^T h is added at every position; for
Eq. 5, s = m(h) is a deconvolutional network's map, so that h can say what stands where. Between the
two, h may stand beside a map that is learned but constant: it tells positions apart, as m(h) does
even where h says nothing of them. s is added unmasked: h may be seen from everywhere.
"""

import torch
from torch import Tensor, nn

from repr_toolkit.decoders.deconvnet import DeconvNet


class VectorConditioning(nn.Module):
    """Eq. 4: h (B, h_dim) as a map (B, h_dim, 1, 1) that broadcasts over all positions."""

    def __init__(self, h_dim: int) -> None:
        super().__init__()
        self.channels = h_dim

    def forward(self, h: Tensor) -> Tensor:
        return h[:, :, None, None]


class PositionalConditioning(nn.Module):
    """Eq. 4 beside positions: h at every position, and a learned map that is the same for every h.

    The map (B, h_dim + maps, H, W) holds h, then `maps` channels of free parameters.
    """

    def __init__(self, h_dim: int, size: tuple[int, int], maps: int) -> None:
        super().__init__()
        self.channels = h_dim + maps
        self.positions = nn.Parameter(torch.randn(maps, *size))

    def forward(self, h: Tensor) -> Tensor:
        everywhere = h[:, :, None, None].expand(-1, -1, *self.positions.shape[1:])
        return torch.cat([everywhere, self.positions.expand(len(h), -1, -1, -1)], dim=1)


class SpatialConditioning(nn.Module):
    """Eq. 5: h (B, h_dim) to the map m(h) (B, channels, H, W) of a deconvolutional network."""

    def __init__(self, h_dim: int, size: tuple[int, int], channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.m = DeconvNet(h_dim, channels, size, features=channels)

    def forward(self, h: Tensor) -> Tensor:
        s: Tensor = self.m(h)
        return s
