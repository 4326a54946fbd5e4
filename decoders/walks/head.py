"""The head of a PixelCNN or PixelRNN, a channel group at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from repr_toolkit.decoders.walks.weights import HeadWeights


class Head:
    """The head's two layers for a batch, whose inputs of the groups before stay in buffers."""

    def __init__(self, weights: HeadWeights, batch: int, groups: int) -> None:
        zeros = weights.hidden.new_zeros
        self.top = zeros(batch, len(weights.hidden))
        self.hidden = zeros(batch, len(weights.logits))
        self.parts = []
        for g in range(groups):
            (part, seen), (part_h, seen_h), (part_k, _) = (
                _slices(width, g, groups)
                for width in (*weights.hidden.shape, weights.logits.shape[1])
            )
            self.parts.append(
                (
                    (self.top[:, part], self.top[:, seen]),
                    (self.hidden[:, part_h], self.hidden[:, seen_h]),
                    (weights.hidden[seen, part_h].contiguous(), weights.hidden_bias[part_h]),
                    (weights.logits[seen_h, part_k].contiguous(), weights.logits_bias[part_k]),
                )
            )

    def logits(self, g: int, output: Tensor) -> Tensor:
        """The likelihood's parameters (B, K) of group g, whose last maps are `output` (B, p/G)."""
        (top, tops), (hidden, hiddens), (to_hidden, hidden_bias), (to_logits, logits_bias) = (
            self.parts[g]
        )
        torch.clamp_min(output, 0, out=top)
        torch.addmm(hidden_bias, tops, to_hidden, out=hidden)
        hidden.relu_()
        return torch.addmm(logits_bias, hiddens, to_logits)


def _slices(width: int, g: int, groups: int) -> tuple[slice, slice]:
    """Group g of so many maps, and all groups that it may see."""
    size = width // groups
    return slice(size * g, size * (g + 1)), slice(size * (g + 1))
