"""The walk of the Gated PixelCNN: the arithmetic of one forward, in plain PyTorch.

The vertical stack runs a row at a time, on the few rows that its kernels reach. The horizontal
stack runs a pixel at a time: what all layers take from the pixels left of it in one batched
product, and then, a sub-pixel at a time, only that sub-pixel's own feature group, from the groups
that it may see.

Shapes: batch B, p feature maps in G channel groups of q = p/G, L layers, reach k = ⌊n/2⌋. G is C,
or 1 where the likelihood couples the channels of a pixel: then the network sees none of them. The
order of maps is that of `gated_pixelcnn_weights`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.engines.walk import Walk
from repr_toolkit.decoders.walks.gated_pixelcnn_weights import LayerWeights, layer_weights
from repr_toolkit.decoders.walks.head import Head
from repr_toolkit.decoders.walks.weights import HeadWeights, head_weights


class GatedPixelCNNWalk(Walk):
    """The walk of a Gated PixelCNN, `model`, for a batch of images given h, or given nothing."""

    def __init__(self, model: Any, h: Tensor | None, batch: int) -> None:
        layers, head = list(layer_weights(model)), head_weights(model)
        weight = head.hidden
        super().__init__(model.likelihood, model.groups, weight.device)
        channels, height, self.width = model.image_shape
        # Every level as the network sees it.
        self.scaled = model.scale(torch.arange(model.levels, device=weight.device))
        self.vertical = _VerticalStack(layers, batch, channels, self.width)
        self.horizontal = _HorizontalStack(layers, head, batch, channels, model.groups)
        self.s: Tensor | None = None  # (H, B, W or 1, S)
        if h is not None:
            s = model.conditioning(h)
            self.s = s.expand(-1, -1, height, -1).permute(2, 0, 3, 1)
        self.row_seen = weight.new_zeros(self.width, batch, channels)  # as the network sees it
        self.column = self.position % self.width

    def restart(self) -> None:
        self.position.zero_()
        self.row_seen.zero_()
        self.vertical.restart()

    def row(self, kind: Hashable) -> None:
        """What the vertical stack gives to all pixels of the row."""
        s = None
        if self.s is not None:
            s = self.s.index_select(0, self.position // self.width)[0]
        self.vertical.next_row(self.row_seen, s)
        self.horizontal.start_row()

    def pixel(self, kind: Hashable) -> None:
        self.column = self.position % self.width
        self.horizontal.start_pixel(self.vertical.handed, self.column)

    def params(self, group: int) -> Tensor:
        return self.horizontal.logits(group)

    def take(self, channel: int, level: Tensor) -> None:
        pixel = self.horizontal.pixel  # (B, C)
        pixel[:, channel] = self.scaled.index_select(0, level.long())
        if channel == pixel.shape[1] - 1:
            self.row_seen.index_copy_(0, self.column, pixel[None])
            self.horizontal.end_pixel()
            self.position += 1


class _VerticalStack:
    """The vertical maps of all layers, one row at a time."""

    def __init__(self, layers: list[LayerWeights], batch: int, channels: int, width: int) -> None:
        p, k = layers[0].features, layers[0].reach(channels)
        zeros = layers[0].vertical.new_zeros
        self.reach, self.layers = k, layers
        # What the layers see, padded at both ends: rows r−k−1…r−1 of the image, as the first
        # layer is shifted, and rows r−k…r of every other layer's input.
        self.image = zeros(batch, k + 1, width + 2 * k, channels)
        self.maps = zeros(len(layers), batch, k + 1, width + 2 * k, p)
        self.handed = zeros(width, len(layers), batch, 2 * p)
        """What the horizontal stack takes from above in the current row, biases included."""

    def restart(self) -> None:
        self.image.zero_()
        self.maps.zero_()

    def next_row(self, above: Tensor, s: Tensor | None) -> None:
        """Take in the row above (W, B, C), and the conditioning map (B, W or 1, S) of this one."""
        k = self.reach
        inside = slice(k, k + len(above))
        self.image[:, :-1] = self.image[:, 1:].clone()
        self.image[:, k, inside] = above.transpose(0, 1)
        self.maps[:, :, :-1] = self.maps[:, :, 1:].clone()
        window = self.image
        for i, layer in enumerate(self.layers):
            patches = window.unfold(2, 2 * k + 1, 1).permute(0, 2, 1, 4, 3).flatten(0, 1).flatten(1)
            maps = torch.addmm(layer.vertical_bias, patches, layer.vertical)  # (B·W, 2·p)
            handed = torch.addmm(layer.hand_over_bias, maps, layer.hand_over)
            maps = maps.view(len(window), len(above), -1)
            handed = handed.view(maps.shape)
            if s is not None and layer.condition is not None:
                v_above, v_row = (s @ layer.condition).chunk(2, dim=2)
                maps, handed = maps + v_above, handed + v_row
            self.handed[:, i] = handed.transpose(0, 1)
            f, g = maps.chunk(2, dim=2)
            self.maps[i, :, k, inside] = torch.tanh(f) * torch.sigmoid(g)
            window = self.maps[i]


class _HorizontalStack:
    """The horizontal maps of all layers and the head, one sub-pixel at a time.

    Buffers, and views of them, are made once: at these sizes the time goes into calls.
    """

    def __init__(
        self,
        layers: list[LayerWeights],
        head: HeadWeights,
        batch: int,
        channels: int,
        groups: int,
    ) -> None:
        p, k = layers[0].features, layers[0].reach(channels)
        zeros = layers[0].vertical.new_zeros
        # The k pixels left of the current one and it, as the first layer and the others see them.
        self.window = zeros(batch, (k + 1) * channels)
        self.maps_window = zeros(len(layers), batch, (k + 1) * p)
        self.left_pixels, self.pixel = self.window.split([k * channels, channels], dim=1)
        self.left_maps, maps = self.maps_window[:-1, :, : k * p], self.maps_window[:, :, k * p :]
        self.from_left = zeros(1, len(layers), batch, 2 * p)
        self.from_left_first, self.from_left_others = self.from_left[0, 0], self.from_left[0, 1:]
        self.left_first = layers[0].left
        left = [layer.left for layer in layers[1:]]
        self.left = torch.stack(left) if left else zeros(0, k * p, 2 * p)
        gates = zeros(len(layers), batch, p)
        self.groups = [
            _Group(layers, g, groups, self.from_left[0], maps, gates) for g in range(groups)
        ]
        self.head = Head(head, batch, groups)
        self.p = p

    def start_row(self) -> None:
        self.window.zero_()
        self.maps_window.zero_()

    def start_pixel(self, handed: Tensor, column: Tensor) -> None:
        """Collect what comes from above, `handed` (W, L, B, 2·p) at `column`, and from the left."""
        torch.index_select(handed, 0, column, out=self.from_left)
        self.from_left_first.addmm_(self.left_pixels, self.left_first)
        self.from_left_others.baddbmm_(self.left_maps, self.left)

    def logits(self, g: int) -> Tensor:
        """The likelihood's parameters (B, K) of group g, whose channels before it are set."""
        return self.head.logits(g, self.groups[g].output(self.pixel))

    def end_pixel(self) -> None:
        for window, size in ((self.window, self.pixel.shape[1]), (self.maps_window, self.p)):
            window[..., :-size] = window[..., size:].clone()


class _Group:
    """The part of one channel group, g, in every layer."""

    def __init__(
        self,
        layers: list[LayerWeights],
        g: int,
        groups: int,
        from_left: Tensor,
        maps: Tensor,
        gates: Tensor,
    ) -> None:
        q = maps.shape[2] // groups
        part, seen = slice(q * g, q * (g + 1)), slice(0, q * (g + 1))
        part_gate = slice(2 * q * g, 2 * q * (g + 1))
        self.count, self.q = g, q
        self.gates_seen = gates[:, :, seen]
        self.gate_outs = [gate[:, part] for gate in gates]
        self.gate_ins = [gate[:, seen] for gate in gates]
        self.left = [left[:, part_gate] for left in from_left]
        self.maps_seen = [m[:, seen] for m in maps]
        self.maps_part = [m[:, part] for m in maps]
        self.last_maps: Tensor = self.maps_part[-1]
        # At the pixel itself the first layer sees the channels before g, later ones groups ≤ g.
        self.centres = [
            layer.centre[: (q * (g + 1) if i else g), part_gate].contiguous()
            for i, layer in enumerate(layers)
        ]
        self.residuals = [
            (layer.residual[seen, part].contiguous(), layer.residual_bias[part])
            for layer in layers
            if layer.residual is not None and layer.residual_bias is not None
        ]
        self.skip: Tensor | None = None
        skips = [layer.skip[seen, part] for layer in layers if layer.skip is not None]
        biases = [layer.skip_bias[part] for layer in layers if layer.skip_bias is not None]
        if skips:
            self.skip = torch.stack(skips)
            self.skip_bias = torch.stack(biases).sum(0)

    def output(self, pixel: Tensor) -> Tensor:
        """The last maps (B, q) of group g of a pixel (B, C) whose channels before g are known."""
        q = self.q
        for i, centre in enumerate(self.centres):
            before = self.maps_seen[i - 1] if i else pixel[:, : self.count]
            pre = torch.addmm(self.left[i], before, centre)
            torch.mul(torch.tanh(pre[:, :q]), torch.sigmoid(pre[:, q:]), out=self.gate_outs[i])
            if i < len(self.residuals):
                weight, bias = self.residuals[i]
                step = torch.addmm(bias, self.gate_ins[i], weight, out=self.maps_part[i])
                if i:
                    step += self.maps_part[i - 1]
        if self.skip is None:
            return self.last_maps
        return torch.bmm(self.gates_seen, self.skip).sum(0).add_(self.skip_bias)
