"""What every network that reads images does first: checks them, and scales them."""

import torch
from torch import Tensor


def require_images(x: Tensor, levels: int, image_shape: tuple[int, int, int] | None = None) -> None:
    """Raise TypeError unless x is uint8; ValueError for another shape (C, H, W) where one is given.

    On a CPU ValueError too for values beyond the levels.
    """
    if x.dtype != torch.uint8:
        raise TypeError(f"images are uint8 with values 0…{levels - 1}, not {x.dtype}")
    if image_shape is not None and tuple(x.shape[1:]) != tuple(image_shape):
        raise ValueError(
            f"images of shape (B, {', '.join(map(str, image_shape))}) expected, "
            f"not {tuple(x.shape)}"
        )
    # On an accelerator the check would make every step wait for the device, and in a compiled
    # step it would break the graph.
    checked = x.device.type == "cpu" and not torch.compiler.is_compiling()
    if checked and levels < 256 and x.numel() and x.max() >= levels:
        raise ValueError(
            f"an image has the value {int(x.max())}, but this encoder's levels are 0…{levels - 1}"
        )


def scaled_images(
    x: Tensor, levels: int, image_shape: tuple[int, int, int], dtype: torch.dtype
) -> Tensor:
    """Images uint8 (B, C, H, W) as numbers in [−1, 1] of a dtype; raises as `require_images`."""
    require_images(x, levels, image_shape)
    return x.to(dtype) * (2 / (levels - 1)) - 1
