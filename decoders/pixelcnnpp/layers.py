"""Weight-normalised convolutions, shifted so that two streams see nothing but the past.

The down stream sees the rows above a pixel, the right stream also its own row left of it. Once the
first layers have left out the pixel itself, an output sees of the maps before it no row below
its own, and in the right stream no column to the right.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.masked import RowLeft
from repr_toolkit.decoders.matrices import parts, state_matrices

Stream = Literal["down", "right"]
KERNELS: dict[Stream, tuple[int, int]] = {"down": (2, 3), "right": (2, 2)}
"""Rows and columns of a stream's kernels."""
INITIAL_DEVIATION = 0.05
"""The standard deviation of initial weights before they are normalised, as published."""


class WeightNormalised(nn.Module):
    """A convolution whose kernel is gain·v/‖v‖, of v = `weight`, with a norm for each output."""

    weight: Tensor
    bias: Tensor | None
    gain: Tensor
    """(out,)"""
    init_scale: float
    """What `gain` is at first, and the standard deviation of the outputs once prepared."""

    def _normalise(self, init_scale: float = 1.0) -> None:
        """Add the gain to a convolution that is built, and draw its v."""
        assert self.bias is not None
        self.init_scale = init_scale
        nn.init.normal_(self.weight, std=INITIAL_DEVIATION)
        nn.init.zeros_(self.bias)
        self.gain = nn.Parameter(self.bias.detach() + init_scale)


class ShiftedConv(nn.Conv2d, WeightNormalised):
    """(B, in, H, W) to (B, out, H/s, W/s), for a stride s that divides H and W.

    Output (r, c) sees the rows up to s·r, and in the down stream the columns around s·c, in the
    right stream those up to s·c.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stream: Stream,
        *,
        kernel: tuple[int, int] | None = None,
        stride: int = 1,
        init_scale: float = 1.0,
        halves: int = 1,
    ) -> None:
        rows, columns = KERNELS[stream] if kernel is None else kernel
        super().__init__(inputs, outputs, (rows, columns), stride)
        around = columns // 2 if stream == "down" else 0
        self.beside = (columns - 1 - around, around, rows - 1, 0)
        """What is padded: left, right, above, below."""
        self._normalise(init_scale)
        state_matrices(self.weight, parts(outputs, halves))

    def kernel(self) -> Tensor:
        """The convolution's kernel (out, in, rows, columns)."""
        return normalised(self.weight, self.gain)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, self.beside), self.kernel(), self.bias, self.stride)


class ShiftedTranspose(nn.ConvTranspose2d, WeightNormalised):
    """(B, in, H, W) to (B, out, 2·H, 2·W).

    Output (r, c) sees row ⌊r/2⌋, in the right stream column ⌊c/2⌋, and in the down stream c/2, or,
    for an odd c, the two beside it.
    """

    def __init__(self, inputs: int, outputs: int, stream: Stream) -> None:
        rows, columns = KERNELS[stream]
        cropped = (0, columns // 2 if stream == "down" else 0)
        super().__init__(inputs, outputs, (rows, columns), 2, cropped, output_padding=cropped)
        self.cropped = cropped
        self._normalise()
        state_matrices(self.weight, turned=True)

    def kernel(self) -> Tensor:
        """The convolution's kernel (in, out, rows, columns)."""
        return normalised(self.weight, self.gain, output_axis=1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return F.conv_transpose2d(
            x, self.kernel(), self.bias, self.stride, self.cropped, self.cropped
        )


class MaskedLayer(RowLeft, WeightNormalised):
    """A masked 1×1 convolution, weight-normalised."""

    def __init__(self, in_groups: Tensor, out_groups: Tensor, *, mask_type: str = "B") -> None:
        super().__init__(in_groups, out_groups, mask_type=mask_type)
        self._normalise()

    def causal_weight(self) -> Tensor:
        return normalised(super().causal_weight(), self.gain)


def normalised(weight: Tensor, gain: Tensor, output_axis: int = 0) -> Tensor:
    """gain·v/‖v‖, where each output's norm is over all its inputs and positions."""
    rest = [axis for axis in range(weight.ndim) if axis != output_axis]
    square = weight.square().sum(rest).clamp_min(1e-12)
    shape = [1] * weight.ndim
    shape[output_axis] = -1
    return weight * (gain * square.rsqrt()).view(shape)
