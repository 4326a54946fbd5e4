"""Convolutions as the matrices that sampling multiplies by: what all walks share.

Maps are rows and weights stand at their right, so that `maps @ weight + bias` is a layer. Feature
maps lie in G channel groups of equal size; where a layer has several outputs a feature, as a gate
has, its walk orders them group by group (`gate_order`), so that a group's part is one slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from repr_toolkit.decoders.masked import RowLeft


@dataclass
class HeadWeights:
    """The head's two 1×1 convolutions: p maps to `head_features`, and those to the parameters."""

    hidden: Tensor
    hidden_bias: Tensor
    logits: Tensor
    logits_bias: Tensor


def head_weights(model: Any) -> HeadWeights:
    """The head's matrices."""
    hidden, logits = model.head_hidden, model.head_logits
    return HeadWeights(matrix(hidden), bias(hidden), matrix(logits), bias(logits))


def gate_order(features: int, groups: int, halves: int = 2) -> Tensor:
    """The order of `halves`·p maps in which each group's parts of all halves lie side by side.

    >>> gate_order(3, 3)
    tensor([0, 3, 1, 4, 2, 5])
    """
    return torch.arange(halves * features).view(halves, groups, -1).transpose(0, 1).flatten()


def matrix(conv: nn.Conv2d) -> Tensor:
    """A 1×1 convolution as a matrix (in, out), with its mask if it has one."""
    weight = conv.causal_weight() if isinstance(conv, RowLeft) else conv.weight
    return weight[:, :, 0, 0].t()


def bias(conv: nn.Conv2d) -> Tensor:
    """The bias (out) of a convolution that has one: all of the model but V."""
    assert conv.bias is not None
    return conv.bias


def group_parts(
    conv: RowLeft, groups: int, halves: int = 1, outputs: slice = slice(None)
) -> list[Tensor]:
    """The current pixel's part of a convolution, or of some outputs, a matrix for each group.

    Of the inputs of this group and those before it, to the outputs of this group, in the order of
    `gate_order`: (in/G·(g+1), out/G), contiguous. Zero where the group must not see itself.
    """
    weight = conv.causal_weight()[outputs, :, -1, conv.reach]
    centre = weight[gate_order(len(weight) // halves, groups, halves)].t()
    seen, made = (size // groups for size in centre.shape)
    return [centre[: seen * (g + 1), made * g : made * (g + 1)].contiguous() for g in range(groups)]


def bias_parts(conv: nn.Conv2d, groups: int) -> list[Tensor]:
    """The bias of each group's outputs."""
    return list(bias(conv).chunk(groups))
