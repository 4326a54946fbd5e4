"""The parts of PixelCNN++: gated residual blocks of both streams, and what resizes their maps."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.conditioning import condition_layer, conditioned
from repr_toolkit.decoders.pixelcnnpp.layers import ShiftedConv, ShiftedTranspose, Stream

Maps = tuple[Tensor, Tensor]
"""The maps (B, p, H, W) of the down stream and of the right stream."""


class First(nn.Module):
    """The image (B, C + 1, H, W) to the maps of both streams, which see no pixel itself.

    Down: the two rows above. Right: the three pixels above, and those to the left and above left.
    """

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.down = ShiftedConv(inputs, features, "down")
        self.above = ShiftedConv(inputs, features, "down", kernel=(1, 3))
        self.left = ShiftedConv(inputs, features, "right", kernel=(2, 1))

    def forward(self, image: Tensor) -> Maps:
        # Moved are the maps, whose first row and column are then 0, and not the image.
        below, right = (0, 0, 1, 0), (1, 0)
        down, above = (F.pad(layer(image)[:, :, :-1], below) for layer in (self.down, self.above))
        return down, above + F.pad(self.left(image)[..., :-1], right)


class Layer(nn.Module):
    """A gated block of each stream. The right one also takes in the down stream's new maps.

    With a `shortcut`, both also take in maps of a layer before the coarsest resolution.
    """

    def __init__(self, features: int, map_channels: int, dropout: float, *, shortcut: bool) -> None:
        super().__init__()
        sizes = (features, map_channels, dropout)
        self.down = GatedBlock("down", features if shortcut else 0, *sizes)
        self.right = GatedBlock("right", 2 * features if shortcut else features, *sizes)

    def forward(self, maps: Maps, s: Tensor | None, shortcut: Maps | None = None) -> Maps:
        down, right = maps
        if shortcut is None:
            down = self.down(down, s)
            return down, self.right(right, s, down)
        down = self.down(down, s, shortcut[0])
        return down, self.right(right, s, torch.cat([down, shortcut[1]], 1))


class GatedBlock(nn.Module):
    """maps + f ⊙ σ(g), with f and g from two convolutions of the maps, (B, p, H, W) to the same.

    [f, g] = conv(dropout(e(conv(e(maps)) + 1×1(e(beside))))) + V·s, where e is the concatenated
    ELU, and `beside` the maps (B, `beside`, H, W) of another stream or layer, if any.
    """

    def __init__(
        self, stream: Stream, beside: int, features: int, map_channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.first = ShiftedConv(2 * features, features, stream)
        self.beside = ShiftedConv(2 * beside, features, stream, kernel=(1, 1)) if beside else None
        self.dropout = nn.Dropout(dropout)
        self.second = ShiftedConv(2 * features, 2 * features, stream, init_scale=0.1, halves=2)
        self.condition = condition_layer(map_channels, 2 * features, halves=2)

    def forward(self, maps: Tensor, s: Tensor | None, beside: Tensor | None = None) -> Tensor:
        inside = self.first(concatenated_elu(maps))
        if self.beside is not None and beside is not None:
            inside = inside + self.beside(concatenated_elu(beside))
        both = self.second(self.dropout(concatenated_elu(inside)))
        f, g = conditioned(both, self.condition, s).chunk(2, dim=1)
        return maps + f * torch.sigmoid(g)


class Resized(nn.Module):
    """Both streams at half the resolution, or, `larger`, at twice."""

    def __init__(self, features: int, *, larger: bool) -> None:
        super().__init__()

        def layer(stream: Stream) -> nn.Module:
            if larger:
                return ShiftedTranspose(features, features, stream)
            return ShiftedConv(features, features, stream, stride=2)

        self.down, self.right = layer("down"), layer("right")

    def forward(self, maps: Maps) -> Maps:
        down, right = maps
        return self.down(down), self.right(right)


def concatenated_elu(maps: Tensor) -> Tensor:
    """ELU of the maps and of their negatives, (B, p, …) to (B, 2·p, …)."""
    if torch.compiler.is_compiling():
        return one_exponential(maps)
    return F.elu(torch.cat([maps, -maps], 1))


def one_exponential(maps: Tensor) -> Tensor:
    """The concatenated ELU by the exponential of −|maps| alone, which serves both halves.

    Inductor lowers F.elu to an expm1 for each. Fused, this takes fewer operations; eagerly, more.
    """
    positive = maps > 0
    below = torch.where(positive, -maps, maps).exp() - 1
    return torch.cat([torch.where(positive, maps, below), torch.where(positive, below, -maps)], 1)
