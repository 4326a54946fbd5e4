"""The conditional PixelCNN++ (Salimans et al. 2017, arXiv:1701.05517)."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.autoregressive import AutoregressiveDecoder
from repr_toolkit.decoders.conditioning import ConditioningKind
from repr_toolkit.decoders.engines import cached, graph, walk
from repr_toolkit.decoders.engines.draw import Engine
from repr_toolkit.decoders.likelihoods import LikelihoodKind
from repr_toolkit.decoders.masked import channel_groups
from repr_toolkit.decoders.pixel_decoder import PixelDecoder
from repr_toolkit.decoders.pixelcnnpp.blocks import First, Layer, Maps, Resized
from repr_toolkit.decoders.pixelcnnpp.layers import MaskedLayer, WeightNormalised
from repr_toolkit.decoders.pixelcnnpp.preparation import draws_apart, initialising
from repr_toolkit.decoders.walks.pixelcnnpp import PixelCNNppWalk


class PixelCNNpp(PixelDecoder):
    """p(x|h), pixel by pixel, from two streams of gated blocks at several resolutions.

    The down stream sees all rows above, the right one also the row left of the pixel, and takes in
    the down stream. On the way there, each of `scales` resolutions has `blocks` layers, and then
    the maps are halved. On the way back the coarsest has as many, and then the maps are doubled,
    to one layer more at each finer resolution; each of these layers also takes in the maps that
    stood at its resolution on the way there, the last ones first.

    image_shape is (C, H, W), any H and W, C = 1 or 3; levels is the number of values. A size that
    2^(scales−1) does not divide is padded to the right and below, the maps with it, and the result
    is cropped. A further channel is 1 in the image and 0 around it, so that borders are seen.
    `likelihood` is "logistic_mixture", `mixtures` discretized logistic distributions that couple a
    pixel's channels themselves, "categorical", a softmax for each sub-pixel, or "bernoulli", one
    logit, for two levels. For the latter two the head of RGB takes in the channels before, masked.
    `features` is the width of a stream; in training `dropout` is the probability of it inside of
    blocks. `conditioning` and `map_features` are as in `GatedPixelCNN`; s enters, through V, the
    gate of every block, at coarser resolutions as its mean over 2×2, 4×4 … positions of the image.

    All convolutions are weight-normalised. `prepare` initialises them on the first batch, layer by
    layer, so that each output has mean 0 and standard deviation 1, or 0.1 before a gate. A model
    that is prepared, as one that is loaded, stays as it is.

    Raises ValueError for sizes that cannot be.
    """

    engines: ClassVar[Mapping[str, Engine]] = {
        **AutoregressiveDecoder.engines,
        "cached": Engine(cached.sample, walk.obstacle),
        "graph": Engine(graph.sample, graph.obstacle),
    }

    check_shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ((1, 5, 7), (3, 5, 7))
    """With few blocks a pixel that is wide of another is seen from rows below that are not next."""

    prepared: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 0,
        levels: int = 256,
        *,
        h_shape: tuple[int, ...] | None = None,
        features: int,
        blocks: int = 5,
        scales: int = 3,
        mixtures: int = 10,
        dropout: float = 0.5,
        likelihood: LikelihoodKind = "logistic_mixture",
        conditioning: ConditioningKind = "vector",
        map_features: int = 32,
    ) -> None:
        super().__init__(
            image_shape,
            h_dim,
            levels,
            h_shape=h_shape,
            conditioning=conditioning,
            map_features=map_features,
            likelihood=likelihood,
            mixtures=mixtures,
        )
        if min(features, blocks, scales) < 1:
            raise ValueError(
                f"features, blocks and scales are at least 1, not {features}, {blocks} and {scales}"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is in [0, 1), not {dropout}")
        channels, height, width = image_shape
        self.features, self.scales = features, scales
        cell = 2 ** (scales - 1)
        self.below, self.beyond = -height % cell, -width % cell
        """Rows and columns that are padded."""

        def layers(count: int, shortcut: bool) -> nn.ModuleList:
            sizes = (features, self.map_channels, dropout)
            return nn.ModuleList(Layer(*sizes, shortcut=shortcut) for _ in range(count))

        self.first = First(channels + 1, features)
        self.inward = nn.ModuleList(layers(blocks, False) for _ in range(scales))
        self.shrink = nn.ModuleList(Resized(features, larger=False) for _ in range(scales - 1))
        # By resolution, the finest first, as on the way there.
        self.outward = nn.ModuleList(
            layers(blocks + (scale < scales - 1), True) for scale in range(scales)
        )
        self.enlarge = nn.ModuleList(Resized(features, larger=True) for _ in range(scales - 1))
        self._add_pixel_head(channels, features)
        self.register_buffer("prepared", torch.tensor(False))

    def _add_pixel_head(self, channels: int, features: int) -> None:
        """The head: one 1×1 layer, or, where channels must be told of others, two that are masked.

        Of the first of these each group has as many outputs as a stream.
        """
        groups = self.groups
        maps = torch.zeros(features, dtype=torch.int64)
        if groups > 1:
            seen = torch.cat([maps - 1, torch.arange(channels)])
            maps = channel_groups(groups * features, groups)
            self.head_hidden = MaskedLayer(seen, maps, mask_type="A")
        parameters = channel_groups(groups * self.likelihood.size, groups)
        self.head_logits = MaskedLayer(maps, parameters)

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self._check_shape(x)
        self._check_h(h, len(x))
        image = self.scale(x)
        padding = (0, self.beyond, 0, self.below)
        seen = F.pad(torch.cat([image, torch.ones_like(image[:, :1])], 1), padding)
        _, right = self._maps(seen, self.condition_maps(h))
        top = F.elu(right[:, :, : x.shape[2], : x.shape[3]])
        if self.groups > 1:
            top = F.elu(self.head_hidden(torch.cat([top, image], 1)))
        return self._logits(top)

    def _maps(self, seen: Tensor, maps_of_h: list[Tensor | None]) -> Maps:
        """The last maps of both streams, of the padded image (B, C + 1, H, W)."""
        maps: Maps = self.first(seen)
        passed = [maps]
        for scale, s in enumerate(maps_of_h):
            if scale:
                maps = self.shrink[scale - 1](maps)
                passed.append(maps)
            for layer in self.inward[scale].children():
                maps = layer(maps, s)
                passed.append(maps)
        maps = passed.pop()
        for scale in reversed(range(self.scales)):
            for layer in self.outward[scale].children():
                maps = layer(maps, maps_of_h[scale], passed.pop())
            if scale:
                maps = self.enlarge[scale - 1](maps)
        return maps

    def condition_maps(self, h: Tensor | None) -> list[Tensor | None]:
        """s at each resolution, (B, map_channels, H / 2^i, W / 2^i) or (B, map_channels, 1, 1)."""
        s = self.condition_map(h)
        if s is None or s.shape[2:] == (1, 1):
            return [s] * self.scales
        padding = (0, self.beyond, 0, self.below)
        inside = F.pad(torch.ones_like(s[:1, :1]), padding)
        maps = [F.pad(s, padding)]
        for _ in range(self.scales - 1):
            maps.append(_halved(maps[-1] * inside))
            inside = _halved(inside)
            maps[-1] = maps[-1] / inside.clamp_min(4.0**-self.scales)
        return [*maps]

    def walk(self, h: Tensor | None, batch: int) -> PixelCNNppWalk:
        """The walk through a batch of images that are drawn given h (batch, *h_shape)."""
        return PixelCNNppWalk(self, h, batch)

    @torch.no_grad()
    def prepare(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Initialise all convolutions on the first batch; nothing where that was done before.

        Raises ValueError where there is no batch.
        """
        if self.prepared:
            return
        for x, h in batches:
            with draws_apart(x.device), initialising(self.convolutions()):
                self.params(x, h)
            self.prepared.fill_(True)
            return
        raise ValueError(f"{type(self).__name__} is prepared by a batch of images; there is none")

    def convolutions(self) -> list[WeightNormalised]:
        """All of them, in the order in which they are registered."""
        return [module for module in self.modules() if isinstance(module, WeightNormalised)]

    @property
    def values_per_image(self) -> int:
        _, height, width = self.image_shape
        return max(self.head_logits.out_channels, 4 * self.features) * height * width


def _halved(maps: Tensor) -> Tensor:
    """The means over 2×2 positions, with gradients on CUDA that are the same in every run."""
    cells: Tensor = maps.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
    return cells.mean((3, 5))
