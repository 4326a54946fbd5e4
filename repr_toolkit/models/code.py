"""The code of a flow, z = f(x), as the h of an encoder and of a decoder.

Whoever takes h of images, moves it and decodes it takes z by these two, and knows no difference.
"""

from collections.abc import Mapping
from math import prod
from typing import ClassVar

from torch import Tensor, nn

from repr_toolkit.decoders import Decoder, Flow
from repr_toolkit.decoders.engines.draw import Engine


class FlowCode(nn.Module):
    """An encoder: z (B, C·H·W), standardised, of images uint8 (B, C, H, W), by a flow without h.

    `parts` are where the scales of the flow stand in z: `scale1`, the finest, and so on.
    """

    source = "image"

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow
        self.image_shape, self.levels = flow.image_shape, flow.levels
        self.h_dim = prod(flow.image_shape)
        self.parts = {f"scale{number}": part for number, part in enumerate(flow.z_scales, 1)}

    def forward(self, x: Tensor) -> Tensor:
        return self.flow.encode(x)


class FlowImages(Decoder):
    """A decoder: the image uint8 (B, C, H, W) that an unconditional flow makes of z (B, C·H·W).

    It draws nothing, so it has no likelihood: that of the image is the flow's own.
    """

    deterministic: ClassVar[bool] = True
    reconstruction_temperature: ClassVar[float] = 0.0
    completes: ClassVar[bool] = False
    engines: ClassVar[Mapping[str, Engine]] = {
        "inverse": Engine(lambda model, draw: model.flow.decode(draw.h))
    }

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow.image_shape, prod(flow.image_shape), flow.levels)
        self.flow = flow


def named_by(encoder: object) -> object:
    """The module whose class says what an encoder is: its flow's, or its own."""
    return encoder.flow if isinstance(encoder, FlowCode) else encoder
