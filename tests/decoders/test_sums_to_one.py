"""The probabilities of all images sum to one, whatever the model and h."""

from collections.abc import Callable

import pytest
import torch
from cases import Case, diagonal, pixelcnn, pixelcnnpp, row_lstm, those

from repr_toolkit.testing.enumeration import all_images

MIXTURES = [(family, "logistic_mixture") for family in (pixelcnn, row_lstm, diagonal, pixelcnnpp)]


@those(lambda case: not case.make.is_bound)
def test_probabilities_sum_to_one(case: Case) -> None:
    torch.manual_seed(0)
    image_shape, levels = ((1, 2, 2), 4) if case.shape[0] == 1 else ((3, 1, 2), 3)
    if "small" in case.kwargs:  # which may be two scales
        image_shape, levels = (case.shape[0], 1, 3), 2
    model = case.build(image_shape, levels=levels)
    images = all_images(image_shape, model.levels)
    for h in torch.randn(2, *model.h_shape, dtype=torch.float64):
        given = h.expand(len(images), *h.shape) if model.h_dim else None
        total = model.log_prob(images, given).exp().sum()
        assert abs(total.item() - 1) < 1e-10


@pytest.mark.parametrize(("family", "likelihood"), [*MIXTURES, (pixelcnnpp, "categorical")])
@pytest.mark.parametrize(
    ("shape", "levels"),
    [((1, 2, 2), 3), ((1, 2, 2), 4), ((1, 1, 3), 4), ((3, 1, 3), 3), ((3, 2, 2), 2)],
)
@torch.no_grad()
def test_whole_pixels_and_grouped_heads_sum_to_one_on_every_tiny_space(
    shape: tuple[int, int, int], levels: int, family: Callable[..., Case], likelihood: str
) -> None:
    torch.manual_seed(0)
    model = family(shape, likelihood=likelihood, levels=levels, mixtures=2).build(features=2)
    total = model.log_prob(all_images(shape, levels)).exp().sum()
    assert abs(total.item() - 1) < 1e-10
