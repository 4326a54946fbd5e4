"""What is drawn for a comparison: its bits under the model, and its errors, in the mean."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from repr_toolkit.analyses.comparison.measure import bits_of_draws, measure, squared_errors
from repr_toolkit.data import ImageSplit
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.models.autoencoder import EncoderDecoder
from toys.runs import untrained_run

FEW = {"reconstructed": 6, "draws": 3, "rows": 4, "columns": 2}


def test_draws_without_h_belong_to_no_photograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pairs(split: ImageSplit, indices: Sequence[int] | None = None) -> tuple[np.ndarray, str]:
        return np.arange(len(split if indices is None else indices)) // 2, "photographs"

    monkeypatch.setattr(ImageSplit, "groups", pairs)
    runs = {
        "given": untrained_run(tmp_path / "given"),
        "plain": untrained_run(tmp_path / "plain", encoder=None),
    }
    variants = measure(runs, **FEW).numbers["variants"]
    for name, count in {"given": 3, "plain": 6}.items():
        numbers = variants[name]["numbers"]
        assert numbers["bits_per_dim_draws"]["count"] == count
        assert numbers["draws_minus_images"]["count"] == 3  # the images are of photographs


def test_bits_of_draws_are_the_entropy_of_the_model() -> None:
    """In the mean, over all images of a tiny space, however badly the model was trained."""
    torch.manual_seed(0)
    decoder = GatedPixelCNN((1, 2, 2), 0, 3, features=4, layers=2)
    every = torch.cartesian_prod(*[torch.arange(3)] * 4).reshape(-1, 1, 2, 2).to(torch.uint8)
    with torch.no_grad():
        log_p = decoder.log_prob(every).double()
    entropy = float(-(log_p.exp() * log_p).sum()) / (4 * np.log(2))
    bits = bits_of_draws(EncoderDecoder(None, decoder), None, 20_000)
    assert abs(bits.mean() - entropy) < 4 * bits.std() / np.sqrt(len(bits))


def test_the_error_of_the_posterior_mean_is_unbiased_and_covered() -> None:
    """Pixels and their reconstructions are 1 with a probability of each image's own, p ~ U(0, 1).

    E (p − x)² = E p(1 − p) = 1/6; the mean of four draws errs by a fourth of 1/6 more.
    """
    draw, estimates, covered, simulations = np.random.default_rng(0), [], 0, 500
    for _ in range(simulations):
        p = draw.random((60, 1, 1, 1, 1))
        drawn = torch.from_numpy((draw.random((60, 4, 1, 2, 3)) < p).astype(np.uint8))
        images = torch.from_numpy((draw.random((60, 1, 2, 3)) < p[:, 0]).astype(np.uint8))
        found = squared_errors(drawn, images, levels=2)
        one, error = found["mse_one"], found["mse_posterior_mean"]
        assert one.value == pytest.approx(float((drawn != images[:, None]).double().mean()))
        assert error.low is not None
        assert error.high is not None
        estimates.append(error.value)
        covered += error.low < 1 / 6 < error.high
    spread = np.std(estimates) / np.sqrt(simulations)
    assert abs(np.mean(estimates) - 1 / 6) < 4 * spread < 1 / 24 / 4
    assert 0.92 < covered / simulations < 0.98
    assert list(squared_errors(drawn[:, :1], images, 2)) == ["mse_one"]
