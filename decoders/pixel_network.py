"""The networks of arXiv:1601.06759 (Figure 5, Table 1): a masked 7×7 layer, blocks and a head."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.autoregressive import AutoregressiveDecoder
from repr_toolkit.decoders.conditioning import condition_layer, conditioned
from repr_toolkit.decoders.engines import cached, graph, walk
from repr_toolkit.decoders.engines.draw import Engine
from repr_toolkit.decoders.masked import Masked, channel_groups
from repr_toolkit.decoders.pixel_decoder import PixelDecoder

Block = Callable[[Tensor, Tensor, int, bool], nn.Module]
"""From the groups of the maps between blocks (2·h) and inside them (h), the channels of s, and
whether it is the last block, to a module: (maps (B, 2·h, H, W), s) to the next maps, and those for
the head or None."""


class PixelNetwork(PixelDecoder):
    """p(x|h) in turn: a masked 7×7 (mask A) to 2·h maps, `layers` blocks, the head.

    `features` is the paper's h, a multiple of C unless the network sees whole pixels. What the head
    takes is the last block's maps, or, where blocks have connections to it, their sum. s is added,
    through V, to the first layer here, and in each block before its nonlinearity. `options` are
    those of `PixelDecoder`.

    Raises ValueError for sizes that cannot be.
    """

    engines: ClassVar[Mapping[str, Engine]] = {
        **AutoregressiveDecoder.engines,
        "cached": Engine(cached.sample, walk.obstacle),
        "graph": Engine(graph.sample, graph.obstacle),
    }

    beyond: ClassVar[int] = 0
    """Columns to the right of the image in which there are maps, too."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int,
        levels: int,
        *,
        features: int,
        layers: int,
        first_kernel_size: int,
        head_features: int | None,
        block: Block,
        **options: Any,
    ) -> None:
        super().__init__(image_shape, h_dim, levels, **options)
        if layers < 1:
            raise ValueError(f"layers is at least 1, not {layers}")
        groups, maps = (channel_groups(n, self.groups) for n in (features, 2 * features))
        self.first = Masked(self.image_groups, maps, first_kernel_size, mask_type="A")
        self.first_condition = condition_layer(self.map_channels, len(maps))
        self.layers = nn.ModuleList(
            block(maps, groups, self.map_channels, i == layers - 1) for i in range(layers)
        )
        self._add_head(len(maps), len(maps) if head_features is None else head_features)

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self._check_shape(x)
        self._check_h(h, len(x))
        s = self.condition_map(h)
        image = F.pad(self.scale(x), (0, self.beyond))
        maps = conditioned(self.first(image), self.first_condition, s)
        skips = None
        for layer in self.layers:
            maps, skip = layer(maps, s)
            if skip is not None:
                skips = skip if skips is None else skips + skip
        return self._params((maps if skips is None else skips)[..., : x.shape[3]])

    def condition_map(self, h: Tensor | None) -> Tensor | None:
        s = super().condition_map(h)
        if s is None or s.shape[3] == 1:
            return s
        return F.pad(s, (0, self.beyond))
