"""The PixelCNN of van den Oord, Kalchbrenner and Kavukcuoglu 2016 (arXiv:1601.06759)."""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.conditioning import ConditioningKind, condition_layer, conditioned
from repr_toolkit.decoders.likelihoods import LikelihoodKind
from repr_toolkit.decoders.masked import Masked, RowLeft
from repr_toolkit.decoders.pixel_network import PixelNetwork
from repr_toolkit.decoders.walks.pixelcnn import PixelCNNWalk


class PixelCNN(PixelNetwork):
    """p(x|h), sub-pixel by sub-pixel, from one stack of masked convolutions (Fig. 5 left, Table 1).

    A masked 7×7 convolution to 2·h maps, then residual blocks 2·h → h → 2·h, and a head of two 1×1
    layers, with ReLU between all. G sees R of its own pixel, and B both, by masks on channel groups
    (§3.4). It has the blind spot of its paper: pixels above and to the right of those that each
    kernel reaches are not seen, however deep it is.

    image_shape is (C, H, W), any H and W, C = 1 or 3; levels is the number of values.
    `likelihood` and `mixtures` are as in `GatedPixelCNN`: with "logistic_mixture" the network sees
    whole pixels. `features` is the paper's h, a multiple of C unless it does; `layers` counts
    the residual blocks, of which the paper has 15; `kernel_size` is the odd n of the blocks' masked
    n×n convolutions, and `first_kernel_size` that of the first layer; `head_features` is the width
    between the two layers of the head (default 2·features). `conditioning` and `map_features` are
    as in `GatedPixelCNN`; s enters, through V, every masked n×n convolution.

    Raises ValueError for sizes that cannot be.
    """

    whole_past: ClassVar[bool] = False

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 0,
        levels: int = 256,
        *,
        h_shape: tuple[int, ...] | None = None,
        features: int,
        layers: int,
        kernel_size: int = 3,
        first_kernel_size: int = 7,
        head_features: int | None = None,
        conditioning: ConditioningKind = "vector",
        map_features: int = 32,
        likelihood: LikelihoodKind = "categorical",
        mixtures: int = 10,
    ) -> None:
        def block(maps: Tensor, groups: Tensor, map_channels: int, last: bool) -> nn.Module:
            return ResidualBlock(maps, groups, kernel_size, map_channels)

        super().__init__(
            image_shape,
            h_dim,
            levels,
            h_shape=h_shape,
            features=features,
            layers=layers,
            first_kernel_size=first_kernel_size,
            head_features=head_features,
            conditioning=conditioning,
            map_features=map_features,
            likelihood=likelihood,
            mixtures=mixtures,
            block=block,
        )

    def walk(self, h: Tensor | None, batch: int) -> PixelCNNWalk:
        """The walk through a batch of images that are drawn given h (batch, *h_shape)."""
        return PixelCNNWalk(self, h, batch)


class ResidualBlock(nn.Module):
    """maps + 1×1(ReLU(masked n×n(ReLU(1×1(ReLU(maps)))) + V·s)), all of mask B."""

    def __init__(self, maps: Tensor, groups: Tensor, kernel_size: int, map_channels: int) -> None:
        super().__init__()
        self.down = RowLeft(maps, groups)
        self.middle = Masked(groups, groups, kernel_size)
        self.condition = condition_layer(map_channels, len(groups))
        self.up = RowLeft(groups, maps)

    def forward(self, maps: Tensor, s: Tensor | None) -> tuple[Tensor, None]:
        """The next maps (B, 2·h, H, W)."""
        inside = self.middle(F.relu(self.down(F.relu(maps))))
        return maps + self.up(F.relu(conditioned(inside, self.condition, s))), None
