"""What the distribution of one pixel depends on: the field of an autoregressive decoder."""

import torch
from torch import Tensor

from repr_toolkit.decoders import AutoregressiveDecoder
from repr_toolkit.testing.autoregression import DRAWS
from repr_toolkit.testing.contract import randomised

SEEN, BLIND, LATER, HERE = (106, 81, 163), (253, 208, 162), (236, 236, 236), (0, 0, 0)
"""Colours of what is seen, of what comes before and is not, of what comes later, of the pixel."""


def field(decoder: AutoregressiveDecoder, row: int, column: int) -> Tensor:
    """The pixels, bool (H, W), in any channel of which the parameters at one pixel depend.

    By their derivatives in float64, of random images, h and parameters.
    """
    seen = torch.zeros(decoder.image_shape[1:], dtype=torch.bool)
    for seed in range(DRAWS):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randint(0, decoder.levels, (1, *decoder.image_shape), generator=generator)
        x, h = x.double().requires_grad_(), None
        if decoder.h_dim:
            h = torch.randn(1, *decoder.h_shape, generator=generator, dtype=torch.float64)
        params = randomised(decoder, seed).params(x, h)[0, :, row, column]
        weights = torch.randn(params.shape, generator=generator, dtype=torch.float64)
        [by_x] = torch.autograd.grad((params * weights).sum(), x)
        seen |= (by_x[0] != 0).any(0)
    return seen


def earlier(decoder: AutoregressiveDecoder, row: int, column: int) -> Tensor:
    """The pixels, bool (H, W), that come before one in the order of generation."""
    first = decoder.order.argsort().view(decoder.image_shape).amin(0)
    return first < first[row, column]


def coloured(seen: Tensor, before: Tensor, row: int, column: int) -> Tensor:
    """A picture, uint8 (3, H, W), of what a pixel sees of all that comes before it."""
    picture = torch.tensor(LATER, dtype=torch.uint8).expand(*seen.shape, 3).clone()
    for where, colour in ((before, BLIND), (seen, SEEN)):
        picture[where] = torch.tensor(colour, dtype=torch.uint8)
    picture[row, column] = torch.tensor(HERE, dtype=torch.uint8)
    return picture.permute(2, 0, 1)
