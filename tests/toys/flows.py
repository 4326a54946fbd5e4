"""A flow whose likelihood of discrete images is known."""

from math import log, prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders import Flow
from repr_toolkit.decoders.flows.stages import logistic_of_normal, normal_of_logistic

LOGISTIC = {"class_path": "toys.flows.Logistic"}


class Logistic(Flow):
    """Each sub-pixel by itself, logistic around the middle of its range; z has two scales.

    With h, whose mean moves them all.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], h_dim: int = 0, levels: int = 256
    ) -> None:
        super().__init__(image_shape, h_dim, levels)
        self.log_scale = nn.Parameter(torch.full(image_shape, log(0.2)))

    @property
    def z_scales(self) -> tuple[slice, ...]:
        count = prod(self.image_shape)
        return slice(0, count // 4), slice(count // 4, count)

    def place(self, h: Tensor | None) -> Tensor | float:
        return 0.0 if h is None else h.mean(1)[:, None, None, None]

    def transform(self, y: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = ((y - self.place(h)) * (-self.log_scale).exp()).flatten(1)
        log_p = (-v - 2 * F.softplus(-v)).sum(1) - self.log_scale.sum()
        return normal_of_logistic(v), log_p

    def log_density(self, y: Tensor, h: Tensor | None = None) -> Tensor:
        return self.transform(y, h)[1]

    def inverse(self, z: Tensor, h: Tensor | None = None) -> Tensor:
        v = logistic_of_normal(z).unflatten(1, self.image_shape)
        return v * self.log_scale.exp() + self.place(h)

    def exact_log_prob(self, x: Tensor) -> Tensor:
        """log p(x), (B,), of images (B, C, H, W): the mass of each sub-pixel's bin."""
        low, high = ((x.double() + k) / self.levels - 0.5 for k in (0, 1))
        scale = self.log_scale.double().exp()
        mass = torch.sigmoid(high / scale) - torch.sigmoid(low / scale)
        return mass.log().flatten(1).sum(1)
