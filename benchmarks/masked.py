"""A Gated PixelCNN with masked n×n convolutions, as public code writes it, to compare with."""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.decoders.masked import RowLeft, RowsAbove


class MaskedConv(nn.Module):
    """A convolution with a full odd kernel whose weight is masked in every forward."""

    mask: Tensor

    def __init__(self, weight: Tensor, mask: Tensor, bias: Tensor, *, shifted: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())
        self.bias = nn.Parameter(bias.detach().clone())
        self.register_buffer("mask", mask)
        self.padding = (weight.shape[2] // 2, weight.shape[3] // 2)
        self.shifted = shifted

    def forward(self, x: Tensor) -> Tensor:
        if self.shifted:
            x = F.pad(x, (0, 0, 1, 0))[:, :, :-1]
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)

    def causal_weight(self) -> Tensor:
        return self.weight * self.mask


def masked_form(model: GatedPixelCNN) -> GatedPixelCNN:
    """A copy with the same weights and the same function, whose kernels are not cropped."""
    model = deepcopy(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, RowsAbove | RowLeft):
                setattr(parent, name, _masked(child))
    return model


@torch.no_grad()
def _masked(conv: RowsAbove | RowLeft) -> MaskedConv:
    k = conv.reach
    weight = conv.weight
    mask = torch.ones_like(weight)
    if isinstance(conv, RowsAbove):
        below = (0, 0, 0, k)  # the rows below the current one
        return MaskedConv(
            F.pad(weight, below), F.pad(mask, below), _bias(conv), shifted=conv.shifted
        )
    if conv.mask is not None:
        mask = conv.mask.clone()
    right = (0, k)
    return MaskedConv(F.pad(weight, right), F.pad(mask, right), _bias(conv), shifted=False)


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias
