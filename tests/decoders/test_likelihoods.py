"""Likelihoods sum to one, keep their digits in the tails, and draw by their inverse CDF."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chi2, norm
from torch import Tensor

from repr_toolkit.decoders import Deconv, GatedPixelCNN, likelihoods
from repr_toolkit.decoders.likelihoods import (
    Bernoulli,
    Categorical,
    DiscretizedGaussian,
    DiscretizedLogisticMixture,
    likelihood_of,
)


def test_log_prob_is_the_sum_of_the_gathered_logits() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    x = torch.randint(0, 6, (2, 3, 4, 5), dtype=torch.uint8)
    expected = logits.log_softmax(-1).gather(-1, x.long().unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(Categorical(6).log_prob(logits, x), expected)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_compiled_log_prob_is_the_same(offset: float) -> None:
    """A common offset of all logits cancels before it can cost digits."""
    logits = 3 * torch.randn(2, 3, 4, 5, 17) + offset
    logits[0, 0, 0, 0, 3] = -torch.inf
    logits.requires_grad_()
    x = torch.randint(0, 17, (2, 3, 4, 5), dtype=torch.uint8)
    x[0, 0, 0, 0] = 3
    eager = Categorical(17).log_prob(logits, x)
    compiled = torch.compile(Categorical(17).log_prob, backend="eager", fullgraph=True)(logits, x)
    torch.testing.assert_close(compiled, eager)
    assert compiled[0, 0, 0, 0] == -torch.inf
    weights = torch.randn_like(eager)
    weights[0, 0, 0, 0] = 0
    inside = torch.isfinite(logits.detach())
    grads = [
        torch.autograd.grad(y[1:].mul(weights[1:]).sum(), logits)[0][1:] for y in (eager, compiled)
    ]
    assert inside[1:].all()
    torch.testing.assert_close(grads[1], grads[0])
    torch.compiler.reset()


def test_draw_is_the_smallest_level_whose_cdf_exceeds_u() -> None:
    pmf = torch.tensor([0.25, 0.0, 0.5, 0.25, 0.0], dtype=torch.float64)
    u = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53], dtype=torch.float64)
    drawn = Categorical(5).draw(pmf.log().expand(len(u), -1), u)
    assert drawn.tolist() == [0, 0, 2, 2, 3, 3]


def test_draw_never_takes_a_level_without_mass() -> None:
    """In float32 the total may fall short of the largest u; the last level with mass it is."""
    torch.manual_seed(0)
    logits = torch.cat([torch.randn(5000, 200), torch.full((5000, 56), -math.inf)], dim=1)
    u = torch.full((5000,), 1 - 2**-24)
    drawn = Categorical(256).draw(logits, u)
    assert drawn.max() <= 199
    assert (logits.gather(1, drawn[:, None]) > -math.inf).all()


def test_temperature_renormalises_the_power_of_the_pmf() -> None:
    pmf = np.array([0.1, 0.2, 0.7])
    u = torch.linspace(0, 0.999, 500, dtype=torch.float64)
    logits = torch.tensor(pmf).log().expand(len(u), -1)
    cdf = np.cumsum(pmf**2 / (pmf**2).sum())
    drawn = Categorical(3).draw(logits, u, temperature=0.5)
    assert drawn.tolist() == np.searchsorted(cdf, u.numpy(), side="right").tolist()
    for cold in (0, 1e-30, 1e-300):  # towards the mode, without overflowing
        assert Categorical(3).draw(logits, u, temperature=cold).unique().tolist() == [2]


@pytest.mark.parametrize("mean", [-40.0, 0.3, 6.5, 13.9, 300.0])
@pytest.mark.parametrize("sigma", [0.05, 1.0, 500.0])
def test_discretized_gaussian(mean: float, sigma: float) -> None:
    likelihood = DiscretizedGaussian(levels=16)
    log_pmf = likelihood.logits(*torch.tensor([mean, sigma], dtype=torch.float64)).numpy()
    assert abs(np.exp(log_pmf).sum() - 1) < 1e-12
    edges = (np.arange(17) - 0.5 - mean) / sigma
    edges[0], edges[-1] = -np.inf, np.inf
    # The reference takes each bin in the tail where its own difference keeps its digits.
    lower, upper = np.diff(norm.cdf(edges)), -np.diff(norm.sf(edges))
    reference = np.where(edges[:-1] > 0, upper, lower)
    visible = reference > 1e-290
    np.testing.assert_allclose(np.exp(log_pmf)[visible], reference[visible], rtol=1e-7)
    assert np.isfinite(log_pmf).all()


def test_deconv_fits_sigma_by_maximum_likelihood() -> None:
    torch.manual_seed(0)
    model = Deconv((1, 8, 8), levels=256)
    with torch.no_grad():
        mean = model.mean(None, 200)
    x = (mean + 7.0 * torch.randn_like(mean)).round().clamp(0, 255).to(torch.uint8)
    model.calibrate([(x[:100], None), (x[100:], None)])
    assert model.sigma.item() == pytest.approx(7.0, rel=0.03)
    assert "sigma" in model.state_dict()
    best = model.log_prob(x).sum()
    for factor in (0.97, 1.03):
        model.sigma.mul_(factor)
        assert model.log_prob(x).sum() < best
        model.sigma.div_(factor)


@pytest.mark.parametrize(
    ("counts", "mean", "inside"),
    [
        ({0: 970, 1: 10, 8: 10, 15: 10}, 0.24, True),  # the best σ is five times the RMS
        ({0: 900, 8: 20, 15: 80}, 1.36, True),  # nineteen times
        ({4: 490, 5: 500, 6: 10}, 4.52, True),
        ({0: 970, 15: 30}, 0.45, False),  # towards one bit as σ grows for ever
        ({4: 1000}, 4.499, False),  # towards none as it falls
    ],
)
def test_deconv_seeks_sigma_as_far_as_it_lies(
    counts: dict[int, int], mean: float, inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = 16
    x = torch.tensor([level for level, count in counts.items() for _ in range(count)])
    model = Deconv((1, 1, 1), levels=levels)
    monkeypatch.setattr(model, "mean", lambda h, batch: torch.full((batch, 1, 1, 1), mean))
    assert not model.remark
    model.calibrate([(x.to(torch.uint8).view(-1, 1, 1, 1), None)])

    sigmas = np.geomspace(0.01, 16 * levels, 20_001)
    edges = np.arange(levels + 1) - 0.5 - mean
    edges[0], edges[-1] = -np.inf, np.inf
    pmf = [norm.cdf(edges[v + 1] / sigmas) - norm.cdf(edges[v] / sigmas) for v in counts]
    nats = -(np.array([*counts.values()]) @ np.log(np.maximum(pmf, 1e-300)))
    expected = float(sigmas[nats.argmin()])
    assert (0.02 < expected < 255) is inside
    assert model.sigma.item() == pytest.approx(expected, rel=0.02)
    end = "" if inside else f"σ = {expected:g} is an end of the range in which it is sought"
    assert model.remark.partition(":")[0] == end


def test_deconv_loss_is_the_squared_error_of_scaled_intensities() -> None:
    torch.manual_seed(0)
    model = Deconv((3, 4, 6), h_dim=2, levels=16)
    x = torch.randint(0, 16, (5, 3, 4, 6), dtype=torch.uint8)
    h = torch.randn(5, 2)
    expected = ((model.mean(h, 5) / 15 - x / 15) ** 2).mean()
    torch.testing.assert_close(model.loss(x, h), expected)


def reference(like: DiscretizedLogisticMixture, params: Tensor, x: Tensor) -> Tensor:
    """log p of pixels x (N, C) given params (N, K), in float64 and log space."""
    blocks = params.double().unflatten(1, (-1, like.mixtures))
    total = blocks[:, 0].log_softmax(1)
    width = 2 / (like.levels - 1)
    scaled = x.double() * width - 1
    for c in range(like.channels):
        mean = blocks[:, 1 + c].clone()
        for e in range(c):
            coefficient = blocks[:, 1 + 2 * like.channels + c * (c - 1) // 2 + e].tanh()
            mean += coefficient * scaled[:, e, None]
        scale = blocks[:, 1 + like.channels + c].exp().clamp_min(like.LEAST_SCALE * width)
        upper = (scaled[:, c, None] + width / 2 - mean) / scale
        lower = (scaled[:, c, None] - width / 2 - mean) / scale
        # In the tail where both are far below the middle, their difference keeps its digits.
        flip = upper + lower > 0
        log_b, log_a = (
            F.logsigmoid(torch.where(flip, one, other))
            for one, other in ((-lower, upper), (-upper, lower))
        )
        inside = log_b + torch.log(-torch.expm1(log_a - log_b))
        level = x[:, c, None]
        edges = torch.where(level == 0, F.logsigmoid(upper), F.logsigmoid(-lower))
        total += torch.where((level == 0) | (level == like.levels - 1), edges, inside)
    return total.logsumexp(1)


def extreme(like: DiscretizedLogisticMixture, count: int) -> tuple[Tensor, Tensor]:
    """Parameters (count, K) with log-scales −7…7, and pixels (count, C), a third at the edges."""
    params = torch.randn(count, like.size)
    blocks, channels = params.view(count, -1, like.mixtures), like.channels
    blocks[:, 1 : 1 + channels] *= 1.5
    blocks[:, 1 + channels : 1 + 2 * channels] = torch.rand(count, channels, like.mixtures) * 14 - 7
    x = torch.randint(0, like.levels, (count, channels))
    edge = torch.rand(count, channels) < 1 / 3
    x[edge] = torch.randint(0, 2, (int(edge.sum()),)) * (like.levels - 1)
    return params, x.to(torch.uint8)


@pytest.mark.parametrize("levels", [2, 5, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_logistic_mixture_agrees_with_log_space(channels: int, levels: int) -> None:
    torch.manual_seed(0)
    like = DiscretizedLogisticMixture(channels, levels, mixtures=5)
    params, x = extreme(like, 20000)
    params.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):  # which it does not heed
        terms = like.log_prob(params[None, None, None], x.T[None, :, None])
    assert terms.dtype == torch.float32
    assert (terms <= 1e-6).all()
    expected = reference(like, params.detach(), x)
    error = (terms.sum(1).flatten().double() - expected).abs() / expected.abs().clamp_min(1)
    assert error.max() < 1e-4
    terms.sum().backward()
    assert params.grad is not None
    assert params.grad.isfinite().all()


@pytest.mark.parametrize("value", [-1e4, -40.0, 40.0, 1e4])
def test_logistic_mixture_stays_finite_whatever_the_parameters(value: float) -> None:
    like = DiscretizedLogisticMixture(3, 256, mixtures=2)
    for block in range(10):
        params = torch.zeros(1, 1, 1, 256, like.size)
        params[..., 2 * block : 2 * block + 1] = value
        params.requires_grad_()
        x = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
        terms = like.log_prob(params, x)
        terms.sum().backward()
        assert terms.isfinite().all()
        assert params.grad is not None
        assert params.grad.isfinite().all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("levels", [2, 3, 6])
def test_logistic_mixture_draws_what_enumeration_says(channels: int, levels: int) -> None:
    """By a chi-square test of whole pixels, with one noise a channel."""
    torch.manual_seed(0)
    like, count = DiscretizedLogisticMixture(channels, levels, mixtures=3), 100_000
    params = torch.randn(like.size, dtype=torch.float64)
    pixels = torch.cartesian_prod(*[torch.arange(levels)] * channels).view(-1, channels)
    log_p = like.log_prob(
        params.expand(1, 1, 1, len(pixels), -1), pixels.T.to(torch.uint8)[None, :, None]
    )
    p = log_p.sum(1).exp().flatten().numpy()
    assert abs(p.sum() - 1) < 1e-12
    drawn = torch.empty(count, 0, dtype=torch.int64)
    for _ in range(channels):
        u = torch.rand(count, dtype=torch.float64)
        level = like.draw(params.expand(count, -1), u, 1.0, drawn)
        drawn = torch.cat([drawn, level[:, None]], 1)
        order = u.argsort()
        if drawn.shape[1] == 1:  # monotone in the noise
            assert (level[order].diff() >= 0).all()
    index = (drawn * levels ** torch.arange(channels - 1, -1, -1)).sum(1)
    seen = torch.bincount(index, minlength=len(pixels)).numpy()
    often = p * count >= 5
    chi_square = ((seen - p * count)[often] ** 2 / (p * count)[often]).sum()
    assert chi2.sf(chi_square, often.sum() - 1) > 1e-3


@pytest.mark.parametrize("few", [0, 10**9])
@pytest.mark.parametrize("levels", [2, 5, 16, 17, 256])
def test_logistic_mixture_draws_the_smallest_level_whose_cdf_exceeds_u(
    levels: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many levels are looked at together."""
    monkeypatch.setattr(likelihoods, "FEW", few)
    torch.manual_seed(0)
    like, count = DiscretizedLogisticMixture(3, levels, mixtures=5), 500
    params, x = (value.double() for value in extreme(like, count))
    u = torch.rand(count, dtype=torch.float64)
    for c in range(3):
        images = x.T[None, :, :, None].to(torch.uint8).repeat(1, 1, 1, levels)
        images[0, c] = torch.arange(levels)
        every = params[None, None, :, None].expand(1, 1, count, levels, -1)
        terms = like.log_prob(every, images)[0, c]  # (count, levels)
        cdf = terms.exp().cumsum(1)
        level = like.draw(params, u, 1.0, x[:, :c].long())
        assert (cdf.gather(1, level[:, None])[:, 0] > u - 1e-9).all()
        below = cdf.gather(1, (level[:, None] - 1).clamp_min(0))[:, 0]
        assert ((below <= u + 1e-9) | (level == 0)).all()
        assert len(level.unique()) > min(levels, 20) / 2


@pytest.mark.parametrize("temperature", [0.0, 0.5, 2.0])
def test_logistic_mixture_tempers_a_channel_alone(temperature: float) -> None:
    """The weights of the components given the earlier channels are not tempered."""
    torch.manual_seed(0)
    like, count = DiscretizedLogisticMixture(3, 7, mixtures=3), 2001
    params = 2 * torch.randn(like.size, dtype=torch.float64)
    u = torch.linspace(0, 1 - 1e-9, count, dtype=torch.float64)
    for c in range(3):
        before = torch.randint(0, 7, (c,))
        pixels = torch.zeros(3, 7, dtype=torch.uint8)
        pixels[:c] = before[:, None]
        pixels[c] = torch.arange(7)
        terms = like.log_prob(params.expand(1, 1, 1, 7, -1), pixels[None, :, None])[0, c, 0]
        drawn = like.draw(params.expand(count, -1), u, temperature, before.expand(count, -1))
        assert torch.equal(drawn, Categorical(7).draw(terms.expand(count, -1), u, temperature))


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0, 0.0, 1e-320])
def test_one_logit_is_a_softmax_of_two_levels(temperature: float) -> None:
    torch.manual_seed(0)
    logit = 4 * torch.randn(2, 3, 5, 7, 1, dtype=torch.float64)
    logit[0, 0, 0, :2, 0] = torch.tensor([-800.0, 800.0])
    two = torch.cat([torch.zeros_like(logit), logit], -1)
    x = torch.randint(0, 2, logit.shape[:-1]).to(torch.uint8)
    one = Bernoulli()
    torch.testing.assert_close(one.log_prob(logit, x), Categorical(2).log_prob(two, x))
    u = torch.rand(x.shape, dtype=torch.float64)
    expected = Categorical(2).draw(two, u, temperature)
    assert torch.equal(one.draw(logit, u, temperature), expected)


def test_likelihoods_by_name() -> None:
    assert isinstance(likelihood_of("categorical", 3, 4, 10), Categorical)
    assert likelihood_of("bernoulli", 3, 2, 10).size == 1
    with pytest.raises(ValueError, match="of two levels, not 4"):
        likelihood_of("bernoulli", 3, 4, 10)
    assert likelihood_of("logistic_mixture", 3, 4, 10).size == 100
    with pytest.raises(ValueError, match="mixtures is at least 1, not 0"):
        likelihood_of("logistic_mixture", 3, 4, 0)
    with pytest.raises(ValueError, match='"bernoulli" or "logistic_mixture", not \'normal\''):
        GatedPixelCNN((1, 2, 2), features=2, layers=1, **{"likelihood": "normal"})
