"""A dequantised likelihood averaged over draws of its noise."""

import numpy as np
import pytest
import torch

from repr_toolkit.decoders import bits_per_dim
from repr_toolkit.decoders.noise import likelihood_noise
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.bits import bits_given, log_likelihoods, over_draws
from toys.data import SHAPE, random_split
from toys.flows import Logistic


def test_draws_are_further_ones_of_the_same_images() -> None:
    flow = Logistic(SHAPE, levels=4)
    first = likelihood_noise(flow, [3, 5])
    assert first is not None
    assert torch.equal(first, likelihood_noise(flow, [3, 5], draw=0))
    every = [likelihood_noise(flow, [5], draw=j) for j in range(5)]
    assert torch.equal(every[0], first[1:])
    assert len({tuple(noise.flatten().tolist()) for noise in every}) == 5


def test_rows_of_likelihoods_are_draw_after_draw() -> None:
    flow = Logistic(SHAPE, levels=4)
    model, split = EncoderDecoder(None, flow).eval(), random_split(7)
    nats = log_likelihoods(model, split, [None], draws=3, batch_size=2)
    assert nats.shape == (3, 7)
    x = split[:]["image"]
    with torch.no_grad():
        for draw, row in enumerate(nats):
            noise = likelihood_noise(flow, range(7), draw=draw)
            torch.testing.assert_close(row, flow.log_prob(x, noise=noise).double())
    [bits] = bits_given(model, split, [None])
    np.testing.assert_allclose(bits, bits_per_dim(nats[0], flow.image_shape))


def test_the_bound_tightens_towards_the_exact_likelihood() -> None:
    flow = Logistic(SHAPE, levels=4)  # of levels so few that the density varies within a bin
    torch.nn.init.constant_(flow.log_scale, -2)
    model, split = EncoderDecoder(None, flow).eval(), random_split(400)
    rows = over_draws(log_likelihoods(model, split, [None], draws=64), SHAPE)
    assert [row["draws"] for row in rows] == [1, 4, 16, 64]
    with torch.no_grad():
        exact = bits_per_dim(flow.exact_log_prob(split[:]["image"]), SHAPE).mean()
    above = [row["bits_per_dim"]["value"] - float(exact) for row in rows]
    assert above[0] > 5 * rows[0]["draws_error"]
    assert above == sorted(above, reverse=True)
    assert rows[1]["less"]["value"] > 2 * rows[1]["less"]["error"]
    assert 0 < rows[-1]["counting"] < 64


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_the_errors_of_images_and_of_draws_are_told_apart(spread: float) -> None:
    """By simulation: the error by draws is the spread of the mean when only the draws change."""
    generator = torch.Generator().manual_seed(0)
    images = 20 * spread * torch.randn(40, generator=generator, dtype=torch.float64)
    every = []
    for _ in range(400):
        draws = spread * torch.randn(16, 40, generator=generator, dtype=torch.float64)
        every.append(over_draws(images + draws, SHAPE))
    for place in range(3):
        means = [rows[place]["bits_per_dim"]["value"] for rows in every]
        stated = np.mean([rows[place]["draws_error"] for rows in every])
        assert stated == pytest.approx(np.std(means), rel=0.1)
        by_images = np.mean([rows[place]["bits_per_dim"]["error"] for rows in every])
        assert by_images > 5 * stated  # the images are far apart


def test_one_draw_has_no_error_of_draws() -> None:
    [row] = over_draws(torch.randn(1, 12, dtype=torch.float64), SHAPE)
    assert row["draws"] == 1
    assert row["counting"] == pytest.approx(1)
    assert not {"draws_error", "less"} & row.keys()
