"""The networks of couplings of maps."""

from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.conditioning import condition_layer, conditioned
from repr_toolkit.decoders.flows.bijections import ActNorm
from repr_toolkit.decoders.flows.stages import ZeroConv


class NormedConv(nn.Module):
    """A convolution and actnorm of its maps, computed as one, then V·s added."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, s_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = ActNorm(outputs)
        self.condition = condition_layer(s_channels, outputs)

    def forward(self, x: Tensor, s: Tensor | None) -> Tensor:
        if self.norm.preparing:
            self.norm.take(self.conv(x))
        scale, bias, _ = self.norm.affine()
        weight = self.conv.weight * scale[:, None, None, None]
        padding: Any = self.conv.padding
        return conditioned(F.conv2d(x, weight, bias, padding=padding), self.condition, s)


class ThreeConvs(nn.Module):
    """3×3, 1×1, 3×3, with ReLU between them, the last one 0 at first (1807.03039 §4)."""

    def __init__(self, inputs: int, outputs: int, features: int, s_channels: int) -> None:
        super().__init__()
        self.first = NormedConv(inputs, features, 3, s_channels)
        self.second = NormedConv(features, features, 1, s_channels)
        self.out = ZeroConv(features, outputs, 3)

    def forward(self, x: Tensor, s: Tensor | None) -> Tensor:
        y: Tensor = self.out(F.relu(self.second(F.relu(self.first(x, s)), s)))
        return y


class ResidualNet(nn.Module):
    """A 3×3 convolution, residual blocks of two more each, and a last one, 0 at first.

    As in 1605.08803 §3.6, with actnorm in the place of batch normalisation, so that no image's
    likelihood depends on the others of its batch.
    """

    def __init__(
        self, inputs: int, outputs: int, features: int, blocks: int, s_channels: int
    ) -> None:
        super().__init__()
        self.first = NormedConv(inputs, features, 3, s_channels)
        self.blocks = nn.ModuleList(
            nn.ModuleList(NormedConv(features, features, 3, s_channels) for _ in range(2))
            for _ in range(blocks)
        )
        self.out = ZeroConv(features, outputs, 3)

    def forward(self, x: Tensor, s: Tensor | None) -> Tensor:
        maps = self.first(x, s)
        for block in self.blocks:
            inner = maps
            for conv in cast("nn.ModuleList", block):
                inner = conv(F.relu(inner), s)
            maps = maps + inner
        y: Tensor = self.out(F.relu(maps))
        return y
