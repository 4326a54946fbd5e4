"""The reference engine: a full forward for every sub-pixel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.engines.draw import Draw


def sample(model: Any, draw: Draw, steps: int | None = None) -> Tensor:
    """Draw uint8 images (B, C, H, W).

    Serves every autoregressive model and is what the faster engines are held against. Where the
    likelihood couples the channels, one forward serves a pixel. With `steps`, only that many
    sub-pixels are drawn, spread evenly over the image and the others left at 0, which is how its
    cost is estimated.
    """
    x = torch.zeros(draw.noise.shape, dtype=torch.uint8, device=draw.noise.device)
    channels, height, width = x.shape[1:]
    order = model.order.tolist()
    every = len(order)
    chosen = range(every) if steps is None else [i * every // steps for i in range(steps)]
    params, of_pixel = x.new_empty(0, 0), -1  # those of one pixel, (B, C or 1, K)
    for done, step in enumerate(chosen, 1):
        c, pixel = divmod(order[step], height * width)
        row, column = divmod(pixel, width)
        at = (slice(None), c, row, column)
        if pixel != of_pixel or params.shape[1] == channels:
            params, of_pixel = model.params(x, draw.h)[:, :, row, column], pixel
        if params.shape[1] == channels:
            level = draw.level(model.likelihood, params[:, c], at)
        else:
            before = x[:, :c, row, column].long()
            level = draw.level(model.likelihood, params[:, 0], at, before)
        x[at] = level.to(torch.uint8)
        draw.progress(done / len(chosen))
    return x
