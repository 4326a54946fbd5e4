"""The weights of a Gated PixelCNN as the matrices that sampling multiplies by.

p feature maps lie in G groups of q = p/G. The 2·p maps before a gate of the horizontal stack are
ordered group by group here, tanh half and σ half of each side by side, so that a group's part is
one slice; those of the vertical stack stay as they are, all tanh halves first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.walks.weights import bias, gate_order, matrix


@dataclass
class LayerWeights:
    """One gated layer with `inputs` maps (C in the first layer, else p) and reach k = ⌊n/2⌋."""

    vertical: Tensor
    """((k+1)·n·inputs, 2·p): patches as they lie in memory, rows, columns, maps."""
    vertical_bias: Tensor
    hand_over: Tensor
    """(2·p, 2·p): from the vertical stack before its gate to the horizontal one, in its order."""
    hand_over_bias: Tensor
    """(2·p): with the bias of the horizontal convolution."""
    left: Tensor
    """(k·inputs, 2·p): from the k pixels left of the current one, columns, maps."""
    centre: Tensor
    """(inputs, 2·p): from the current pixel, zero where a group must not see."""
    condition: Tensor | None
    """(S, 4·p): from the conditioning map, to the vertical stack, then to the horizontal one."""
    residual: Tensor | None
    """(p, p), zero where a group must not see."""
    residual_bias: Tensor | None
    skip: Tensor | None
    """(p, p), zero where a group must not see."""
    skip_bias: Tensor | None

    @property
    def features(self) -> int:
        """p"""
        return len(self.vertical_bias) // 2

    def reach(self, inputs: int) -> int:
        """k, given the layer's inputs."""
        return len(self.left) // inputs


def layer_weights(model: Any) -> Iterator[LayerWeights]:
    """The gated layers' matrices, first layer first; views of the parameters where they can be."""
    order = gate_order(model.gated_layers()[0].features, model.groups)
    order = order.to(model.head_hidden.weight.device)
    for layer in model.gated_layers():
        yield _layer(layer, order)


def _layer(layer: Any, order: Tensor) -> LayerWeights:
    p = layer.features
    row = layer.horizontal.causal_weight()[order, :, 0].permute(2, 1, 0)  # (k+1, inputs, 2·p)
    condition = None
    if layer.condition is not None:
        above, beside = matrix(layer.condition).split(2 * p, dim=1)
        condition = torch.cat([above, beside[:, order]], dim=1)
    hand_over = layer.vertical_to_horizontal
    return LayerWeights(
        vertical=layer.vertical.weight.permute(2, 3, 1, 0).flatten(0, 2),
        vertical_bias=bias(layer.vertical),
        hand_over=matrix(hand_over)[:, order],
        hand_over_bias=(bias(hand_over) + bias(layer.horizontal))[order],
        left=row[:-1].flatten(0, 1),
        centre=row[-1],
        condition=condition,
        residual=None if layer.residual is None else matrix(layer.residual),
        residual_bias=None if layer.residual is None else bias(layer.residual),
        skip=None if layer.skip is None else matrix(layer.skip),
        skip_bias=None if layer.skip is None else bias(layer.skip),
    )
