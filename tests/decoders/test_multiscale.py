"""Several scales: what the two forms say of an image, and what they draw."""

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from cases import (
    BY_MIXTURE,
    GATED_SCALE,
    PIXELCNN_SCALE,
    SIZES,
    as_published,
    condition,
    multi_scale,
    random_h,
    random_images,
)
from scipy.stats import chisquare
from torch import Tensor, nn

from repr_toolkit.decoders import AutoregressiveDecoder, Deconv, MultiScale, MultiScaleAsPublished
from repr_toolkit.decoders.noise import noise_beside
from repr_toolkit.testing.autoregression import jacobians
from repr_toolkit.testing.enumeration import all_images
from toys.autoregressive import Centred

DRAWS = 20_000


def log_joint(model: MultiScaleAsPublished, images: Tensor, h: Tensor | None) -> Tensor:
    """log p(s) + log p(x | s) of all small images s and all images x, (S, N)."""
    small = all_images(model.small.image_shape, model.levels)
    every = None if h is None else h.expand(len(small), -1)
    of_small = model.small.log_prob(small, every)
    maps = model.enlarge(small, every)
    of_large = [model.large.log_prob(images, m.expand(len(images), -1, -1, -1)) for m in maps]
    return of_small[:, None] + torch.stack(of_large)


@torch.no_grad()
def test_clamped_the_images_of_4x4_sum_to_one() -> None:
    torch.manual_seed(0)
    model = multi_scale((1, 4, 4)).build(levels=2)
    total = model.log_prob(all_images((1, 4, 4), 2)).exp().sum()
    assert abs(total.item() - 1) < 1e-10


@pytest.mark.parametrize("h_dim", [0, 2])
@pytest.mark.parametrize(("shape", "levels"), [((1, 2, 3), 3), ((3, 1, 2), 3), ((1, 3, 3), 2)])
@torch.no_grad()
def test_as_published_it_bounds_the_law_of_its_own_draws(
    shape: tuple[int, int, int], levels: int, h_dim: int
) -> None:
    torch.manual_seed(0)
    model = as_published(shape).build(levels=levels, h_dim=h_dim)
    for parameter in model.parameters():
        parameter.mul_(2)  # so that the small image matters
    images = all_images(shape, levels)
    h = random_h(model, 1)
    law = log_joint(model, images, h).logsumexp(0)
    assert law.exp().sum().item() == pytest.approx(1, abs=1e-10)
    bound = model.log_prob(images, None if h is None else h.expand(len(images), -1))
    assert (bound < law).all()
    assert bound.exp().sum() < 0.9
    drawn = model.sample(h, n=DRAWS).flatten(1).long()
    places = levels ** torch.arange(drawn.shape[1] - 1, -1, -1)
    counts = np.bincount((drawn * places).sum(1), minlength=len(images))
    expected = DRAWS * law.exp().numpy()
    often = expected > 10
    cells = [[*values[often], values[~often].sum()] for values in (counts, expected)]
    assert chisquare(*cells).pvalue > 1e-4


def test_noise_beside_noise_is_the_images_own() -> None:
    noise = torch.rand(5, 3, 4, 4)
    beside = noise_beside(noise, (3, 2, 2), "uniform")
    assert torch.equal(noise_beside(noise.double(), (3, 2, 2), "uniform").float(), beside)
    assert torch.equal(noise_beside(noise[3:4], (3, 2, 2), "uniform"), beside[3:4])
    assert len(beside.unique()) == beside.numel()
    many = torch.rand(2000, 1, 2, 2)
    both = torch.cat([many, noise_beside(many, (1, 1, 2), "uniform").view(2000, 1, 1, 2)], 2)
    correlations = torch.corrcoef(both.flatten(1).T) - torch.eye(6)
    assert correlations.abs().max() < 5 / 2000**0.5


@pytest.mark.parametrize(
    ("size", "factor", "grid"),
    [((4, 6), 2, (2, 3)), ((5, 7), 3, (2, 3)), ((5, 3), 4, (2, 1)), ((2, 7), 7, (1, 1))],
)
def test_any_factor_up_to_the_longer_side_is_exact(
    size: tuple[int, int], factor: int, grid: tuple[int, int]
) -> None:
    """The grid comes first, whether or not the factor divides the size."""
    torch.manual_seed(0)
    model = multi_scale((3, *size)).build(factor=factor)
    assert model.small.image_shape == (3, *grid)
    rows, columns = np.divmod(model.order.numpy() % (size[0] * size[1]), size[1])
    on_grid = (rows % factor == 0) & (columns % factor == 0)
    assert on_grid.tolist() == [True] * (3 * grid[0] * grid[1]) + [False] * int((~on_grid).sum())
    for part in (on_grid, ~on_grid):
        raster = rows[part] * size[1] + columns[part]
        assert (np.diff(raster) >= 0).all()
    x = random_images(model, 2)
    small = model.small.log_prob(x[:, :, ::factor, ::factor])
    terms = model.subpixel_log_prob(x)
    torch.testing.assert_close(terms[:, :, ::factor, ::factor].sum((1, 2, 3)), small)
    assert torch.equal(
        model.sample(n=3, noise=(u := torch.rand(3, 3, *size, dtype=torch.float64))),
        model.sample(n=3, noise=u, engine="naive"),
    )


def test_each_of_three_scales_comes_before_the_next() -> None:
    """The grid of the smallest scale first, and in each scale the raster."""
    smaller = partial(MultiScale, **SIZES[MultiScale])
    model = multi_scale((1, 5, 6), small=smaller).build()
    index = torch.arange(30).view(5, 6)
    order: list[int] = []
    for step in (4, 2, 1):
        order += [i for i in index[::step, ::step].flatten().tolist() if i not in order]
    assert model.order.tolist() == order


def test_the_large_model_sees_what_of_the_grid_comes_later_in_the_raster() -> None:
    torch.manual_seed(0)
    model = multi_scale((1, 4, 4)).build()
    by_x, _ = jacobians(model, random_images(model, 1)[0], None, 0)
    assert (by_x[1].view(4, 4)[2, [0, 2]] != 0).all()  # pixel (0, 1)
    assert (by_x[0] == 0).all()


@pytest.mark.parametrize("make", [multi_scale, as_published])
def test_each_scale_draws_by_an_engine_of_its_own(make: Any, caplog: Any) -> None:
    torch.manual_seed(0)
    model = make((1, 4, 6), h_dim=2).build()
    u = torch.rand(3, 1, 4, 6, dtype=torch.float64)
    fractions: list[float] = []
    with caplog.at_level("INFO", "repr_toolkit.sampling"):
        x = model.sample(**condition(model, 3), noise=u, progress=fractions.append)
    names = [message.split(",")[0] for message in caplog.messages]
    for part in (model.small, model.large):
        assert f"{type(part).__name__} samples by {part.choose_engine()}" in names
    assert x.shape == (3, 1, 4, 6)
    assert all(a <= b for a, b in pairwise(fractions))
    assert fractions[-1] == 1


def test_clamped_the_grid_is_the_small_models_draw() -> None:
    torch.manual_seed(0)
    model = multi_scale((3, 5, 4), h_dim=2).build()
    h, u = random_h(model, 3), torch.rand(3, 3, 5, 4, dtype=torch.float64)
    small = model.small.sample(h, noise=u[:, :, ::2, ::2].contiguous())
    assert torch.equal(model.sample(h, noise=u)[:, :, ::2, ::2], small)


@pytest.mark.parametrize("make", [multi_scale, as_published])
@pytest.mark.parametrize("scale", ["small", "large"])
def test_parameters_of_a_scale_that_allow_no_draw_are_an_error_that_says_where(
    make: Any, scale: str
) -> None:
    torch.manual_seed(0)
    model = make((1, 4, 6)).build()
    with torch.no_grad():
        getattr(model, scale).head_logits.bias.fill_(torch.nan)
    column = 1 if (make, scale) == (multi_scale, "large") else 0
    with pytest.raises(ValueError, match=f"image 0 of 2, at channel 0, row 0, column {column}"):
        model.sample(n=2)


def test_scales_prepare_each_from_its_own_images() -> None:
    class Given(Centred):
        """Takes the map as a vector of its values."""

        def __init__(self, *sizes: Any, h_shape: Any = None) -> None:
            super().__init__(*sizes)

        def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
            return super().params(x, None if h is None else h.flatten(1))

    torch.manual_seed(0)
    sizes: Any = {"levels": 5, "factor": 2, "features": 2, "small": Given, "large": Given}
    x = torch.randint(0, 5, (6, 1, 3, 4)).to(torch.uint8)
    for make in (MultiScale, MultiScaleAsPublished):
        model = make((1, 3, 4), **sizes)
        with torch.no_grad():
            model.prepare((part, None) for part in x.split(2))
        for part, images in ((model.small, x[:, :, ::2, ::2]), (model.large, x)):
            assert isinstance(part, Centred)
            assert torch.equal(part.centre, images.float().mean(0))
    assert not MultiScale((1, 3, 4), **sizes | SIZES[MultiScale]).has_preparation


def test_what_does_not_fit_together_is_named() -> None:
    def refused(message: str, make: Any = MultiScale, shape: Any = (1, 4, 6), **other: Any) -> None:
        with pytest.raises(ValueError, match=message):
            make(shape, **SIZES[MultiScale] | {"levels": 5} | other)

    class Sharpened(nn.Module):
        coupled, size = False, 5

    class Otherwise(AutoregressiveDecoder):
        def __init__(self, *sizes: Any, **h: Any) -> None:
            super().__init__(*sizes, **h, likelihood=Sharpened())

    for factor in (7, 1, 2.5, 2.0):
        whole = f"factor is a whole number from 2 to the image's longer side, 6, not {factor}"
        refused(whole, factor=factor)
    for features in (0, 2.5):
        refused(f"features is a whole number, at least 1, not {features}", features=features)
    refused("one likelihood, not Categorical .*, 5 .* DiscretizedLogisticM", large=BY_MIXTURE)
    refused("one likelihood, not Sharpened", small=Otherwise)
    refused("small is Deconv: no AutoregressiveDecoder", small=partial(Deconv, features=2))
    for name, h in (("small", {"h_shape": (2, 1, 1), "h_dim": 2}), ("large", {})):
        of_map: Any = h | {name: partial(Deconv, features=2)}
        refused(f"{name} cannot be built for a map as h.* 'h_shape'", **of_map)
    refused("small cannot be built for a vector as h.* 'width'", small=partial(Deconv, width=2))
    published = partial(MultiScaleAsPublished, **SIZES[MultiScale])
    refused("small is MultiScaleAsPublished: no AutoregressiveDecoder", small=published)
    refused("large is MultiScaleA", make=MultiScaleAsPublished, large=published)
    refused("levels is 2…256, not 300", levels=300)
    refused(r"C = 1 or 3 .*, not \(2, 4, 6\)", shape=(2, 4, 6))
    refused("multiple of 3", shape=(3, 4, 4), large=partial(GATED_SCALE, features=4))
    refused("multiple of 3", shape=(3, 4, 4), small=partial(PIXELCNN_SCALE, features=4))
