"""Likelihoods sum to one, keep their digits in the tails, and draw by their inverse CDF."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from repr_toolkit.decoders import Deconv
from repr_toolkit.decoders.likelihoods import Categorical, DiscretizedGaussian


def test_log_prob_is_the_sum_of_the_gathered_logits() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    x = torch.randint(0, 6, (2, 3, 4, 5), dtype=torch.uint8)
    expected = logits.log_softmax(-1).gather(-1, x.long().unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(Categorical().log_prob(logits, x), expected)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_compiled_log_prob_is_the_same(offset: float) -> None:
    """A common offset of all logits cancels before it can cost digits."""
    logits = 3 * torch.randn(2, 3, 4, 5, 17) + offset
    logits[0, 0, 0, 0, 3] = -torch.inf
    logits.requires_grad_()
    x = torch.randint(0, 17, (2, 3, 4, 5), dtype=torch.uint8)
    x[0, 0, 0, 0] = 3
    eager = Categorical().log_prob(logits, x)
    compiled = torch.compile(Categorical().log_prob, backend="eager", fullgraph=True)(logits, x)
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
    drawn = Categorical().draw(pmf.log().expand(len(u), -1), u)
    assert drawn.tolist() == [0, 0, 2, 2, 3, 3]


def test_draw_never_takes_a_level_without_mass() -> None:
    """In float32 the total may fall short of the largest u; the last level with mass it is."""
    torch.manual_seed(0)
    logits = torch.cat([torch.randn(5000, 200), torch.full((5000, 56), -math.inf)], dim=1)
    u = torch.full((5000,), 1 - 2**-24)
    drawn = Categorical().draw(logits, u)
    assert drawn.max() <= 199
    assert (logits.gather(1, drawn[:, None]) > -math.inf).all()


def test_temperature_renormalises_the_power_of_the_pmf() -> None:
    pmf = np.array([0.1, 0.2, 0.7])
    u = torch.linspace(0, 0.999, 500, dtype=torch.float64)
    logits = torch.tensor(pmf).log().expand(len(u), -1)
    cdf = np.cumsum(pmf**2 / (pmf**2).sum())
    drawn = Categorical().draw(logits, u, temperature=0.5)
    assert drawn.tolist() == np.searchsorted(cdf, u.numpy(), side="right").tolist()
    for cold in (0, 1e-30, 1e-300):  # towards the mode, without overflowing
        assert Categorical().draw(logits, u, temperature=cold).unique().tolist() == [2]


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


def test_deconv_loss_is_the_squared_error_of_scaled_intensities() -> None:
    torch.manual_seed(0)
    model = Deconv((3, 4, 6), h_dim=2, levels=16)
    x = torch.randint(0, 16, (5, 3, 4, 6), dtype=torch.uint8)
    h = torch.randn(5, 2)
    expected = ((model.mean(h, 5) / 15 - x / 15) ** 2).mean()
    torch.testing.assert_close(model.loss(x, h), expected)
