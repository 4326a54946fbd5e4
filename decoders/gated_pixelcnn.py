"""The conditional Gated PixelCNN (van den Oord et al. 2016, arXiv:1606.05328)."""

from collections.abc import Mapping
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from repr_toolkit.decoders.autoregressive import AutoregressiveDecoder
from repr_toolkit.decoders.conditioning import ConditioningKind, condition_layer
from repr_toolkit.decoders.engines import cached, graph, walk
from repr_toolkit.decoders.engines.draw import Engine
from repr_toolkit.decoders.gate import gate
from repr_toolkit.decoders.likelihoods import LikelihoodKind
from repr_toolkit.decoders.masked import RowLeft, RowsAbove, channel_groups
from repr_toolkit.decoders.matrices import parts, state_matrices
from repr_toolkit.decoders.pixel_decoder import PixelDecoder
from repr_toolkit.decoders.walks import gated_pixelcnn_native as native
from repr_toolkit.decoders.walks.gated_pixelcnn import GatedPixelCNNWalk


class GatedPixelCNN(PixelDecoder):
    """p(x|h), sub-pixel by sub-pixel or pixel by pixel, from two stacks of gated convolutions.

    y = tanh(W_f ∗ x + V_f ∗ s) ⊙ σ(W_g ∗ x + V_g ∗ s) in both stacks (Eq. 2, 4 and 5): the
    vertical stack sees all rows above, the horizontal one the row up to the current sub-pixel,
    and takes in the vertical stack by a 1×1 convolution; together they have no blind spot.

    image_shape is (C, H, W), any H and W, C = 1 or 3; levels is the number of values.
    `likelihood` is "categorical", a softmax for each sub-pixel given the channels before it,
    "bernoulli", one logit, for two levels, or "logistic_mixture", `mixtures` discretized logistic
    distributions that couple a pixel's channels themselves (1701.05517), so that the network sees
    whole pixels.
    `features` is each stack's width after the gate, a multiple of C unless the network sees whole
    pixels; `layers` counts the gated layers, the first included; `kernel_size` is the odd n of the
    masked n×n convolution; `head_features` is the width between the two 1×1 convolutions of the
    head (default `features`). `conditioning` is "vector" (Eq. 4; an h of shape (c, h′, w′) is
    resized), "spatial" (Eq. 5, with `map_features` channels of m(h)), "positional" (Eq. 4 beside
    `map_features` learned, constant maps), or "cells" (a coarse map, linear in h, of 4×4 cells).
    With `skip`, every layer's gate is also connected to the head directly. With `recompute`,
    training keeps of each layer only what it takes in and computes the rest again in the backward
    pass: up to half more time, for a depth that memory would forbid.

    Raises ValueError for sizes that cannot be.
    """

    engines: ClassVar[Mapping[str, Engine]] = {
        **AutoregressiveDecoder.engines,
        "cached": Engine(cached.sample, walk.obstacle),
        "native": Engine(native.sample, native.obstacle),
        "graph": Engine(graph.sample, graph.obstacle),
    }

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
        head_features: int | None = None,
        conditioning: ConditioningKind = "vector",
        map_features: int = 32,
        skip: bool = False,
        recompute: bool = False,
        likelihood: LikelihoodKind = "categorical",
        mixtures: int = 10,
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
        self.recompute = recompute
        if layers < 1:
            raise ValueError(f"layers is at least 1, not {layers}")
        self.layers = nn.ModuleList(
            GatedLayer(
                self.image_groups,
                features,
                kernel_size,
                map_channels=self.map_channels,
                first=i == 0,
                residual=not (skip and i == layers - 1),
                skip=skip,
            )
            for i in range(layers)
        )
        self._add_head(features, features if head_features is None else head_features)

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self._check_shape(x)
        self._check_h(h, len(x))
        s = self.condition_map(h)
        vertical = horizontal = self.scale(x)
        skips = None
        recompute = self.recompute and self.training and torch.is_grad_enabled()
        for layer in self.gated_layers():
            if recompute:
                vertical, horizontal, skip = checkpoint(
                    layer, vertical, horizontal, s, use_reentrant=False
                )
            else:
                vertical, horizontal, skip = layer(vertical, horizontal, s)
            if skip is not None:
                skips = skip if skips is None else skips + skip
        return self._params(horizontal if skips is None else skips)

    def walk(self, h: Tensor | None, batch: int) -> GatedPixelCNNWalk:
        """The walk through a batch of images that are drawn given h (batch, *h_shape)."""
        return GatedPixelCNNWalk(self, h, batch)

    def gated_layers(self) -> list["GatedLayer"]:
        return cast("list[GatedLayer]", list(self.layers))


class GatedLayer(nn.Module):
    """One layer of both stacks (1606.05328, Figure 2), with features maps in channel groups.

    `image_groups` are the groups of the image's channels: 0, 1, 2, or all 0 where the network sees
    whole pixels. The vertical stack is unmasked; in the horizontal one the groups see each other
    as R, G, B may, in each half of the gate alike. The first layer takes the image itself, shifts
    it out of its own view (mask "A"), and has no residual connection.
    """

    def __init__(
        self,
        image_groups: Tensor,
        features: int,
        kernel_size: int,
        *,
        map_channels: int,
        first: bool,
        residual: bool,
        skip: bool,
    ) -> None:
        super().__init__()
        groups = channel_groups(features, int(image_groups[-1]) + 1)
        in_groups = image_groups if first else groups
        gate_groups = torch.cat([groups, groups])
        self.features = features
        self.first = first
        self.vertical = RowsAbove(
            len(in_groups), 2 * features, kernel_size, shifted=first, halves=2
        )
        self.horizontal = RowLeft(
            in_groups, gate_groups, kernel_size, mask_type="A" if first else "B", halves=2
        )
        self.vertical_to_horizontal = nn.Conv2d(2 * features, 2 * features, 1)
        state_matrices(self.vertical_to_horizontal.weight, parts(2 * features, 2))
        self.condition = condition_layer(map_channels, 4 * features, halves=4)
        self.residual = RowLeft(groups, groups) if residual else None
        self.skip = RowLeft(groups, groups) if skip else None

    def forward(
        self, vertical: Tensor, horizontal: Tensor, s: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Both stacks' next maps (B, features, H, W), and the map for the head if there is one.

        `vertical` and `horizontal` are the former maps (the image in the first layer), s the
        conditioning map (B, map_channels, H or 1, W or 1).
        """
        above = self.vertical(vertical)  # (B, 2·features, H, W)
        row = self.horizontal(horizontal) + self.vertical_to_horizontal(above)
        if self.condition is not None:
            v_above, v_row = self.condition(s).chunk(2, dim=1)
            above, row = above + v_above, row + v_row
        gated = gate(row)
        if self.residual is not None:
            step = self.residual(gated)
            horizontal = step if self.first else horizontal + step
        return gate(above), horizontal, self.skip(gated) if self.skip is not None else None
