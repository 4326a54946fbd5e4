"""The check and the scaling of images with which every network begins."""

import torch
from torch import Tensor


def require_images(x: Tensor, levels: int, image_shape: tuple[int, int, int] | None = None) -> None:
    """Raise unless x are images uint8 (B, C, H, W) of `image_shape`, or of any size if it is None.

    TypeError for another dtype, ValueError for another shape or, on a CPU, for values ≥ levels.
    """
    if x.dtype != torch.uint8:
        raise TypeError(f"images are uint8 with values 0…{levels - 1}, not {x.dtype}")
    shape = tuple(x.shape)
    if image_shape is None and (len(shape) != 4 or shape[1] not in (1, 3)):
        raise ValueError(f"images of shape (B, 3, H, W) or (B, 1, H, W) expected, not {shape}")
    if image_shape is not None and shape[1:] != tuple(image_shape):
        size = ", ".join(map(str, image_shape))
        raise ValueError(f"images of shape (B, {size}) expected, not {shape}")
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
    """Images uint8 (B, C, H, W) scaled to [−1, 1] in a dtype; raises as `require_images` does."""
    require_images(x, levels, image_shape)
    return x.to(dtype) * (2 / (levels - 1)) - 1
