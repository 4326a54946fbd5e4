"""Where in their bins images lie: noise that a flow of its own makes of uniform noise."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.flows.bijections import Shape
from repr_toolkit.decoders.flows.chain import Chain
from repr_toolkit.decoders.flows.couplings import CheckerboardCoupling
from repr_toolkit.decoders.flows.networks import ResidualNet
from repr_toolkit.decoders.streams import apart

DequantisationKind = Literal["uniform", "variational"]
FEATURES, BLOCKS, COUPLINGS = 32, 1, 4


class VariationalNoise(nn.Module):
    """u (B, C, H, W) in [0, 1) of an image and uniform noise, by q(u|x) (1902.00275 §3.2).

    Four checkerboard couplings of the noise's logits, whose networks see the image. They start as
    the identity, where u is the noise itself and q = 1. They see no h, and keep in memory what
    their backward pass needs, whatever the `memory` of the flow; their log-scales are held within
    ±0.5, whatever its `bound`.
    """

    def __init__(self, image_shape: Shape) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.see = nn.Conv2d(channels, FEATURES, 3, padding=1)
        self.steps = Chain(
            [
                CheckerboardCoupling(
                    ResidualNet(channels, 2 * channels, FEATURES, BLOCKS, FEATURES),
                    (height, width),
                    affine=True,
                    odd=bool(i % 2),
                )
                for i in range(COUPLINGS)
            ]
        )

    def forward(self, scaled: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """u, and log 1/q(u|x), (B,), for images in [−½, ½) and noise (B, C, H, W)."""
        rest = torch.finfo(noise.dtype).eps
        noise = noise.clamp(rest, 1 - rest)
        v = noise.logit()
        moved, log_det = self.steps(v, F.relu(self.see(scaled)))
        u = torch.sigmoid(moved).clamp_max(1 - rest)
        terms = F.logsigmoid(moved) + F.logsigmoid(-moved) - noise.log() - torch.log1p(-noise)
        return u, log_det + terms.flatten(1).sum(1)


def variational_noise(kind: DequantisationKind, image_shape: Shape) -> VariationalNoise | None:
    """What makes the noise; None for "uniform". Raises ValueError for another kind."""
    if kind == "uniform":
        return None
    if kind == "variational":
        with apart():
            return VariationalNoise(image_shape)
    raise ValueError(f'dequantisation is "uniform" or "variational", not {kind!r}')
