"""Glow and RealNVP: sizes, accuracy, what training keeps in memory, dequantisation."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from cases import hard_images, prepared, random_images
from torch import Tensor

from benchmarks.flows import KINDS, kept_by_a_step
from repr_toolkit.decoders import Decoder, Glow, RealNVP
from repr_toolkit.testing import check
from repr_toolkit.training.trainer import can_compile


def trained_like(model: Any, size: float = 0.05) -> Any:
    """The model with every parameter moved, so that no coupling is the identity, then prepared."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += size * torch.randn_like(parameter)
    return prepared(model)


@pytest.mark.parametrize(
    ("make", "shape", "scales", "message"),
    [
        (Glow, (1, 28, 28), 3, "2^L divides 28×28: at most 2 works, not 3"),
        (Glow, (3, 32, 24), 4, "2^L divides 32×24: at most 3 works, not 4"),
        (Glow, (1, 5, 8), 1, "2^L divides 5×8: no number of scales works, not 1"),
        (Glow, (1, 4, 4), 0, "at least 1, and 2^L divides 4×4: at most 2 works, not 0"),
        (RealNVP, (1, 28, 28), 3, "2^L divides 28×28: at most 2 works, not 3"),
        (RealNVP, (1, 5, 8), 1, "2^L divides 5×8: at most 0 works, not 1"),
    ],
)
def test_sizes_that_cannot_be_halved_are_refused(
    make: type[Decoder], shape: Any, scales: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message.replace("^", r"\^")):
        make(shape, scales=scales)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (Glow, {"steps": 0}, "at least 1"),
        (Glow, {"coupling": "linear"}, "not 'linear'"),
        (Glow, {"permutation": "random"}, "not 'random'"),
        (Glow, {"memory": "none"}, "not 'none'"),
        (Glow, {"bound": 0.0}, "positive, not 0.0"),
        (Glow, {"dequantisation": "none"}, "not 'none'"),
        (RealNVP, {"alpha": 0.5}, "not at 0.5"),
        (RealNVP, {"blocks": -1}, "not 32 and -1"),
        (RealNVP, {"bound": -1.0}, "positive, not -1.0"),
    ],
)
def test_what_cannot_be_is_named(
    make: type[Decoder], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make((1, 8, 8), **options)


@pytest.mark.parametrize("make", [Glow, RealNVP])
def test_z_comes_scale_by_scale(make: Any) -> None:
    """Half of what is left leaves after each scale."""
    model = make((3, 8, 8), scales=2, features=4)
    ends = {Glow: [(0, 96), (96, 192)], RealNVP: [(0, 96), (96, 144), (144, 192)]}
    assert [(part.start, part.stop) for part in model.z_scales] == ends[make]


def test_what_leaves_first_is_made_of_near_pixels() -> None:
    """A coupling, K = 1, reaches two cells further: of 2×2 pixels at first, then of 4×4."""
    torch.manual_seed(0)
    model = trained_like(Glow((1, 16, 16), scales=2, steps=1, features=4), 0.1)
    y = torch.rand(1, 1, 16, 16) - 0.5
    jacobian = torch.autograd.functional.jacobian(lambda y: model.transform(y)[0][0], y)
    for part, cells, reach in zip(model.z_scales, (8, 4), (6, 12), strict=True):
        seen = jacobian[part].view(-1, cells, cells, 16, 16)[:, 0, 0].abs().amax(0) > 0
        near = torch.arange(16) < reach
        assert torch.equal(seen, near[:, None] & near)


def test_as_many_images_prepare_as_the_paper_takes() -> None:
    torch.manual_seed(0)
    model = Glow((1, 4, 4), scales=1, steps=1, features=2)
    taken: list[int] = []
    model.stages[0].register_forward_pre_hook(lambda _, x: taken.append(len(x[0])))
    for count in (100, 256, 257, 511, 1023):
        model.prepare([(random_images(model, count), None)])
    assert taken == [100, 256, 256, 256, 256]
    with pytest.raises(ValueError, match="Glow is prepared by batches of images; there are none"):
        model.prepare([])


def test_weights_without_inverse_are_named() -> None:
    model = prepared(Glow((1, 4, 4), scales=1, steps=2, features=2, permutation="plain"))
    model.stages[0].steps.steps[2].mixing.mix.weight.data.fill_(1)
    with pytest.raises(ValueError, match=r"weights of stages.0.steps.steps.2.mixing, .* lu have"):
        model.decode(torch.zeros(1, 16))


@pytest.mark.parametrize("levels", [256, 32])
@pytest.mark.parametrize(("channels", "h_dim"), [(3, 0), (1, 4)])
@torch.no_grad()
def test_the_inverse_is_accurate(channels: int, h_dim: int, levels: int) -> None:
    """At L = 3, K = 8, near the first weights; what float32 misses float64 does not."""
    torch.manual_seed(0)
    model = trained_like(
        Glow((channels, 16, 16), h_dim, levels, scales=3, steps=8, features=32), 0.01
    )
    for _ in range(2):
        x = hard_images(model)
        h = torch.randn(len(x), h_dim) if h_dim else None
        usual = x[:2]
        assert model.round_trip_error(usual, None if h is None else h[:2]).max() < 1e-5
        images, again = model.reconstruct(x, h)
        assert torch.equal(images, x)
        assert not again[:2].any()
        exact = deepcopy(model).double()
        assert exact.round_trip_error(x, None if h is None else h.double()).max() < 1e-10
        for parameter in model.parameters():
            parameter *= 1 + 0.05 * torch.randn_like(parameter)


def smooth_images(count: int) -> Tensor:
    """Gradients in any direction and colour, with noise of 3 levels, uint8 (count, 3, 16, 16)."""
    side, place = torch.linspace(-1, 1, 16), torch.randn(3, count, 3, 1, 1)
    values = 128 + 40 * (place[0] + place[1] * side[:, None] + place[2] * side)
    return (values + 3 * torch.randn(count, 3, 16, 16)).clamp(0, 255).to(torch.uint8)


def test_the_inverse_of_a_trained_model_is_accurate() -> None:
    """Of images like those trained on, moved by 5 % too; images unlike them come back as well."""
    torch.manual_seed(0)
    model = Glow((3, 16, 16), scales=3, steps=8, features=32).train()
    model.prepare([(smooth_images(256), None)])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.loss(smooth_images(8))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1  # bits/dim
    model.eval()
    with torch.no_grad():
        for _ in range(2):
            assert model.round_trip_error(smooth_images(8)).max() < 1e-5
            x = hard_images(model)
            images, again = model.reconstruct(x)
            assert torch.equal(images, x)
            assert not again.any()
            for parameter in model.parameters():
                parameter *= 1 + 0.05 * torch.randn_like(parameter)


def test_far_from_trained_the_bound_decides_what_comes_back() -> None:
    comes_back = []
    for bound in (0.5, 2.0):
        torch.manual_seed(0)
        model = Glow((3, 16, 16), scales=3, steps=8, features=32, bound=bound)
        x = hard_images(trained_like(model, 0.03))
        images, _ = model.reconstruct(x)
        comes_back.append(torch.equal(images, x))
    assert comes_back == [True, False]


class Coarse(Glow):
    """Misses the second of some images, in float32."""

    def inverse(self, z: Tensor, h: Tensor | None = None) -> Tensor:
        y = super().inverse(z, h)
        if len(y) > 1 and y.dtype == torch.float32:
            y[1] += 0.1
        return y


def test_an_image_that_float32_misses_is_done_in_float64() -> None:
    torch.manual_seed(0)
    model = prepared(Coarse((1, 4, 4), 2, scales=1, steps=2, features=4))
    x, h = hard_images(model), torch.randn(6, 2)
    images, again = model.reconstruct(x, h)
    assert torch.equal(images, x)
    assert again.tolist() == [False, True, False, False, False, False]


def test_what_a_step_keeps_in_memory() -> None:
    keep, recompute, invert = (kept_by_a_step(kind, batch=4) for kind in KINDS)
    assert recompute <= 0.1 * keep
    assert invert <= 0.001 * keep


@pytest.mark.parametrize("memory", ["recompute", "invert"])
def test_gradients_are_the_same_however_memory_is_saved(memory: str) -> None:
    """In float32 at L = 3, K = 32, of the weights and of h."""
    torch.manual_seed(0)
    sizes: Any = {"h_dim": 2, "scales": 3, "steps": 32, "features": 8}
    plain = trained_like(Glow((3, 16, 16), **sizes), 0.02).train()
    other = Glow((3, 16, 16), **sizes, memory=memory).train()
    other.load_state_dict(plain.state_dict())
    x, u = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8), torch.rand(4, 3, 16, 16)
    gradients = []
    for model in (plain, other):
        h = torch.ones(4, 2, requires_grad=True)
        loss = model.log_prob(x, h, noise=u).sum()
        by = torch.autograd.grad(loss, [*model.parameters(), h])
        gradients.append(torch.cat([each.flatten() for each in by]))
    error = (gradients[1] - gradients[0]).norm() / gradients[0].norm()
    assert error < 1e-4


def test_variational_noise_begins_as_the_uniform() -> None:
    torch.manual_seed(0)
    sizes: Any = {"scales": 1, "steps": 1, "features": 4}
    model = Glow((1, 4, 4), **sizes, dequantisation="variational")
    plain = Glow((1, 4, 4), **sizes)
    plain.load_state_dict(model.state_dict(), strict=False)
    x, u = torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8), torch.rand(3, 1, 4, 4)
    a, b = (each.log_prob(x, noise=u) for each in (model, plain))
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)


def test_variational_noise_counts_its_density() -> None:
    torch.manual_seed(0)
    model = trained_like(Glow((1, 2, 4), scales=1, features=4, dequantisation="variational"), 0.1)
    model = model.double()
    x = torch.randint(0, 256, (1, 1, 2, 4), dtype=torch.uint8)
    u = torch.rand(1, 1, 2, 4, dtype=torch.float64)
    y, log_q = model.dequantise(x, u)
    assert log_q.detach().abs().min() > 1
    jacobian = torch.autograd.functional.jacobian(
        lambda u: 256 * model.dequantise(x, u)[0].flatten(), u
    ).view(8, 8)
    torch.testing.assert_close(log_q[0], torch.linalg.slogdet(jacobian).logabsdet)
    assert torch.equal(model.images(y), x)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Glow", {"steps": 1, "features": 4, "scales": 1}),
        ("RealNVP", {"features": 2, "blocks": 0, "scales": 1}),
        ("NICE", {"features": 4, "hidden": 1}),
    ],
)
def test_the_contract_holds(name: str, options: dict[str, Any]) -> None:
    sentences = check(f"repr_toolkit.decoders.{name}", **options)
    assert any("sums to at most one" in sentence for sentence in sentences)
    assert sum("the same noise, the same log_prob" in sentence for sentence in sentences) == 5


def test_z_of_held_out_images_is_standard_after_training() -> None:
    """Pooled by scale: mean 0 ± 0.05 and variance 1 ± 0.05."""
    torch.manual_seed(0)
    mix = 20 * (torch.eye(16) + 0.25 * torch.randn(16, 16))

    def drawn(count: int) -> Tensor:
        values = 128 + torch.randn(count, 16) @ mix
        return values.clamp(0, 255).to(torch.uint8).view(-1, 1, 4, 4)

    model = Glow((1, 4, 4), scales=2, steps=2, features=8).train()
    model.prepare([(drawn(256), None)])
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 - step / 200)
        optimizer.zero_grad()
        model.loss(drawn(128)).backward()
        optimizer.step()
    held_out = drawn(4000)
    with torch.no_grad():
        z = model.encode(held_out, noise=torch.rand(held_out.shape))
    for part in model.z_scales:
        assert abs(float(z[:, part].mean())) < 0.05
        assert abs(float(z[:, part].var()) - 1) < 0.05


@pytest.mark.skipif(not can_compile(torch.device("cpu")), reason="torch.compile needs g++")
@pytest.mark.filterwarnings("ignore")
def test_the_compiled_loss_is_the_loss() -> None:
    """With the noise of eager mode, which a compiler otherwise draws in its own way."""
    torch.manual_seed(0)
    model = trained_like(Glow((1, 4, 4), 2, scales=1, steps=1, features=4), 0.02).train()
    x, h = torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8), torch.randn(3, 2)
    found = []
    with torch._inductor.config.patch(fallback_random=True):
        for loss in (model.loss, torch.compile(model.loss, dynamic=False)):
            torch.manual_seed(1)
            value = loss(x, h)
            by = torch.autograd.grad(value, [*model.parameters()])
            found.append(torch.cat([value.detach()[None], *(each.flatten() for each in by)]))
    torch.compiler.reset()
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)
