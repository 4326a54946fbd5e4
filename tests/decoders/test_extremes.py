"""Temperatures that are 0 in the dtype, and parameters that allow no draw, by any engine."""

import pytest
import torch
from cases import Case, condition, draw_for, small_pixelcnn, those
from torch import Tensor, nn

from repr_toolkit.decoders import Decoder, Deconv, GatedPixelCNN
from repr_toolkit.decoders.engines import graph
from repr_toolkit.decoders.likelihoods import Categorical, DiscretizedLogisticMixture


def engines_here(model: Decoder) -> list[str]:
    return [engine for engine in model.engines if model.obstacle(engine) is None]


@those(lambda case: case.make in (GatedPixelCNN, Deconv))
def test_a_temperature_that_rounds_to_nothing_takes_the_mode(case: Case) -> None:
    torch.manual_seed(0)
    model = case.build().float()
    arguments = condition(model, 2) | {"noise": torch.rand(2, *case.shape)}
    mode = model.sample(**arguments, temperature=0.0)
    for engine in engines_here(model):
        for temperature in (1e-46, 1e-300, 5e-324):
            drawn = model.sample(**arguments, temperature=temperature, engine=engine)
            assert torch.equal(drawn, mode), (engine, temperature)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_likelihoods_take_the_mode_as_well(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    smallest = 5e-324 if dtype == torch.float64 else 1e-46
    u = torch.rand(50, dtype=dtype)
    for likelihood in (Categorical(7), DiscretizedLogisticMixture(1, 7, 2)):
        params = torch.randn(50, likelihood.size, dtype=dtype)
        mode = likelihood.draw(params, u, 0.0)
        assert torch.equal(likelihood.draw(params, u, smallest), mode)


def spoilt(model: GatedPixelCNN, value: float) -> GatedPixelCNN:
    """The model with a bias of the last layer's that is not finite."""
    assert isinstance(model.head_logits, nn.Conv2d)
    assert model.head_logits.bias is not None
    with torch.no_grad():
        model.head_logits.bias[-2] = value
    return model


@pytest.mark.parametrize("likelihood", ["categorical", "logistic_mixture"])
@pytest.mark.parametrize("temperature", [1.0, 0.0, 0.5])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_parameters_that_allow_no_draw_are_an_error_that_says_where(
    likelihood: str, temperature: float, value: float
) -> None:
    """Of a colour pixel the last bias but one is of B, the first place is in the first pixel."""
    torch.manual_seed(0)
    model = spoilt(small_pixelcnn((3, 4, 5), likelihood=likelihood), value)
    u = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    channel = 2 if likelihood == "categorical" else 0
    place = f"image 0 of 2, at channel {channel}, row 0, column 0"
    for engine in engines_here(model):
        with pytest.raises(ValueError, match=f"no level can be drawn.* in {place}"):
            model.sample(n=2, noise=u, temperature=temperature, engine=engine)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_place_is_where_the_parameters_are_first_broken(dtype: torch.dtype) -> None:
    """An h that is not finite breaks its own image, and what is known need not be drawn."""
    torch.manual_seed(0)
    model = small_pixelcnn((1, 4, 5), h_dim=2).to(dtype)
    h = torch.randn(5, 2, dtype=dtype)
    h[3, 1] = torch.nan
    known = torch.zeros(1, 1, 4, 5, dtype=torch.uint8)
    mask = torch.zeros(1, 1, 4, 5, dtype=torch.bool)
    mask[..., :2, :] = True
    mask[..., 2, :3] = True
    for engine in engines_here(model):
        with pytest.raises(ValueError, match="in image 3 of 5, at channel 0, row 2, column 3"):
            model.sample(h, known=known, mask=mask, engine=engine)
        everywhere = torch.ones_like(mask)
        drawn = model.sample(h, known=known, mask=everywhere, engine=engine)
        assert torch.equal(drawn, known.expand(5, -1, -1, -1))


def test_a_mean_that_is_not_finite_is_an_error_too() -> None:
    model = Deconv((1, 3, 4), 2, features=4)
    for temperature in (0.0, 1.0):
        with pytest.raises(ValueError, match="in image 0 of 1, at channel 0, row 0, column 0"):
            model.sample(torch.tensor([[torch.nan, 0.0]]), temperature=temperature)


def test_levels_of_no_mass_are_no_error() -> None:
    torch.manual_seed(0)
    model = spoilt(small_pixelcnn((1, 4, 5)), -torch.inf)
    u = torch.rand(3, 1, 4, 5, dtype=torch.float64)
    images = [model.sample(n=3, noise=u, engine=engine) for engine in engines_here(model)]
    assert all(torch.equal(images[0], other) for other in images)
    assert 3 not in images[0]


@those(lambda case: case.make is GatedPixelCNN)
@torch.inference_mode()
def test_recorded_steps_remember_what_they_cannot_draw(case: Case) -> None:
    """As a CUDA graph replays them, without a look from the host."""
    torch.manual_seed(0)
    model = case.build()
    draw = draw_for(model, case)

    def broken(group: int) -> Tensor:
        return torch.full((3, model.likelihood.size), torch.nan, dtype=torch.float64)

    walk = model.walk(draw.h, 3)
    walk.params = broken
    graph.replayed(walk, draw, lambda step, start: step)
    assert draw.decided_by.isnan().all()
