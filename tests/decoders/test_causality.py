"""A decoder sees every earlier sub-pixel that its depth can reach, and no other."""

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from cases import (
    Case,
    diagonal,
    gated,
    is_autoregressive,
    pixelcnnpp,
    random_h,
    random_images,
    those,
)
from numpy.typing import NDArray

from repr_toolkit.decoders import AutoregressiveDecoder, Decoder
from repr_toolkit.testing import check_decoder, randomised
from repr_toolkit.testing.autoregression import jacobians


def seen(model: AutoregressiveDecoder) -> NDArray[np.bool_]:
    """Which inputs the parameters depend on, (C or 1, H, W, C, H, W), outputs first.

    In any of a few draws of model and image, because in one of them a ReLU may be off.
    """
    total = torch.zeros(())
    for seed in range(3):
        h = random_h(model, 1)
        by_x, _ = jacobians(
            randomised(model, seed), random_images(model, 1)[0], None if h is None else h[0], seed
        )
        total = total + by_x.abs()
    groups = len(total) // prod(model.image_shape[1:])
    return (total != 0).view(groups, *model.image_shape[1:], *model.image_shape).numpy()


@those(lambda case: case.reach)
def test_the_field_is_that_of_the_kernels(case: Case) -> None:
    torch.manual_seed(0)
    # Wide enough for its edges to show, and features enough for each to say something.
    wide = replace(case, shape=(case.shape[0], 5, 6), kwargs=case.kwargs | {"levels": 3})
    assert case.reach is not None
    model = wide.build(features=6 * case.shape[0])
    np.testing.assert_array_equal(seen(model), case.reach(wide.shape, wide.kwargs))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("family", "settings"),
    [
        (gated, {"layers": 6}),
        (diagonal, {"layers": 1}),
        (pixelcnnpp, {"blocks": 1, "likelihood": "categorical"}),
    ],
)
def test_deep_enough_sees_the_whole_past(
    family: Callable[..., Case], settings: dict[str, Any], channels: int
) -> None:
    torch.manual_seed(0)
    model = family((channels, 5, 7), levels=2, **settings).build(features=6 * channels)
    dims = prod(model.image_shape)
    in_order = seen(model).reshape(dims, dims)[model.order][:, model.order]
    np.testing.assert_array_equal(in_order, np.tri(dims, k=-1, dtype=bool))


@those(is_autoregressive)
def test_nothing_depends_on_itself_or_later(case: Case) -> None:
    torch.manual_seed(0)
    model = case.build()
    place = model.order.argsort().view(model.image_shape).numpy()
    depends = seen(model)
    begins = place if len(depends) == len(place) else place.min(0, keepdims=True)
    later = place >= begins[..., None, None, None]
    assert not (depends & later).any()
    if model.whole_past:
        assert depends.any()


@those()
def test_the_check_finds_nothing_against_it(case: Case) -> None:
    """Every toy of the contract's freedoms passes `check`, on wide images (levels bound it)."""
    levels = min(case.kwargs.get("levels", 5), 5)
    channels = case.shape[0]
    shape = (channels, 3, 7)
    if case.make.check_shapes != Decoder.check_shapes:
        [shape] = [stated for stated in case.make.check_shapes if stated[0] == channels]
    check_decoder(replace(case, shape=shape).build(levels=levels))
