"""The order and the field of an autoregressive decoder, from its Jacobian."""

from itertools import product
from math import prod

import torch
from torch import Tensor

from repr_toolkit.decoders import AutoregressiveDecoder
from repr_toolkit.testing.contract import Contract, Remark, randomised

DRAWS = 8
"""Draws of the parameters; their Jacobians are joined, since a ReLU may be off in one of them."""


def check_autoregression(
    decoder: AutoregressiveDecoder, x: Tensor, h: Tensor | None, contract: Contract
) -> None:
    """Check order and field on images x, uint8 (B, C, H, W), and their h, float64."""
    require = contract.require
    channels, height, width = decoder.image_shape
    params = decoder.params(x, h)
    groups = params.shape[1]
    depends = torch.zeros(groups * height * width, prod(decoder.image_shape), dtype=torch.bool)
    reached = torch.zeros(len(depends), dtype=torch.bool)
    for seed in range(DRAWS):
        i = seed % len(x)
        by_x, by_h = jacobians(randomised(decoder, seed), x[i], None if h is None else h[i], seed)
        depends |= by_x != 0
        if by_h is not None:
            reached |= (by_h != 0).any(1)
    place = decoder.order.argsort()
    # Coupled channels have their parameters in common, from the first channel's place on.
    begins = place if groups == channels else place.view(channels, -1).amin(0)
    leaks = (depends & (place >= begins[:, None])).any(1).nonzero().flatten().tolist()
    names = [_name(i, decoder.image_shape) for i in leaks]
    require(not leaks, "no sub-pixel depends on itself or a later one", names)
    contiguous = params.stride(-1) == 1 or params.shape[-1] == 1
    require(contiguous, "params are contiguous in their last dimension")
    terms = decoder.likelihood.log_prob(params, x)
    same = torch.equal(decoder.subpixel_log_prob(x, h), terms)
    require(same, "subpixel_log_prob is the likelihood given params")
    if groups < channels:
        in_turn = place.view(channels, -1) == begins + torch.arange(channels)[:, None]
        sentence = "in its order a pixel's coupled channels stand in turn, R first"
        require(in_turn.all(), sentence)
    sees = depends.view(groups, height, width, channels, height, width)
    place = place.view(channels, height, width)
    if decoder.whole_past:
        blind = _blind_spot(sees, place) + _blind_channels(sees, place)
        require(not blind, "it has no blind spot", blind[:8])
    else:
        contract.sentences.append(Remark(_field(sees, place)))
    if h is not None:
        require(reached.all(), "h reaches every sub-pixel")


def jacobians(
    model: AutoregressiveDecoder, x: Tensor, h: Tensor | None, seed: int
) -> tuple[Tensor, Tensor | None]:
    """Derivatives of a random sum over the K parameters of each of D outputs.

    By x (C, H, W), (D, C·H·W), and by h, (D, h_dim), or None without h. One backward pass: each
    image of a batch serves one output.
    """
    with torch.no_grad():
        shape = model.params(x[None], None if h is None else h[None]).shape
    outputs = prod(shape[1:4])
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(shape[-1], generator=generator, dtype=torch.float64)
    images = x.double().repeat(outputs, 1, 1, 1).requires_grad_()
    every_h = None if h is None else h.repeat(outputs, *[1] * h.ndim).requires_grad_()
    params = model.params(images, every_h).flatten(1, 3)  # (D, D, K)
    each = (params.diagonal().mT @ weights).sum()
    inputs = [images] if every_h is None else [images, every_h]
    by_x, *by_h = torch.autograd.grad(each, inputs, allow_unused=True, materialize_grads=True)
    return by_x.flatten(1), by_h[0].flatten(1) if by_h else None


def _blind_spot(sees: Tensor, place: Tensor) -> list[str]:
    """The earlier sub-pixels that a model of the whole past does not see although it should.

    `sees` is bool (G, H, W, C, H, W), outputs first, and `place` (C, H, W) the order. In raster
    order depth bounds how far a model sees: missed are the pixel above, and one right below a pixel
    that is seen. In another order every earlier pixel is.
    """
    groups, height, width, channels = sees.shape[:4]
    pixels = sees.any(3).any(0)  # (H, W, H, W)
    first = place.amin(0)
    in_raster = bool((first.flatten().diff() > 0).all())
    missed = []
    for r, c in product(range(height), range(width)):
        earlier = first < first[r, c]
        hidden = earlier & ~pixels[r, c]
        if in_raster:
            hidden[1:] &= pixels[r, c, :-1]
            hidden[0] = False
            if r:  # whatever the depth and the kernel, the pixel above is seen
                hidden[r - 1, c] |= ~pixels[r, c, r - 1, c]
        missed += [
            f"pixel ({r}, {c}) does not see ({row}, {column})"
            for row, column in hidden.nonzero().tolist()
        ]
    for g, k in product(range(groups), range(channels)):
        before = place[k] < (place[g] if groups == channels else first)
        same_pixel = sees[g, :, :, k].flatten(2).flatten(0, 1).diagonal().view(height, width)
        if before.any() and not (same_pixel & before).any():
            missed.append(f"{'RGB'[g]} does not see {'RGB'[k]} of its own pixel")
        if height * width > 1 and not sees[g, :, :, k].any():
            missed.append(f"channel {g} of no pixel sees channel {k} of any")
    return missed


def _blind_channels(sees: Tensor, place: Tensor) -> list[str]:
    """Where a channel sees no earlier channel of another pixel, although channels see that pixel.

    By the offset of the pixel, wherever in the image, up to half of the image away: farther ones
    are too few to know that no unit was off in them.
    """
    groups, height, width, channels = sees.shape[:4]
    own = place if groups == channels else place.amin(0, keepdim=True)
    reach = torch.zeros(groups, channels, 2 * height - 1, 2 * width - 1, dtype=torch.bool)
    earlier = reach.clone()  # at some place of the image
    for r, c in product(range(height), range(width)):
        rows, columns = slice(height - 1 - r, -r or None), slice(width - 1 - c, -c or None)
        reach[:, :, rows, columns] |= sees[:, r, c]
        earlier[:, :, rows, columns] |= place < own[:, r, c].view(-1, 1, 1, 1)
    lacking = reach.any(1).any(0) & earlier & ~reach
    lacking[:, :, height - 1, width - 1] = False  # its own pixel
    return [
        f"channel {g} does not see channel {k} at rows {row:+d}, columns {column:+d}"
        for g, k, row, column in (
            lacking.nonzero() - torch.tensor([0, 0, height - 1, width - 1])
        ).tolist()
        if abs(row) <= height // 2 and abs(column) <= width // 2
    ]


def _field(sees: Tensor, place: Tensor) -> str:
    """The number of earlier pixels that the middle pixel of the last row sees, in words."""
    height, width = place.shape[1:]
    r, c = height - 1, width // 2
    earlier = place.amin(0) < place[:, r, c].amin()
    count = int((sees.any(3).any(0)[r, c] & earlier).sum())
    return f"pixel ({r}, {c}) sees {count} of {int(earlier.sum())} earlier pixels"


def _name(index: int, image_shape: tuple[int, int, int]) -> str:
    """An index into x.flatten(1), or into one channel of it, in words."""
    channels, height, width = image_shape
    channel, pixel = divmod(index, height * width)
    row, column = divmod(pixel, width)
    return f"row {row}, column {column}, {'RGB'[channel] if channels == 3 else 'grey'}"
