"""Stages of a flow: bijections at one size, and what leaves the flow after them, by its prior."""

from math import log, pi, prod
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.conditioning import Conditioning, condition_layer, conditioned
from repr_toolkit.decoders.flows.bijections import NORM_BOUND, Bijection, Shape, bounded

PRIOR_BOUND = 4.0
"""The largest |log σ| of a prior."""


class ZeroConv(nn.Module):
    """A convolution that starts at 0, times a learned factor for each output (1807.03039 §3.3)."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2)
        self.log_factor = nn.Parameter(torch.zeros(outputs, 1, 1))
        for parameter in self.conv.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y * bounded(3 * self.log_factor, NORM_BOUND).exp()


def zero_condition(s_channels: int, outputs: int) -> nn.Conv2d | None:
    """V to a prior's parameters, which starts at 0; None without s."""
    v = condition_layer(s_channels, outputs)
    if v is not None:
        nn.init.zeros_(v.weight)
    return v


class Prior(nn.Module):
    """What leaves the flow at the end of a stage, z (B, *part), and its density.

    Of x (B, *shape) the rest, or None, goes on to the next stage.
    """

    def __init__(self, part: Shape) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Tensor, s: Tensor | None) -> tuple[Tensor | None, Tensor, Tensor]:
        """The rest; z, or its standardised form; log p(z | rest, s), (B,)."""
        raise NotImplementedError

    def inverse(self, rest: Tensor | None, z: Tensor, s: Tensor | None) -> Tensor:
        """x from what `forward` returned."""
        raise NotImplementedError

    def standardised(self, z: Tensor) -> Tensor:
        """Standard normal numbers of what `forward` returned, which are these already."""
        return z

    def restored(self, z: Tensor) -> Tensor:
        """What `standardised` came from."""
        return z


class GaussianPrior(Prior):
    """z normal, with a mean and σ learned, or made of the rest and of s; z is standardised.

    With `split` the first half of the channels is the rest, and the second leaves; without, all
    leave. Without `learned`, and without s, mean and σ are 0 and 1.
    """

    def __init__(self, shape: Shape, s_channels: int, *, split: bool, learned: bool) -> None:
        channels, *size = shape
        goes_on = channels // 2 if split else 0
        outputs = 2 * (channels - goes_on)
        super().__init__((channels - goes_on, size[0], size[1]))
        self.split = split
        self.given = ZeroConv(goes_on, outputs, 3) if split and learned else None
        self.start = nn.Parameter(torch.zeros(outputs, 1, 1)) if learned and not split else None
        self.condition = zero_condition(s_channels, outputs)

    def forward(self, x: Tensor, s: Tensor | None) -> tuple[Tensor | None, Tensor, Tensor]:
        rest, part = x.tensor_split([x.shape[1] - self.part[0]], 1) if self.split else (None, x)
        mean, log_sigma = self._moments(rest, x, s)
        z = (part - mean) * (-log_sigma).exp()
        return rest, z, (-0.5 * z.square() - log_sigma - 0.5 * log(2 * pi)).flatten(1).sum(1)

    def inverse(self, rest: Tensor | None, z: Tensor, s: Tensor | None) -> Tensor:
        mean, log_sigma = self._moments(rest, z, s)
        part = z * log_sigma.exp() + mean
        return part if rest is None else torch.cat([rest, part], 1)

    def _moments(
        self, rest: Tensor | None, like: Tensor, s: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Mean and log σ, which broadcast to (B, *part)."""
        with torch.autocast(like.device.type, enabled=False):
            raw = like.new_zeros(1, 2 * self.part[0], 1, 1)
            if self.given is not None:
                raw = raw + self.given(rest)
            if self.start is not None:
                raw = raw + self.start
            raw = conditioned(raw, self.condition, None if s is None else s.to(like.dtype))
            mean, log_sigma = raw.chunk(2, 1)
            return mean, bounded(log_sigma, PRIOR_BOUND)


class LogisticPrior(Prior):
    """Independent logistic numbers (1410.8516 §3.4), whose place and scale h may move.

    z is standardised by Φ⁻¹ ∘ F, F the logistic CDF; log p(x) is the same in either form.
    """

    def __init__(self, shape: Shape, s_channels: int) -> None:
        super().__init__(shape)
        self.condition = zero_condition(s_channels, 2 * prod(shape))

    def forward(self, x: Tensor, s: Tensor | None) -> tuple[Tensor | None, Tensor, Tensor]:
        place, log_scale = self._moments(x, s)
        z = (x - place) * (-log_scale).exp()
        return None, z, (-z - 2 * F.softplus(-z) - log_scale).flatten(1).sum(1)

    def inverse(self, rest: Tensor | None, z: Tensor, s: Tensor | None) -> Tensor:
        place, log_scale = self._moments(z, s)
        return z * log_scale.exp() + place

    def standardised(self, z: Tensor) -> Tensor:
        return normal_of_logistic(z)

    def restored(self, z: Tensor) -> Tensor:
        return logistic_of_normal(z)

    def _moments(self, like: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.condition is None or s is None:
            return like.new_zeros(()), like.new_zeros(())
        with torch.autocast(like.device.type, enabled=False):
            raw: Tensor = self.condition(s.to(like.dtype))
            place, log_scale = raw.reshape(-1, 2, *self.part).unbind(1)
            return place, bounded(log_scale, PRIOR_BOUND)


def logistic_of_normal(e: Tensor) -> Tensor:
    """F⁻¹(Φ(e)), accurate in both tails."""
    logits: Tensor = torch.special.log_ndtr(e) - torch.special.log_ndtr(-e)
    return logits


def normal_of_logistic(z: Tensor) -> Tensor:
    """Φ⁻¹(F(z)), accurate in both tails, by Newton's method on `logistic_of_normal`."""
    size = z.abs()
    near = -torch.special.ndtri(torch.sigmoid(-size.clamp(max=60)))
    e = torch.where(size < 60, near, (2 * size).sqrt())
    for _ in range(3):
        log_above = torch.special.log_ndtr(-e)
        log_below = torch.special.log_ndtr(e)
        log_density = -0.5 * e.square() - 0.5 * log(2 * pi)
        slope = (log_density - log_above).exp() + (log_density - log_below).exp()
        e = e - (log_below - log_above - size) / slope
    normal: Tensor = e * z.sign()
    return normal


class Stage(nn.Module):
    """Bijections at one size, given s of that size, and a prior, or none where all of x goes on.

    `conditioning` makes s of h, and is None without h.
    """

    def __init__(
        self, conditioning: Conditioning | None, steps: Bijection, prior: Prior | None
    ) -> None:
        super().__init__()
        self.conditioning = conditioning
        self.steps = steps
        self.prior = prior

    def forward(self, x: Tensor, h: Tensor | None) -> tuple[Tensor | None, Tensor | None, Tensor]:
        """What goes on, what leaves, and the logarithm (B,) of determinant and density."""
        s = self._s(h)
        x, log_det = self.steps(x, s)
        if self.prior is None:
            return x, None, log_det
        rest, z, log_p = self.prior(x, s)
        return rest, z, log_p + log_det

    def inverse(self, rest: Tensor | None, z: Tensor | None, h: Tensor | None) -> Tensor:
        s = self._s(h)
        x = rest if self.prior is None else self.prior.inverse(rest, cast("Tensor", z), s)
        return self.steps.inverse(cast("Tensor", x), s)

    def _s(self, h: Tensor | None) -> Tensor | None:
        if self.conditioning is None or h is None:
            return None
        s: Tensor = self.conditioning(h)
        return s
