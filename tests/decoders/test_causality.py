"""The Gated PixelCNN sees every earlier sub-pixel that its depth can reach, and no other."""

from functools import partial
from itertools import product
from math import prod

import numpy as np
import pytest
import torch
from decoders_models import small_pixelcnn

from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.testing import randomised

SIZE = (5, 6)


def reach(image_shape: tuple[int, int, int], kernel_size: int, layers: int) -> np.ndarray:
    """Which inputs each sub-pixel may depend on, from the kernels' footprints alone.

    Boolean (H, W, C, H, W, C), outputs first.
    """
    channels, height, width = image_shape
    k = kernel_size // 2
    above = np.zeros((height, width, height, width, channels), bool)
    left = np.zeros((height, width, channels, height, width, channels), bool)
    for layer in range(layers):
        above_before, left_before = above.copy(), left.copy()
        for r, c in product(range(height), range(width)):
            columns = slice(max(c - k, 0), c + k + 1)
            if layer == 0:
                above[r, c, max(r - k - 1, 0) : r, columns] = True
            else:
                above[r, c] = above_before[max(r - k, 0) : r + 1, columns].any((0, 1))
            for g in range(channels):
                seen = left[r, c, g]
                seen |= above[r, c]
                if layer == 0:
                    seen[r, max(c - k, 0) : c] = True
                    seen[r, c, :g] = True
                else:
                    seen |= left_before[r, c, : g + 1].any(0)
                    seen |= left_before[r, max(c - k, 0) : c].any((0, 1))
    return np.stack([left[:, :, : g + 1].any(2) for g in range(channels)], axis=2)


def jacobian(model: GatedPixelCNN, h: torch.Tensor | None) -> np.ndarray:
    """|∂ params/∂x|, summed over the K parameters, as (H, W, C, H, W, C).

    Also summed over a few draws of model and image, because in one of them a ReLU may be off.
    """
    total = torch.zeros(*model.image_shape, *model.image_shape, dtype=torch.float64)
    for seed in range(3):
        model = randomised(model, seed)
        x = torch.rand(1, *model.image_shape, dtype=torch.float64) * (model.levels - 1)
        params = partial(model.params, h=h)
        full = torch.autograd.functional.jacobian(params, x, vectorize=True)
        total += full.abs().sum(4)[0, :, :, :, 0]
    return total.permute(1, 2, 0, 4, 5, 3).numpy()


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("conditioning", [None, "vector", "spatial"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kernel_size", [3, 5, 7])
def test_jacobian(kernel_size: int, channels: int, conditioning: str | None, skip: bool) -> None:
    torch.manual_seed(0)
    shape = (channels, *SIZE)
    model = GatedPixelCNN(
        shape,
        h_dim=2 if conditioning else 0,
        levels=3,
        features=6 * channels,
        layers=2,
        kernel_size=kernel_size,
        conditioning=conditioning or "vector",
        map_features=2,
        skip=skip,
    )
    model = randomised(model)
    h = torch.randn(1, 2, dtype=torch.float64) if conditioning else None
    np.testing.assert_array_equal(jacobian(model, h) != 0, reach(shape, kernel_size, layers=2))


@pytest.mark.parametrize("channels", [1, 3])
def test_deep_enough_sees_the_whole_past(channels: int) -> None:
    torch.manual_seed(0)
    shape = (channels, *SIZE)
    model = small_pixelcnn(shape, levels=2, features=6 * channels, layers=6)
    dims = prod(shape)
    past = np.tri(dims, k=-1, dtype=bool)  # in raster order, then R, G, B
    np.testing.assert_array_equal(jacobian(model, None).reshape(dims, dims) != 0, past)


@pytest.mark.parametrize("conditioning", ["vector", "positional", "spatial"])
@pytest.mark.parametrize("channels", [1, 3])
def test_h_reaches_every_position(channels: int, conditioning: str) -> None:
    torch.manual_seed(0)
    model = small_pixelcnn(
        (channels, *SIZE),
        h_dim=4,
        features=18,
        layers=1,
        conditioning=conditioning,
        map_features=12,
    )
    x = torch.zeros(1, channels, *SIZE, dtype=torch.float64)
    full = torch.autograd.functional.jacobian(
        lambda h: model.params(x, h), torch.randn(1, 4, dtype=torch.float64), vectorize=True
    )  # (1, C, H, W, K, 1, h_dim)
    assert (full.abs().sum((4, 6)) > 0).all()
