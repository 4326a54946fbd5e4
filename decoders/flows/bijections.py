"""What flows are made of: maps that can be inverted, each with its log-determinant."""

from math import log

import torch
from einops import rearrange
from torch import Tensor, nn

Shape = tuple[int, int, int]
"""C, H, W."""
COUPLING_BOUND = 0.5
"""The largest |log-scale| of a coupling, unless a model sets another. Images unlike any that were
trained on meet it in coupling after coupling, and rounding errors grow by the product of the
scales."""
NORM_BOUND = 3.0
"""The largest |log-scale| that an actnorm learns."""
LEAST_DEVIATION = 1e-3
"""The least standard deviation by which an actnorm divides; that of uniform noise within one of 256
levels of images in [−½, ½) is 1.1e−3."""


def bounded(raw: Tensor, bound: float) -> Tensor:
    """raw, smoothly held within ±bound."""
    return bound * torch.tanh(raw / bound)


class Bijection(nn.Module):
    """An invertible map of (B, …), given s, the map that h is made to, or None."""

    def forward(self, x: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        """y and log|det ∂y/∂x|: one for each x, (B,), or a scalar, (), that all x share."""
        raise NotImplementedError

    def inverse(self, y: Tensor, s: Tensor | None) -> Tensor:
        raise NotImplementedError


class Squeeze(Bijection):
    """(B, C, H, W) to (B, 4·C, H/2, W/2), whose first C channels are the upper left of each 2×2."""

    def forward(self, x: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        y = rearrange(x, "b c (h i) (w j) -> b (i j c) h w", i=2, j=2)
        return y, x.new_zeros(())

    def inverse(self, y: Tensor, s: Tensor | None) -> Tensor:
        return rearrange(y, "b (i j c) h w -> b c (h i) (w j)", i=2, j=2)


class Logit(Bijection):
    """Logits of α + (1 − 2α)(x + ½) for x in [−½, ½) (1605.08803 §4.1)."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise ValueError(f"alpha lies between 0 and ½, not at {alpha}")
        self.alpha = alpha

    def forward(self, x: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        p = self.alpha + (1 - 2 * self.alpha) * (x + 0.5)
        log_p, log_rest = p.log(), torch.log1p(-p)
        terms = log(1 - 2 * self.alpha) - log_p - log_rest
        return log_p - log_rest, terms.flatten(1).sum(1)

    def inverse(self, y: Tensor, s: Tensor | None) -> Tensor:
        return (torch.sigmoid(y) - self.alpha) / (1 - 2 * self.alpha) - 0.5


class Diagonal(Bijection):
    """A scale for every sub-pixel (1410.8516 §3.3), learned by its logarithm, within ±`BOUND`."""

    BOUND = 8.0

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        log_scale = bounded(self.log_scale, self.BOUND)
        return x * log_scale.exp(), log_scale.sum()

    def inverse(self, y: Tensor, s: Tensor | None) -> Tensor:
        return y * (-bounded(self.log_scale, self.BOUND)).exp()


class ActNorm(nn.Module):
    """A scale and a bias for each channel, as y = scale·x + bias (1807.03039 §3.1).

    While `preparing`, `take` sets statistics such that y has mean 0 and variance 1 over the batch
    and all positions before anything is learned. They are buffers, and `prepared` says that they
    were set; what is learned starts at scale 1 and bias 0 on top of them.
    """

    mean: Tensor
    log_deviation: Tensor
    prepared: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("log_deviation", torch.zeros(channels))
        self.register_buffer("prepared", torch.tensor(False))
        self.preparing = False

    def take(self, x: Tensor) -> None:
        """Set the statistics from the input x (B, c, H, W), if it is `preparing`."""
        if self.preparing:
            deviation = x.std((0, 2, 3), correction=0).clamp_min(LEAST_DEVIATION)
            self.mean.copy_(x.mean((0, 2, 3)))
            self.log_deviation.copy_(deviation.log())
            self.prepared.fill_(True)

    def affine(self) -> tuple[Tensor, Tensor, Tensor]:
        """Scale, bias and log-scale, (c,) each."""
        log_scale = bounded(self.log_scale, NORM_BOUND) - self.log_deviation
        scale = log_scale.exp()
        return scale, self.bias - scale * self.mean, log_scale
