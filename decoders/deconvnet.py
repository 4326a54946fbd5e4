"""A deconvolutional network: from a vector h to maps of any height and width."""

from itertools import pairwise

from torch import Tensor, nn

from repr_toolkit.decoders.matrices import state_matrices
from repr_toolkit.decoders.streams import apart

START = 4
"""The smallest map's longest side is at most this before the up-sampling starts."""


class DeconvNet(nn.Module):
    """h (B, h_dim) to maps (B, out_channels, H, W) by doubling transposed convolutions.

    The maps at half the full size have `features` channels, and each smaller size twice as many
    as the next (at most four times `features`); sizes that are no power of two are cropped at
    the end.
    """

    def __init__(self, h_dim: int, out_channels: int, size: tuple[int, int], features: int) -> None:
        super().__init__()
        doublings = 1
        while max(size) > START << doublings:
            doublings += 1
        self.size = size
        widths = [features * min(4, 2**i) for i in range(doublings)][::-1]
        start = (-(-size[0] >> doublings), -(-size[1] >> doublings))
        with apart():
            linear = nn.Linear(h_dim, widths[0] * start[0] * start[1])
        self.project = nn.Sequential(linear, nn.Unflatten(1, (widths[0], *start)), nn.ReLU())
        self.upsample = nn.Sequential(
            *(
                nn.Sequential(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1), nn.ReLU())
                for a, b in pairwise([*widths, features])
            )
        )
        for module in self.upsample.modules():
            if isinstance(module, nn.ConvTranspose2d):
                state_matrices(module.weight, turned=True)
        self.out = nn.Conv2d(features, out_channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        maps: Tensor = self.out(self.upsample(self.project(h)))
        return maps[:, :, : self.size[0], : self.size[1]]
