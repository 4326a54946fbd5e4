"""Causal convolutions: stacks that see only what stands before a sub-pixel in raster order.

Above: a masked n×n convolution's rows up to the current one, as a ⌈n/2⌉×n convolution. Left: its
current row up to the current pixel, as a 1×⌈n/2⌉ convolution. Cropping the kernel leaves nothing
to mask but the channels of the current pixel (1606.05328 §2.2; 1601.06759 §3.4 for the masks).
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.matrices import parts, state_matrices


class RowsAbove(nn.Conv2d):
    """The ⌈n/2⌉×n convolution of the vertical stack, (B, in, H, W) to (B, out, H, W).

    Unshifted it sees rows r−⌊n/2⌋…r; shifted, the rows r−⌈n/2⌉…r−1. Only the first layer is
    shifted: excluding the current row again in later layers would leave a blind spot.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        shifted: bool,
        halves: int = 1,
    ) -> None:
        reach = _reach(kernel_size)
        super().__init__(in_channels, out_channels, (reach + 1, kernel_size))
        self.reach = reach
        self.shifted = shifted
        state_matrices(self.weight, parts(out_channels, halves))

    def forward(self, x: Tensor) -> Tensor:
        if self.shifted:
            x = x[:, :, :-1]
        return super().forward(F.pad(x, (self.reach, self.reach, self.reach + self.shifted, 0)))


class RowLeft(nn.Conv2d):
    """The 1×⌈n/2⌉ convolution of the horizontal stack: columns c−⌊n/2⌋…c of the current row.

    At the current pixel an output of channel group g (0, 1, 2 for R, G, B) sees the inputs of
    groups < g ("A") or ≤ g ("B"); at the pixels left of it, all. `in_groups` and `out_groups` are
    the int64 groups of the inputs and outputs. With n = 1 this is the masked 1×1 convolution. Each
    of `halves` of the outputs, as of a gate, has all groups.
    """

    above: ClassVar[bool] = False
    """Whether it sees the rows above, too."""

    mask: Tensor | None

    def __init__(
        self,
        in_groups: Tensor,
        out_groups: Tensor,
        kernel_size: int = 1,
        *,
        mask_type: str = "B",
        halves: int = 1,
    ) -> None:
        reach = _reach(kernel_size)
        kernel = (reach + 1, kernel_size) if self.above else (1, reach + 1)
        super().__init__(len(in_groups), len(out_groups), kernel)
        self.reach = reach
        seen = in_groups[None] < out_groups[:, None]
        if mask_type == "B":
            seen |= in_groups[None] == out_groups[:, None]
        mask = torch.ones_like(self.weight, requires_grad=False)
        mask[:, :, -1, reach] = seen.to(mask)
        mask[:, :, -1, reach + 1 :] = 0
        self.register_buffer("mask", None if bool(mask.all()) else mask, persistent=False)
        state_matrices(self.weight, self._matrices(out_groups, seen, halves))

    def _matrices(self, out_groups: Tensor, seen: Tensor, halves: int) -> Iterator[Any]:
        """Where the matrices stand: at the current pixel one a group, of the inputs it sees."""
        every, row, here = slice(None), slice(-1, None), slice(self.reach, self.reach + 1)
        for half in parts(len(out_groups), halves):
            if self.mask is None:
                yield half
                continue
            if self.reach and self.above:
                yield half, every, slice(self.reach)
            if self.reach:
                yield half, every, row, slice(self.reach)
            _, sizes = out_groups[half].unique_consecutive(return_counts=True)
            start = half.start
            for size in sizes.tolist():
                if inputs := int(seen[start].sum()):
                    yield slice(start, start + size), slice(inputs), row, here
                start += size

    def causal_weight(self) -> Tensor:
        """The weight (out, in, 1 or ⌈n/2⌉, ⌈n/2⌉ or n) with zeros where the mask forbids."""
        return self.weight if self.mask is None else self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        if self.reach:
            around = self.reach if self.above else 0
            x = F.pad(x, (self.reach, around, around, 0))
        return F.conv2d(x, self.causal_weight(), self.bias)


class Masked(RowLeft):
    """The masked n×n convolution (1601.06759 §3.4): what `RowLeft` sees, and ⌊n/2⌋ rows above.

    Stacks of it leave a blind spot to the right of the current pixel. The rows below, which the
    mask forbids, are cropped from the kernel.
    """

    above: ClassVar[bool] = True


def channel_groups(features: int, channels: int) -> Tensor:
    """The group of each of `features` feature maps: contiguous blocks of equal size, int64.

    Raises ValueError where the groups cannot be equal, which would let G and B leak into R.

    >>> channel_groups(6, 3)
    tensor([0, 0, 1, 1, 2, 2])
    """
    if features < 1 or features % channels:
        raise ValueError(
            f"{features} feature maps cannot be split into equal groups for {channels} "
            f"channels; take a multiple of {channels}"
        )
    return torch.arange(channels).repeat_interleave(features // channels)


def _reach(kernel_size: int) -> int:
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size is odd, not {kernel_size}")
    return kernel_size // 2
