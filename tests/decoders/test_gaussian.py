"""σ of discretized Gaussians: fitted in groups, made by a network, with gradients everywhere."""

import pytest
import torch
from torch import Tensor

from repr_toolkit.decoders import Decoder, Deconv, GaussianDeconv, bits_per_dim
from repr_toolkit.decoders.likelihoods import DiscretizedGaussian
from repr_toolkit.decoders.sigmas import fit_sigmas


def drawn(mean: Tensor, sigma: Tensor, levels: int) -> Tensor:
    """Levels of Gaussians, uint8."""
    values = (mean + sigma * torch.randn_like(mean)).round()
    return values.clamp(0, levels - 1).to(torch.uint8)


def positions(mean: Tensor) -> Tensor:
    """The group of each of two positions."""
    return torch.arange(2).expand_as(mean)


def train(model: Decoder, x: Tensor, steps: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(steps):
        batch = x[step * 50 % len(x) :][:50]
        optimizer.zero_grad()
        model.loss(batch).backward()
        optimizer.step()


def test_every_group_has_its_sigma() -> None:
    torch.manual_seed(0)
    true = torch.tensor([0.3, 1.0, 4.0, 20.0])
    mean = torch.rand(4000, 1, 1, 4) * 8 + 4
    x = drawn(mean, true.expand_as(mean), 32)
    likelihood, one = DiscretizedGaussian(32), torch.tensor(2.0)

    def columns(mean: Tensor) -> Tensor:
        return torch.arange(4).expand_as(mean)

    pairs = [(x[:3000], mean[:3000]), (x[3000:], mean[3000:])]
    found, at_end = fit_sigmas(likelihood, pairs, 5, columns, one)
    assert not at_end.any()
    torch.testing.assert_close(found[:4], true, rtol=0.06, atol=0)
    assert found[4] == pytest.approx(2.0, rel=0.02)  # nothing but the made-up sub-pixel
    for factor in (0.97, 1.03):
        worse = found[:4] * factor
        for group in range(4):
            part = mean[..., group], x[..., group].float()
            at = [likelihood.log_prob(part[0], s[group], part[1]).sum() for s in (found, worse)]
            assert at[0] > at[1]


def test_a_group_without_variance_costs_another_image_an_end() -> None:
    mean = torch.zeros(1000, 1, 1, 1)
    x = torch.zeros(1000, 1, 1, 1, dtype=torch.uint8)
    one = torch.tensor(2.0)
    sigma, at_end = fit_sigmas(DiscretizedGaussian(16), [(x, mean)], prior=one)
    assert 0.05 < sigma < 0.5
    assert not at_end


def test_a_sigma_at_an_end_of_its_range_is_told() -> None:
    """Of two positions, one half at either edge: there the code length falls for ever."""
    model = Deconv((1, 1, 2), levels=16, features=4)
    x = torch.full((400, 1, 1, 2), 7, dtype=torch.uint8)
    x[::2, ..., 1], x[1::2, ..., 1] = 0, 15
    model.calibrate([(x, None)])
    fits = model.refitted([(x, None)])
    end = "σ of 1 of 2 positions is an end of the range in which it is sought"
    assert fits["sigma_by_position"].remark == end
    sigmas = fit_sigmas(model.likelihood, [(x, torch.full(x.shape, 7.5))], 2, positions)
    assert sigmas.at_end.tolist() == [False, True]
    assert sigmas.sigma[1] == pytest.approx(16 * 16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_numbers_wherever_the_mean_lies(dtype: torch.dtype) -> None:
    means = torch.tensor([-300.0, -0.4, 0.0, 7.2, 15.0, 15.4, 300.0], dtype=dtype)
    mean, sigma, x = torch.cartesian_prod(
        means, torch.tensor([0.1, 1.0, 16.0], dtype=dtype), torch.arange(16).to(dtype)
    ).unbind(1)
    mean.requires_grad_()
    sigma.requires_grad_()
    terms = DiscretizedGaussian(16).log_prob(mean, sigma, x)
    assert terms.isfinite().all()
    terms.sum().backward()
    assert mean.grad is not None
    assert sigma.grad is not None
    assert mean.grad.isfinite().all()
    assert sigma.grad.isfinite().all()


def test_the_gradient_is_that_of_the_likelihood() -> None:
    torch.manual_seed(0)
    mean = (torch.rand(64, dtype=torch.float64) * 20 - 2).requires_grad_()
    sigma = (torch.rand(64, dtype=torch.float64) * 3 + 0.2).requires_grad_()
    x = torch.arange(64).double() % 16
    log_prob = DiscretizedGaussian(16).log_prob
    assert torch.autograd.gradcheck(lambda m, s: log_prob(m, s, x), (mean, sigma))


def test_a_sigma_for_each_subpixel_is_worth_bits_and_is_learnt() -> None:
    """Half of each image is constant, half is noise: one σ fits neither."""
    torch.manual_seed(0)
    x = torch.randint(0, 16, (400, 1, 8, 8)).to(torch.uint8)
    x[..., :4] = 2
    seen, test = x[:300], x[300:]
    baseline = Deconv((1, 8, 8), levels=16, features=4)
    learnt = GaussianDeconv((1, 8, 8), levels=16, features=4)
    for model in (baseline, learnt):
        train(model, seen, 300)
    baseline.calibrate([(seen, None)])
    fits = baseline.refitted([(seen, None)])
    assert [*fits] == ["sigma_by_position", "sigma_by_mean"]
    with torch.no_grad():
        one, own, *refitted = (
            float(bits_per_dim(log_prob, (1, 8, 8)).mean())
            for log_prob in (
                baseline.log_prob(test),
                learnt.log_prob(test),
                *(fit.log_prob(test, None) for fit in fits.values()),
            )
        )
        sigma = learnt.mean_and_sigma(None, 1)[1]
    assert one > 3  # where 2 bits a sub-pixel are in the noise
    assert max(own, *refitted) < 2.6
    assert sigma[..., 4:].min() > 4 * sigma[..., :4].max()
