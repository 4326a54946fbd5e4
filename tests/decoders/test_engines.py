"""Every engine draws the image that teacher forcing and the noise determine."""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from cases import (
    Case,
    condition,
    draw_for,
    is_autoregressive,
    pmf_of,
    random_images,
    small_pixelcnn,
    those,
)
from torch import Tensor

from repr_toolkit.decoders import AutoregressiveDecoder, Deconv, GatedPixelCNN
from repr_toolkit.decoders.engines import naive
from repr_toolkit.decoders.engines.draw import Draw, Engine
from repr_toolkit.testing import randomised
from toys.autoregressive import Striped


def inverse_cdf_edges(model: AutoregressiveDecoder, x: Tensor, h: Tensor | None) -> list[Tensor]:
    """CDF(x−1) and CDF(x) of every sub-pixel under teacher forcing on x."""
    cdf = pmf_of(model, model.params(x, h), x).cumsum(-1)
    upper = cdf.gather(-1, x.long().unsqueeze(-1)).squeeze(-1)
    below = cdf.gather(-1, (x.long() - 1).clamp_min(0).unsqueeze(-1)).squeeze(-1)
    return [torch.where(x == 0, 0.0, below), upper]


@those(is_autoregressive)
@torch.no_grad()
def test_the_naive_engine_agrees_with_teacher_forcing(case: Case) -> None:
    torch.manual_seed(0)
    model = case.build()
    u = torch.rand(4, *case.shape, dtype=torch.float64)
    arguments = condition(model, 4)
    x = model.sample(**arguments, noise=u, engine="naive")
    below, upper = inverse_cdf_edges(model, x, arguments.get("h"))
    assert ((below <= u + 1e-12) & (u < upper + 1e-12)).all()
    assert len(x.unique()) > 1


@those(lambda case: len(case.make.engines) > 1)
def test_engines_agree_in_float64(case: Case) -> None:
    torch.manual_seed(0)
    model = case.build()
    draw = draw_for(model, case)
    engines = [engine for engine in model.engines if model.obstacle(engine) is None]
    images = [model.draw(draw, engine) for engine in ("auto", *engines)]
    for other in images[1:]:
        assert torch.equal(images[0], other)
    if draw.known is not None and draw.mask is not None:
        assert torch.equal(images[0][draw.mask], draw.known[draw.mask])


@those(is_autoregressive)
def test_the_naive_engine_takes_one_forward_where_channels_are_coupled(case: Case) -> None:
    model = case.build()
    forwards = 0
    params = model.params

    def counting(x: Tensor, h: Tensor | None) -> Tensor:
        nonlocal forwards
        forwards += 1
        result: Tensor = params(x, h)
        return result

    model.params = counting
    draw = draw_for(model, case)
    naive.sample(model, draw)
    _, height, width = case.shape
    assert forwards == height * width * model.groups


@those(lambda case: len(case.make.engines) > 1)
def test_what_is_known_changes_nothing_that_comes_before_it(case: Case) -> None:
    torch.manual_seed(0)
    model = case.build()
    draw = draw_for(model, case)
    place = model.order.argsort().view(case.shape)
    known, later = random_images(model, 3), place >= place.numel() // 2
    options = {"noise": draw.noise, "known": known, "mask": later}
    arguments = condition(model, 3)
    free = model.sample(**arguments, noise=draw.noise, engine="naive")
    for engine in [engine for engine in model.engines if model.obstacle(engine) is None]:
        completed = model.sample(**arguments, **options, engine=engine)
        assert torch.equal(completed, torch.where(later, known, free))


class Recorder(Draw):
    """A draw that notes on the host which levels it decided, one after the other."""

    on_host: ClassVar[bool] = True
    seen: ClassVar[list[tuple[Any, ...]]] = []

    def level(
        self, likelihood: Any, params: Tensor, at: Any, before: Tensor | None = None
    ) -> Tensor:
        self.seen.append(at)
        return super().level(likelihood, params, at, before)


@those(lambda case: len(case.make.engines) > 1)
def test_a_draw_that_decides_on_the_host_is_served_in_order(case: Case) -> None:
    torch.manual_seed(0)
    model = case.build()
    draw = draw_for(model, case)
    recorder = Recorder(draw.h, draw.noise, draw.temperature, draw.known, draw.mask)
    expected = model.draw(draw, "naive")
    height, width = case.shape[1:]
    order = model.order.tolist()
    in_order = [(i // (height * width), i // width % height, i % width) for i in order]
    for engine in model.engines:
        if engine not in ("naive", "cached"):
            assert "Recorder" in str(model.obstacle(engine, recorder)) or engine == "graph"
            with pytest.raises(ValueError, match="cannot run here"):
                model.draw(recorder, engine)
            continue
        recorder.seen.clear()
        assert torch.equal(model.draw(recorder, engine), expected)
        assert [at[1:] for at in recorder.seen] == in_order
    assert model.choose_engine("auto", recorder) in ("naive", "cached")


@pytest.mark.parametrize("likelihood", ["categorical", "logistic_mixture"])
@pytest.mark.parametrize("engine", tuple(GatedPixelCNN.engines)[1:])
@torch.no_grad()
def test_engines_agree_in_float32_until_a_tie(engine: str, likelihood: str) -> None:
    torch.manual_seed(0)
    shape = (3, 8, 8)
    model = small_pixelcnn(shape, levels=256, features=12, likelihood=likelihood).float()
    if obstacle := model.obstacle(engine):
        pytest.skip(obstacle)
    u = torch.rand(32, *shape)
    naive = model.sample(n=32, noise=u, engine="naive")
    other = model.sample(n=32, noise=u, engine=engine)
    cdf = pmf_of(model, model.params(naive), naive).cumsum(-1)
    agreeing = 0
    for a, b, uniform, edges in zip(naive, other, u, cdf, strict=True):
        # In the order of generation: raster, then R, G, B.
        differs = (a != b).permute(1, 2, 0).flatten().nonzero()
        if len(differs) == 0:
            agreeing += 1
            continue
        first = differs[0]
        edge = edges.permute(1, 2, 0, 3).flatten(0, 2)[first]
        gap = (edge - uniform.permute(1, 2, 0).flatten()[first]).abs().min()
        assert gap < 1e-5
    assert agreeing > 16


class Grounded(AutoregressiveDecoder):
    """A decoder whose fastest engines cannot run anywhere."""

    engines: ClassVar[Mapping[str, Engine]] = {
        "naive": Engine(naive.sample),
        "wings": Engine(naive.sample, lambda model, draw: "they are clipped"),
        "warp": Engine(naive.sample, lambda model, draw: "no antimatter"),
    }

    def __init__(self) -> None:
        super().__init__((1, 2, 2), levels=4)
        self.bias = torch.nn.Parameter(torch.zeros(4))

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self.bias.expand(*x.shape, 4)


def test_auto_takes_the_fastest_that_works_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    model = Grounded()
    u = torch.rand(1, 1, 2, 2)
    with caplog.at_level(logging.INFO, "repr_toolkit.sampling"):
        auto = model.sample(noise=u)
    assert torch.equal(auto, model.sample(noise=u, engine="naive"))
    assert caplog.messages == [
        "Grounded samples by naive, the fastest that works here; "
        "not warp: no antimatter; not wings: they are clipped"
    ]
    with pytest.raises(ValueError, match="'wings' cannot run here: they are clipped"):
        model.sample(engine="wings")


class Hasty(GatedPixelCNN):
    """Its fastest engine completes nothing."""

    engines: ClassVar[Mapping[str, Engine]] = {
        **AutoregressiveDecoder.engines,
        "hasty": Engine(
            naive.sample,
            lambda model, draw: None if draw is None or draw.mask is None else "it keeps nothing",
        ),
    }


def test_auto_passes_over_what_cannot_serve_this_draw(caplog: pytest.LogCaptureFixture) -> None:
    model = Hasty((1, 2, 3), levels=3, features=2, layers=1)
    known = torch.ones(1, 1, 2, 3, dtype=torch.uint8)
    with caplog.at_level("INFO", "repr_toolkit.sampling"):
        image = model.sample(n=1, known=known, mask=known.bool())
    assert torch.equal(image, known)
    assert "not hasty: it keeps nothing" in caplog.text


def test_walks_refuse_another_order() -> None:
    class Turned(Striped):
        def __init__(self, image_shape: Any, **settings: Any) -> None:
            super().__init__(image_shape, **settings)
            self.in_raster_order = False

    model = Turned((1, 4, 4), levels=3)
    with pytest.raises(ValueError, match="it walks in raster order"):
        model.sample(n=1, engine="cached")


def test_n_samples_for_each_h_stand_together() -> None:
    torch.manual_seed(0)
    model = small_pixelcnn((1, 4, 4), h_dim=2)
    h = torch.randn(3, 2, dtype=torch.float64)
    u = torch.rand(6, 1, 4, 4, dtype=torch.float64)
    together = model.sample(h, 2, noise=u)
    for i in range(3):
        alone = model.sample(h[i : i + 1], 2, noise=u[2 * i : 2 * i + 2])
        assert torch.equal(together[2 * i : 2 * i + 2], alone)


def test_sampling_frequencies_are_the_probabilities() -> None:
    torch.manual_seed(0)
    model = small_pixelcnn((1, 1, 2), levels=3)
    x = model.sample(n=20_000)
    index = x[:, 0, 0, 0].long() * 3 + x[:, 0, 0, 1].long()
    frequencies = torch.bincount(index, minlength=9) / len(x)
    images = torch.tensor([[a, b] for a in range(3) for b in range(3)], dtype=torch.uint8)
    probabilities = model.log_prob(images.view(9, 1, 1, 2)).exp()
    # Five standard errors of a binomial proportion.
    allowed = 5 * (probabilities * (1 - probabilities) / len(x)).sqrt() + 1e-4
    assert ((frequencies - probabilities).abs() < allowed).all()


def test_global_seed_gives_one_result_and_modes_are_restored() -> None:
    model = small_pixelcnn((3, 4, 4))
    model.train()
    model.head_hidden.eval()
    torch.manual_seed(3)
    a = model.sample(n=2)
    torch.manual_seed(3)
    b = model.sample(n=2)
    assert torch.equal(a, b)
    assert not torch.equal(a, model.sample(n=2))
    assert model.training
    assert not model.head_hidden.training
    assert a.dtype == torch.uint8
    assert not a.is_inference()


def test_sampling_ignores_autocast() -> None:
    torch.manual_seed(0)
    model = small_pixelcnn((1, 4, 4)).float()
    u = torch.rand(2, 1, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        inside = model.sample(n=2, noise=u)
    assert torch.equal(inside, model.sample(n=2, noise=u))


def test_baseline_samples_its_gaussian_and_shows_its_mean() -> None:
    torch.manual_seed(0)
    model = randomised(Deconv((1, 4, 4), h_dim=2, levels=16, features=4))
    h = torch.randn(1, 2, dtype=torch.float64)
    mean = model.mean(h, 1).detach()
    assert torch.equal(model.sample(h, temperature=0), mean.round().clamp(0, 15).to(torch.uint8))
    model.sigma.fill_(2.0)
    x = model.sample(h, 5000)
    pmf = model.likelihood.logits(mean, model.sigma).exp()
    expected = (pmf * torch.arange(16)).sum(-1)
    torch.testing.assert_close(
        x.double().mean(0, keepdim=True), expected.detach(), atol=0.2, rtol=0
    )
    mask = torch.eye(4).bool()
    known = torch.full((1, 1, 4, 4), 9, dtype=torch.uint8)
    assert (model.sample(h, known=known, mask=mask)[0, 0][mask] == 9).all()


def test_bad_arguments_are_named() -> None:
    model = small_pixelcnn((1, 4, 4), h_dim=2)
    h = torch.randn(1, 2)
    image = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    engines = ", ".join(("auto", *model.engines))
    with pytest.raises(ValueError, match=f"no engine 'warp'; it has {engines}$"):
        model.sample(h, engine="warp")
    with pytest.raises(ValueError, match=r"needs h of shape \(B, 2\)"):
        model.sample(n=2)
    with pytest.raises(ValueError, match=r"\(1, 2\) expected, not \(1, 3\)"):
        model.sample(torch.randn(1, 3))
    with pytest.raises(ValueError, match="noise of shape"):
        model.sample(h, noise=torch.rand(1, 1, 4, 5))
    with pytest.raises(ValueError, match="outside"):
        model.sample(h, noise=torch.randn(1, 1, 4, 4))
    with pytest.raises(TypeError, match="floating"):
        model.sample(h, noise=image)
    with pytest.raises(ValueError, match="known and mask come together"):
        model.sample(h, known=image)
    with pytest.raises(TypeError, match="mask is bool"):
        model.sample(h, known=image, mask=image)
    with pytest.raises(ValueError, match="broadcast"):
        model.sample(h, known=image, mask=torch.ones(5, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match="value 5"):
        model.sample(h, known=image + 5, mask=image == 0)
    with pytest.raises(ValueError, match="temperature"):
        model.sample(h, temperature=-1)
    with pytest.raises(ValueError, match="at least 1"):
        model.sample(h, 0)
    with pytest.raises(ValueError, match="unconditional"):
        small_pixelcnn((1, 4, 4)).sample(h)


def test_no_h_gives_no_images() -> None:
    model = small_pixelcnn((3, 4, 4), h_dim=2)
    assert model.sample(torch.empty(0, 2)).shape == (0, 3, 4, 4)
