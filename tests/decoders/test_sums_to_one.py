"""The probabilities of all images sum to one, whatever the model and h."""

from itertools import product
from math import prod

import torch
from cases import Case, those
from torch import Tensor


def all_images(image_shape: tuple[int, int, int], levels: int) -> Tensor:
    values = list(product(range(levels), repeat=prod(image_shape)))
    return torch.tensor(values, dtype=torch.uint8).view(-1, *image_shape)


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
