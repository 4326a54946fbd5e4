"""Likelihoods of a sub-pixel's level: exact log-probabilities and inverse-CDF draws."""

from typing import Protocol

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class Likelihood(Protocol):
    """The distribution of levels, given K parameters a sub-pixel, or a pixel.

    Parameters (B, C, H, W, K) are those of independent sub-pixels. One that couples the channels
    takes (B, 1, H, W, K), the parameters of a pixel, and a pixel's R first, then G given R, then
    B given both.
    """

    def log_prob(self, params: Tensor, x: Tensor, /) -> Tensor:
        """Natural log-probabilities (B, C or 1, H, W) of uint8 x (B, C, H, W)."""
        ...

    def draw(
        self, params: Tensor, u: Tensor, temperature: float = 1.0, before: Tensor | None = None, /
    ) -> Tensor:
        """Levels int64 (…) for parameters (…, K) and noise u (…), of one channel.

        `before` (…, c) are the levels of the pixel's c earlier channels, for a likelihood that
        couples them; None stands for none.
        """
        ...


class Categorical(nn.Module):
    """A softmax over the K levels: any distribution, no order assumed (1601.06759 §3.2)."""

    def log_prob(self, logits: Tensor, x: Tensor) -> Tensor:
        """Natural log-probabilities (B, C, H, W) of uint8 x under logits (B, C, H, W, K).

        In float32 at least, whatever autocast does.
        """
        batch, channels, height, width, _ = logits.shape
        # Rows in the logits' own memory order, so that neither is copied: the loss over a
        # contiguous last dimension takes half the time of one over a strided channel dimension.
        rows = _at_least_float32(rearrange(logits, "b c h w k -> (b h w c) k"))
        levels = rearrange(x, "b c h w -> (b h w c)")
        if torch.compiler.is_compiling():
            nats = _compiled_cross_entropy(rows, levels)
        else:
            nats = F.cross_entropy(rows, levels.long(), reduction="none")
        return -rearrange(nats, "(b h w c) -> b c h w", b=batch, c=channels, h=height, w=width)

    def draw(
        self,
        logits: Tensor,
        u: Tensor,
        temperature: float = 1.0,
        before: Tensor | None = None,
    ) -> Tensor:
        """Levels int64 (…) for logits (…, K) and uniforms u (…) in [0, 1), whatever is `before`.

        The smallest v with CDF(v) > u of the pmf renormalised to the power 1/temperature. Where
        rounding leaves the CDF's total at or below u, it is the last level with mass.
        Temperature 0 takes the mode.
        """
        logits = _at_least_float32(logits)
        if temperature == 0:
            return logits.argmax(-1)
        if temperature != 1:
            # Only differences matter, and the largest at 0 cannot overflow.
            logits = (logits - logits.amax(-1, keepdim=True)) / temperature
        cdf = torch.softmax(logits, -1).cumsum(-1)
        total = cdf[..., -1]
        # Below the total, the search ends at the latest where the CDF reaches it.
        u = torch.minimum(u, torch.nextafter(total, torch.zeros_like(total)))
        level: Tensor = torch.searchsorted(cdf, u.unsqueeze(-1), right=True).squeeze(-1)
        return level


class DiscretizedGaussian(nn.Module):
    """A Gaussian's mass in the unit bins around the levels, its tails in the edge levels."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def log_prob(self, mean: Tensor, sigma: Tensor, x: Tensor) -> Tensor:
        """Natural log-probabilities of levels x, for mean and sigma (> 0) in levels; broadcast.

        Bin v is (v − ½, v + ½]; level 0 also takes all below, level levels−1 all above, so that
        the levels' probabilities sum to one.
        """
        offset = x - mean
        upper = torch.where(x >= self.levels - 1, torch.inf, (offset + 0.5) / sigma)
        lower = torch.where(x <= 0, -torch.inf, (offset - 0.5) / sigma)
        # Φ(b) − Φ(a) = Φ(−a) − Φ(−b): in the lower tail the difference keeps its digits.
        flip = lower > 0
        a = torch.where(flip, -upper, lower)
        b = torch.where(flip, -lower, upper)
        log_b: Tensor = torch.special.log_ndtr(b)
        return log_b + torch.log(-torch.expm1(torch.special.log_ndtr(a) - log_b))

    def logits(self, mean: Tensor, sigma: Tensor) -> Tensor:
        """Log-probabilities of all levels, (…, levels), for mean (…)."""
        values = torch.arange(self.levels, dtype=mean.dtype, device=mean.device)
        return self.log_prob(mean.unsqueeze(-1), sigma, values)


def _compiled_cross_entropy(logits: Tensor, levels: Tensor) -> Tensor:
    """The cross-entropy (N,) of rows of logits (N, K), as few passes of a compiled kernel.

    Inductor lowers F.cross_entropy to int64 one-hot sums; this form is one fused pass. A level
    of K or more, which compiled code cannot refuse, gives NaN.
    """
    count = logits.shape[-1]
    shifted = logits - logits.detach().amax(-1, keepdim=True)
    values = torch.arange(count, dtype=torch.int32, device=logits.device)
    chosen = torch.where(values == levels.int().unsqueeze(-1), shifted, 0).sum(-1)
    return shifted.exp().sum(-1).log() - torch.where(levels.int() < count, chosen, torch.nan)


def _at_least_float32(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()
