"""The cached engine of the Gated PixelCNN: nothing is computed twice, in plain PyTorch.

The vertical stack runs a row at a time, on the few rows that its kernels reach. The horizontal
stack runs a pixel at a time: what all layers take from the pixels left of it in one batched
product, and then, a sub-pixel at a time, only that sub-pixel's own feature group, from the groups
that it may see. Altogether that is the arithmetic of one forward.

Shapes: batch B, p feature maps in C channel groups of q = p/C, L layers, reach k = ⌊n/2⌋; the
order of maps is that of `weights`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from repr_toolkit.decoders.sampling.progress import Progress, silent
from repr_toolkit.decoders.sampling.weights import (
    HeadWeights,
    LayerWeights,
    head_weights,
    layer_weights,
)

if TYPE_CHECKING:
    from repr_toolkit.decoders.gated_pixelcnn import GatedPixelCNN


def sample_cached(
    model: GatedPixelCNN,
    h: Tensor | None,
    noise: Tensor,
    temperature: float,
    known: Tensor | None = None,
    mask: Tensor | None = None,
    progress: Progress = silent,
) -> Tensor:
    """Draw uint8 images (B, C, H, W) for h (B, h_dim) and uniform noise (B, C, H, W).

    `known` (B, C, H, W) stays where `mask` is True.
    """
    batch, channels, height, width = noise.shape
    drawn = torch.zeros(noise.shape, dtype=torch.uint8, device=noise.device)
    with _one_thread(noise.device):
        layers = layer_weights(model)
        vertical = _VerticalStack(model, layers, h, batch)
        horizontal = _HorizontalStack(model, layers, batch)
        k = vertical.reach
        # What the network sees, channels last, with the zeros around it that the convolutions
        # pad with: above by one row more than they reach, since the first one is shifted.
        seen = noise.new_zeros(batch, height + k + 1, width + 2 * k, channels)
        for r in range(height):
            from_above = vertical.row(r, seen[:, r : r + k + 1])
            row = seen[:, r + k + 1]
            horizontal.start_row()
            for c in range(width):
                pixel = row[:, c + k]  # (B, C), filled in below
                horizontal.start_pixel(c, from_above[c], row[:, c : c + k].flatten(1))
                for g in range(channels):
                    logits = horizontal.logits(g, pixel)
                    level = model.likelihood.draw(logits, noise[:, g, r, c], temperature)
                    level = level.to(torch.uint8)
                    if known is not None and mask is not None:
                        level = torch.where(mask[:, g, r, c], known[:, g, r, c], level)
                    drawn[:, g, r, c] = level
                    pixel[:, g] = model.scale(level)
                horizontal.end_pixel(c)
            progress((r + 1) / height)
    return drawn


class _VerticalStack:
    """The vertical maps of all layers, one row at a time."""

    def __init__(
        self, model: GatedPixelCNN, layers: list[LayerWeights], h: Tensor | None, batch: int
    ) -> None:
        width = model.image_shape[2]
        first = model.gated_layers()[0]
        k = self.reach = first.vertical.reach
        self.layers = layers
        self.s = model.conditioning(h) if model.conditioning is not None and h is not None else None
        # The rows r−k…r of every later layer's input, padded at both ends.
        zeros = model.head_hidden.weight.new_zeros
        self.rows = zeros(len(layers), batch, k + 1, width + 2 * k, first.features)

    def row(self, r: int, window: Tensor) -> Tensor:
        """What the horizontal stack takes from above in row r: (W, L, B, 2·p), biases included.

        `window` (B, k+1, W+2·k, C) holds the rows of the image that the first layer sees.
        """
        k = self.reach
        layers, batch, _, padded, features = self.rows.shape
        width = padded - 2 * k
        result = window.new_empty(width, layers, batch, 2 * features)
        self.rows[:, :, :-1] = self.rows[:, :, 1:].clone()
        for i, layer in enumerate(self.layers):
            patches = window.unfold(2, 2 * k + 1, 1).permute(0, 2, 1, 4, 3).flatten(0, 1).flatten(1)
            above = torch.addmm(layer.vertical_bias, patches, layer.vertical)  # (B·W, 2·p)
            handed = torch.addmm(layer.hand_over_bias, above, layer.hand_over)
            above = above.view(batch, width, -1)
            handed = handed.view(batch, width, -1)
            if self.s is not None and layer.condition is not None:
                s = self.s[:, :, min(r, self.s.shape[2] - 1)].transpose(1, 2)  # (B, W or 1, ·)
                v_above, v_row = (s @ layer.condition).chunk(2, dim=2)
                above, handed = above + v_above, handed + v_row
            result[:, i] = handed.transpose(0, 1)
            f, g = above.chunk(2, dim=2)
            self.rows[i, :, k, k : k + width] = torch.tanh(f) * torch.sigmoid(g)
            window = self.rows[i]
        return result


class _HorizontalStack:
    """The horizontal maps of all layers and the head, one sub-pixel at a time.

    Buffers, and views of them, are made once: at these sizes the time goes into calls.
    """

    def __init__(self, model: GatedPixelCNN, layers: list[LayerWeights], batch: int) -> None:
        channels, _, width = model.image_shape
        first = model.gated_layers()[0]
        p, k = first.features, first.horizontal.reach
        head = head_weights(model)
        zeros = model.head_hidden.weight.new_zeros
        self.reach, self.features = k, p
        self.from_left = zeros(len(layers), batch, 2 * p)
        self.maps = zeros(len(layers), batch, p)  # the layers' outputs at the current pixel
        self.row = zeros(len(layers), batch, (k + width) * p)  # and in its row, k zeros before
        self.left_first = layers[0].left
        left = [layer.left for layer in layers[1:]]
        self.left = torch.stack(left) if left else zeros(0, k * p, 2 * p)
        gates = zeros(len(layers), batch, p)
        self.groups = [
            _Group(layers, head, g, channels, self.from_left, self.maps, gates)
            for g in range(channels)
        ]
        self.top = zeros(batch, p)
        self.hidden = zeros(batch, head.hidden.shape[1])

    def start_row(self) -> None:
        self.row.zero_()

    def start_pixel(self, c: int, from_above: Tensor, left_pixels: Tensor) -> None:
        """Collect what comes from above (L, B, 2·p) and from the pixels left (B, k·C)."""
        p, k = self.features, self.reach
        torch.addmm(from_above[0], left_pixels, self.left_first, out=self.from_left[0])
        left_maps = self.row[:-1, :, c * p : (c + k) * p]
        torch.baddbmm(from_above[1:], left_maps, self.left, out=self.from_left[1:])

    def logits(self, g: int, pixel: Tensor) -> Tensor:
        """The logits (B, K) of channel g of the pixel (B, C) whose channels before g are drawn."""
        return self.groups[g].logits(pixel, self.top, self.hidden)

    def end_pixel(self, c: int) -> None:
        p, k = self.features, self.reach
        self.row[:, :, (c + k) * p : (c + k + 1) * p] = self.maps


class _Group:
    """The part of one channel group, g, in every layer and the head."""

    def __init__(
        self,
        layers: list[LayerWeights],
        head: HeadWeights,
        g: int,
        channels: int,
        from_left: Tensor,
        maps: Tensor,
        gates: Tensor,
    ) -> None:
        q, qh, levels = (
            width // channels
            for width in (maps.shape[2], head.hidden.shape[1], head.logits.shape[1])
        )
        own, seen = slice(q * g, q * (g + 1)), slice(0, q * (g + 1))
        own_h, seen_h = slice(qh * g, qh * (g + 1)), slice(0, qh * (g + 1))
        own_gate = slice(2 * q * g, 2 * q * (g + 1))
        own_k = slice(levels * g, levels * (g + 1))
        self.count, self.q = g, q
        self.gates_seen = gates[:, :, seen]
        self.gate_outs = [gate[:, own] for gate in gates]
        self.gate_ins = [gate[:, seen] for gate in gates]
        self.left = [left[:, own_gate] for left in from_left]
        self.maps_seen = [m[:, seen] for m in maps]
        self.maps_own = [m[:, own] for m in maps]
        # At the pixel itself the first layer sees the channels before g, later ones groups ≤ g.
        self.centres = [
            layer.centre[: (q * (g + 1) if i else g), own_gate].contiguous()
            for i, layer in enumerate(layers)
        ]
        self.residuals = [
            (layer.residual[seen, own].contiguous(), layer.residual_bias[own])
            for layer in layers
            if layer.residual is not None and layer.residual_bias is not None
        ]
        self.skip: Tensor | None = None
        skips = [layer.skip[seen, own] for layer in layers if layer.skip is not None]
        biases = [layer.skip_bias[own] for layer in layers if layer.skip_bias is not None]
        if skips:
            self.skip = torch.stack(skips)
            self.skip_bias = torch.stack(biases).sum(0)
        self.to_hidden = head.hidden[seen, own_h].contiguous()
        self.hidden_bias = head.hidden_bias[own_h]
        self.to_logits = head.logits[seen_h, own_k].contiguous()
        self.logits_bias = head.logits_bias[own_k]
        # The head's inputs, of which the groups before g were computed by those groups.
        self.own, self.seen, self.own_h, self.seen_h = own, seen, own_h, seen_h

    def logits(self, pixel: Tensor, top: Tensor, hidden: Tensor) -> Tensor:
        """The logits (B, K) of channel g of the pixel (B, C), whose channels before g are known.

        `top` (B, p) and `hidden` (B, head_features) are the inputs of the head's two layers, in
        which the groups before g stand and group g is filled in.
        """
        q = self.q
        for i, centre in enumerate(self.centres):
            before = self.maps_seen[i - 1] if i else pixel[:, : self.count]
            pre = torch.addmm(self.left[i], before, centre)
            torch.mul(torch.tanh(pre[:, :q]), torch.sigmoid(pre[:, q:]), out=self.gate_outs[i])
            if i < len(self.residuals):
                weight, bias = self.residuals[i]
                step = torch.addmm(bias, self.gate_ins[i], weight, out=self.maps_own[i])
                if i:
                    step += self.maps_own[i - 1]
        if self.skip is None:
            output = self.maps_own[-1]
        else:
            output = torch.bmm(self.gates_seen, self.skip).sum(0).add_(self.skip_bias)
        torch.clamp_min(output, 0, out=top[:, self.own])
        torch.addmm(self.hidden_bias, top[:, self.seen], self.to_hidden, out=hidden[:, self.own_h])
        hidden[:, self.own_h].relu_()
        return torch.addmm(self.logits_bias, hidden[:, self.seen_h], self.to_logits)


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """One thread on a CPU: splitting such small operations costs more than it gains."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
