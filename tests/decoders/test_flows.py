"""Flows: z and back, the density's closed form, and what stands in z."""

from itertools import combinations
from math import log, pi, prod

import pytest
import torch
from cases import (
    Case,
    hard_images,
    is_flow,
    prepared,
    random_h,
    random_images,
    tame,
    those,
)

from repr_toolkit.decoders import NICE
from repr_toolkit.decoders.flows.stages import logistic_of_normal, normal_of_logistic


@those(is_flow)
def test_images_come_back(case: Case) -> None:
    torch.manual_seed(0)
    model = prepared(tame(case.build()))
    x = hard_images(model)
    h = random_h(model, len(x))
    z = model.encode(x, h)
    assert z.shape == (len(x), prod(case.shape))
    assert z.dtype == torch.float64
    assert torch.equal(model.decode(z, h), x)
    assert model.round_trip_error(x, h).max() < 1e-10
    again, redone = model.float().reconstruct(x, None if h is None else h.float())
    assert torch.equal(again, x)
    assert redone.shape == (len(x),)


@those(is_flow)
def test_a_sample_is_decoded_scaled_noise(case: Case) -> None:
    torch.manual_seed(0)
    model = prepared(tame(case.build()))
    noise = torch.randn(3, *case.shape, dtype=torch.float64)
    h = random_h(model, 3)
    drawn = model.sample(h, None if model.h_dim else 3, noise=noise, temperature=0.7)
    assert torch.equal(drawn, model.decode(0.7 * noise.flatten(1), h))
    assert len(drawn.unique()) > 1


@those(is_flow)
def test_noise_says_where_in_its_bin_a_sub_pixel_lies(case: Case) -> None:
    torch.manual_seed(0)
    model = prepared(tame(case.build()))
    x, h = random_images(model, 3), random_h(model, 3)
    u = torch.rand(x.shape, dtype=torch.float64)
    z = model.encode(x, h, u)
    assert not torch.equal(z, model.encode(x, h))
    if "dequantisation" not in case.kwargs:  # which may lie at the very edge of a bin
        assert torch.equal(model.decode(z, h), x)
    y, log_q = model.dequantise(x, u)
    expected = model.log_density(y, h) + log_q - y[0].numel() * log(model.levels)
    torch.testing.assert_close(model.log_prob(x, h, noise=u), expected)
    with pytest.raises(ValueError, match=r"outside \[0, 1\)"):
        model.encode(x, h, u + 1)


@those(is_flow)
def test_the_density_is_that_of_z_times_the_jacobian(case: Case) -> None:
    """z standard normal: log p(y) = log N(z; 0, 1) + log|det ∂z/∂y|."""
    torch.manual_seed(0)
    model = case.build()
    y, h = torch.rand(2, *case.shape, dtype=torch.float64) - 0.5, random_h(model, 2)
    z, log_p = model.transform(y, h)
    jacobian = torch.autograd.functional.jacobian(
        lambda y: model.transform(y, h)[0].sum(0), y
    ).flatten(2)  # (D, 2, D)
    for image in range(2):
        log_det = torch.linalg.slogdet(jacobian[:, image]).logabsdet
        normal = -0.5 * (z[image].square() + log(2 * pi)).sum()
        torch.testing.assert_close(log_p[image], normal + log_det, rtol=1e-9, atol=1e-9)


@those(is_flow)
def test_the_parts_of_z_are_all_of_it(case: Case) -> None:
    model = case.build()
    whole = torch.arange(prod(case.shape))
    assert torch.equal(torch.cat([whole[part] for part in model.z_scales]), whole)


@those(is_flow)
def test_the_likelihood_is_float32_under_autocast(case: Case) -> None:
    torch.manual_seed(0)
    model = prepared(tame(case.build())).float()
    x, h = random_images(model, 3), random_h(model, 3)
    u = torch.rand(x.shape)
    exact = model.log_prob(x, h, noise=u)
    z = model.encode(x, h)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model.log_prob(x, h, noise=u)
        assert torch.equal(model.encode(x, h), z)
        assert torch.equal(model.decode(z, h), x)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logistic_numbers_become_normal_ones(dtype: torch.dtype) -> None:
    """To the tails, where the CDF rounds to 0 or 1."""
    z = torch.cat([torch.linspace(-400, 400, 801), torch.linspace(-3, 3, 61)]).to(dtype)
    e = normal_of_logistic(z)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(logistic_of_normal(e), z, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(e, -e.new_tensor(normal_of_logistic(-z).tolist()))
    near = z[z.abs() < 3].double()
    cdf = torch.special.ndtr(normal_of_logistic(near))
    torch.testing.assert_close(cdf, torch.sigmoid(near), rtol=1e-12, atol=0)


def test_what_is_no_code_is_refused() -> None:
    model = NICE((1, 3, 4), 2, levels=8, layers=2, hidden=1, features=4)
    h = torch.zeros(2, 2)
    with pytest.raises(ValueError, match=r"z of shape \(B, 12\) expected, not \(2, 11\)"):
        model.decode(torch.zeros(2, 11), h)
    with pytest.raises(ValueError, match="needs h"):
        model.decode(torch.zeros(2, 12))
    with pytest.raises(ValueError, match="not finite"):
        model.decode(torch.full((2, 12), torch.nan), h)
    with pytest.raises(ValueError, match="no two halves"):
        NICE((1, 1, 1))


def test_the_weights_of_each_condition_are_drawn_anew() -> None:
    model = NICE((1, 4, 4), 3, levels=8, hidden=2, features=5)
    weights = [p for name, p in model.named_parameters() if "conditions" in name and p.ndim == 4]
    assert len(weights) > 2
    assert not any(torch.equal(a, b) for a, b in combinations(weights, 2))
