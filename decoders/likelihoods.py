"""Likelihoods of a sub-pixel's level: exact log-probabilities and inverse-CDF draws."""

from collections.abc import Iterator
from functools import reduce
from math import log
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

LikelihoodKind = Literal["categorical", "bernoulli", "logistic_mixture"]

FEW = 1 << 15
"""The most components of mixtures for which 16 levels are looked at together; for more it is 4,
which takes less arithmetic and more operations."""
FAR = 40.0
"""Standard deviations: further out than this, or than where it is, a Gaussian has no mass."""


class Likelihood(Protocol):
    """The distribution of levels, given K parameters a sub-pixel, or a pixel.

    Parameters (B, C, H, W, K) are those of independent sub-pixels. One that couples the channels
    takes (B, 1, H, W, K), the parameters of a pixel, and a pixel's R first, then G given R, then
    B given both.
    """

    coupled: bool
    """Whether it couples the channels of a pixel."""

    size: int
    """K."""

    def log_prob(self, params: Tensor, x: Tensor, /) -> Tensor:
        """Natural log-probabilities (B, C, H, W) of uint8 x (B, C, H, W).

        Where it couples channels, each is given the pixel's channels before it.
        """
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

    coupled = False

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.size = levels

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
        Temperature 0, or one below the dtype's normal numbers, takes the mode. Where logits are not
        finite it is any level.
        """
        logits = _at_least_float32(logits)
        if temperature < torch.finfo(logits.dtype).tiny:  # 0, or not to be divided by
            return logits.argmax(-1)
        if temperature != 1:
            # Only differences matter, and the largest at 0 cannot overflow.
            logits = (logits - logits.amax(-1, keepdim=True)) / temperature
        cdf = torch.softmax(logits, -1).cumsum(-1)
        total = cdf[..., -1]
        # Below the total, the search ends at the latest where the CDF reaches it.
        u = torch.minimum(u, torch.nextafter(total, torch.zeros_like(total)))
        level: Tensor = torch.searchsorted(cdf, u.unsqueeze(-1), right=True).squeeze(-1)
        return level.clamp_max_(self.size - 1)  # for logits that are not finite


class Bernoulli(nn.Module):
    """Two levels by one logit, that of level 1."""

    coupled = False
    size = 1

    def __init__(self, levels: int = 2) -> None:
        """Raises ValueError for other than two levels."""
        super().__init__()
        if levels != 2:
            raise ValueError(
                f'likelihood "bernoulli" is of two levels, not {levels}: data.levels 2 or '
                f"data.binarise make two of more"
            )

    def log_prob(self, logits: Tensor, x: Tensor) -> Tensor:
        """Natural log-probabilities (B, C, H, W) of uint8 x under logits (B, C, H, W, 1).

        In float32 at least, whatever autocast does.
        """
        logit = _at_least_float32(logits.squeeze(-1))
        return F.logsigmoid(torch.where(x > 0, logit, -logit))

    def draw(
        self, logits: Tensor, u: Tensor, temperature: float = 1.0, before: Tensor | None = None
    ) -> Tensor:
        """Levels int64 (…) for logits (…, 1) and uniforms u (…) in [0, 1), whatever is `before`.

        1 unless the probability of 0, at the power 1/temperature, exceeds u. Temperature 0, or one
        below the dtype's normal numbers, takes the mode, 0 of two that are alike.
        """
        logit = _at_least_float32(logits.squeeze(-1))
        if temperature < torch.finfo(logit.dtype).tiny:
            return (logit > 0).long()
        return (torch.sigmoid(-logit / temperature) <= u).long()


class DiscretizedLogisticMixture(nn.Module):
    """A mixture of logistic distributions, each with its mass in the bins of the levels.

    In units in which the levels are −1…1, as the networks see them: bin v is v ± 1/(levels−1);
    level 0 takes all below too, level levels−1 all above. All channels of a pixel are of the same
    component, and its mean of G is linear in R, that of B in R and G (1701.05517 §2.1, 2.2):

        p(x) = Σ_k π_k p_k(R) p_k(G | R) p_k(B | R, G)

    A pixel has K = `size` parameters, 3·M in grey and 10·M in colour for M mixtures, in blocks of
    M: the logits of π, then the channels' means, the channels' log-scales, and the coefficients
    of G by R, B by R, B by G before a tanh. No scale is below `LEAST_SCALE` bins, at which a level
    between the edges has a probability of 0.99991 at most.
    """

    coupled = True
    LEAST_SCALE = 0.05
    """The smallest scale, in bins."""
    GREATEST_LOG_SCALE = 20.0
    """At this scale all levels but the edges share less than 1e−8 of the mass."""

    def __init__(self, channels: int, levels: int, mixtures: int = 10) -> None:
        """Raises ValueError for less than one mixture."""
        super().__init__()
        if mixtures < 1:
            raise ValueError(f"mixtures is at least 1, not {mixtures}")
        self.channels, self.levels, self.mixtures = channels, levels, mixtures
        self.size = mixtures * (1 + 2 * channels + channels * (channels - 1) // 2)
        self.bin = 2 / (levels - 1)
        self.log_scales = (log(self.LEAST_SCALE * self.bin), self.GREATEST_LOG_SCALE)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """log p(R), log p(G | R) and log p(B | R, G), (B, C, H, W), of uint8 x (B, C, H, W).

        `params` are (B, 1, H, W, K). In float32 at least, whatever autocast does.
        """
        sums = self._joint(params[:, 0], x.movedim(1, -1)).logsumexp(-1)  # (C + 1, B, H, W)
        return sums.diff(dim=0).movedim(0, 1)

    def draw(
        self, params: Tensor, u: Tensor, temperature: float = 1.0, before: Tensor | None = None
    ) -> Tensor:
        """Levels int64 (…) of the channel after those `before` (…, c), for params (…, K), u (…).

        The smallest v with CDF(v) > u; where temperature is not 1, of the pmf
        renormalised to the power 1/temperature. That is the pmf of this channel: the components'
        weights given the channels before it stay as they are. Temperature 0 takes the mode.
        """
        if before is None:
            before = u.new_empty(*u.shape, 0)
        blocks = self._blocks(params)
        logits = self._logits(blocks, before)
        mean, log_scale = self._channel(blocks, before)
        if temperature != 1:
            log_pmf = self._tabulated(logits.log_softmax(-1), mean, log_scale)
            return Categorical(self.levels).draw(log_pmf, u.to(log_pmf), temperature)
        return self._search(u.to(logits), logits.softmax(-1), mean, (-log_scale).exp())

    def _search(self, u: Tensor, weights: Tensor, mean: Tensor, inverse_scale: Tensor) -> Tensor:
        """The smallest level whose CDF exceeds u (…), of components (…, M).

        Of the levels in question, equally spaced ones are looked at, and those between two of them
        next. Where parameters are few, an operation costs more than its arithmetic, and many levels
        are looked at together. The native engine bisects, to the same level.
        """
        last = self.levels - 1
        ways = 16 if mean.numel() <= FEW else 4
        step = 1
        while step < self.levels:
            step *= ways
        mean, weights = mean.unsqueeze(-2), weights.unsqueeze(-2)  # (…, 1, M)
        inverse_scale = inverse_scale.unsqueeze(-2) / last
        low = torch.zeros_like(u)  # twice the level
        while step > 1:
            step //= ways
            # Twice the bins' upper edges, whole numbers, from the middle of all levels.
            first, end = 2 * step - self.levels, 2 * step * ways - self.levels
            edges = torch.arange(first, end, 2 * step, dtype=u.dtype, device=u.device)
            upper = torch.sub((edges + low.unsqueeze(-1)).unsqueeze(-1), mean, alpha=last)
            cdf = upper.mul_(inverse_scale).sigmoid_().mul_(weights).sum(-1)
            low = torch.add(low, (cdf <= u.unsqueeze(-1)).sum(-1), alpha=2 * step)
        return (low / 2).long().clamp_max_(last)  # there the CDF is 1, whatever the tails

    def _blocks(self, params: Tensor) -> Tensor:
        """The K parameters (…, K) in blocks (…, K/M, M), in float32 at least."""
        blocks: Tensor = _at_least_float32(params).unflatten(-1, (-1, self.mixtures))
        return blocks

    def _channel(self, blocks: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-scales (…, M) of the channel after those `before` (…, c)."""
        c = before.shape[-1]
        mean = blocks[..., 1 + c, :]
        first = 1 + 2 * self.channels + c * (c - 1) // 2
        for earlier in range(c):
            value = before[..., earlier, None].to(mean.dtype) * self.bin - 1
            mean = mean + torch.tanh(blocks[..., first + earlier, :]) * value
        log_scale = blocks[..., 1 + self.channels + c, :]
        return mean, log_scale.clamp(*self.log_scales)

    def _logits(self, blocks: Tensor, before: Tensor) -> Tensor:
        """The components' logits (…, M) given the channels `before` (…, c)."""
        logits = blocks[..., 0, :]
        channels = range(before.shape[-1])
        if not channels:
            return logits
        each = [self._channel(blocks, before[..., :c]) for c in channels]
        mean, log_scale = (torch.stack(values, -2) for values in zip(*each, strict=True))
        return logits + self._log_mass(before.unsqueeze(-1), mean, log_scale).sum(-2)

    def _joint(self, params: Tensor, x: Tensor) -> Tensor:
        """log π_k + Σ log p_k(x_c | x_<c) of every component up to every channel, (C + 1, …, M).

        The first is log π_k alone, the next includes R, and so on, over the c of x (…, c).
        """
        blocks = self._blocks(params)
        sums = [blocks[..., 0, :].log_softmax(-1)]
        for c in range(x.shape[-1]):
            mean, log_scale = self._channel(blocks, x[..., :c])
            sums.append(sums[-1] + self._log_mass(x[..., c, None], mean, log_scale))
        return torch.stack(sums)

    def _tabulated(self, weights: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        """The log-probabilities (…, levels) of a channel, for components (…, M)."""
        levels = torch.arange(self.levels, device=mean.device)
        terms: Iterator[Tensor] = (
            w.unsqueeze(-1) + self._log_mass(levels, m.unsqueeze(-1), s.unsqueeze(-1))
            for w, m, s in zip(*(t.unbind(-1) for t in (weights, mean, log_scale)), strict=True)
        )
        return reduce(torch.logaddexp, terms)  # one after the other, to keep memory small

    def _log_mass(self, levels: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        """log of the logistic mass in the bins of integer `levels`; all broadcast.

        With a and b the standardised ends of an interior bin it is
        log σ(a) + log σ(−b) + log(1 − e^(b−a)), where b − a comes from the scale alone; of an edge
        bin only the first or the second term is left. So no term is a difference of nearly equal
        numbers, and none is infinite, taken or not, which keeps every gradient finite.
        """
        last = self.levels - 1
        half = (-log_scale).exp() / last  # half a bin
        # (levels−1)·x is an integer, which is exact, unlike x.
        middle = torch.sub(2 * levels.to(mean.dtype) - last, mean, alpha=last) * half
        below = F.logsigmoid(half + middle)
        above = F.logsigmoid(half - middle)
        inside = torch.log(-torch.expm1(-2 * half))
        lowest, highest = levels == 0, levels == last
        return (
            below.masked_fill(highest, 0)
            + above.masked_fill(lowest, 0)
            + inside.masked_fill(lowest | highest, 0)
        )


def likelihood_of(kind: LikelihoodKind, channels: int, levels: int, mixtures: int) -> Likelihood:
    """The likelihood of a model with so many channels and levels, by its name.

    Raises ValueError for another name, other than two levels of "bernoulli", and for less than one
    mixture.
    """
    if kind == "categorical":
        return Categorical(levels)
    if kind == "bernoulli":
        return Bernoulli(levels)
    if kind == "logistic_mixture":
        return DiscretizedLogisticMixture(channels, levels, mixtures)
    raise ValueError(
        f'likelihood is "categorical", "bernoulli" or "logistic_mixture", not {kind!r}'
    )


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
        high, low = (offset + 0.5) / sigma, (offset - 0.5) / sigma
        # Beyond these ends there is nothing, and unlike at infinity the gradient is a number.
        upper = torch.where(x >= self.levels - 1, low.clamp_min(0) + FAR, high)
        lower = torch.where(x <= 0, high.clamp_max(0) - FAR, low)
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
