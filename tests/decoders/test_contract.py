"""Bad images and impossible sizes are named, whatever the decoder."""

from typing import Any

import pytest
import torch
from cases import Case, is_autoregressive, random_h, random_images, those

from repr_toolkit.decoders import AutoregressiveDecoder, Deconv, GatedPixelCNN, raster
from repr_toolkit.decoders.gate import _CompiledGate, gate
from repr_toolkit.testing import randomised
from toys.autoregressive import Dequantised


@those()
def test_images_and_h_are_checked(case: Case) -> None:
    model = case.build()
    image, h = torch.zeros(2, *case.shape, dtype=torch.uint8), random_h(model, 2)
    assert model.log_prob(image, h).shape == (2,)
    c, height, width = case.shape
    top = model.levels - 1
    for method in (model.log_prob, model.loss):
        with pytest.raises(TypeError, match="uint8"):
            method(image.float(), h)
        with pytest.raises(ValueError, match=rf"\(B, {c}, {height}, {width}\) expected, not"):
            method(image[:, :, :, 1:], h)
        if top < 255:
            with pytest.raises(ValueError, match=f"value {top + 1}, but .* levels are 0…{top}"):
                method(image + top + 1, h)
        with pytest.raises(ValueError, match="unconditional" if h is None else "needs h of shape"):
            method(image, torch.zeros(2, 4) if h is None else None)


@those()
def test_every_parameter_is_trained(case: Case) -> None:
    """A parameter without a gradient stops distributed training."""
    model = case.build()
    model.loss(random_images(model, 2), random_h(model, 2)).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@those(is_autoregressive)
def test_parameters_are_contiguous_and_differentiable_in_floats(case: Case) -> None:
    model = case.build()
    x, h = random_images(model, 2), random_h(model, 2)
    params = model.params(x, h)
    assert params.stride(-1) == 1 or params.shape[-1] == 1
    assert torch.equal(model.params(x.double().requires_grad_(), h), params)


def test_what_tables_say_of_a_likelihood() -> None:
    assert Dequantised((1, 2, 2)).likelihood_label == "upper bound, dequantised"
    assert Deconv((1, 2, 2)).likelihood_label == "exact"


def test_a_likelihood_takes_the_noise_that_it_states() -> None:
    torch.manual_seed(0)
    model = Dequantised((1, 2, 3), levels=8)
    x = random_images(model, 4)
    u = torch.rand(x.shape)
    assert torch.equal(model.log_prob(x, noise=u), model.log_prob(x, noise=u))
    assert not torch.equal(model.log_prob(x), model.log_prob(x))  # drawn anew
    with pytest.raises(ValueError, match=r"outside \[0, 1\)"):
        model.log_prob(x, noise=u + 1)
    with pytest.raises(ValueError, match="noise of shape"):
        model.log_prob(x, noise=u[:1])
    with pytest.raises(ValueError, match="the likelihood of Deconv takes no noise"):
        Deconv((1, 2, 3), levels=8).log_prob(x, noise=u)


def test_a_decoder_that_does_not_complete_says_so() -> None:
    model = Dequantised((1, 2, 3), levels=8)
    x = random_images(model, 1)
    with pytest.raises(ValueError, match="cannot complete: it draws whole images"):
        model.sample(known=x, mask=x > 3)
    with pytest.raises(ValueError, match="finite"):
        model.sample(noise=torch.full((1, 1, 2, 3), torch.inf))
    assert torch.equal(model.sample(temperature=0), model.mean.floor()[None].to(torch.uint8))


def test_an_order_is_a_permutation() -> None:
    assert raster((3, 2, 2)).tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    with pytest.raises(ValueError, match="permutation of 0…3"):
        AutoregressiveDecoder((1, 2, 2), order=torch.tensor([0, 1, 1, 3]))


def test_impossible_sizes_are_refused() -> None:
    for arguments, message in [
        ({"features": 64}, "multiple of 3"),
        ({"head_features": 64}, "multiple of 3"),
        ({"kernel_size": 4}, "odd"),
        ({"layers": 0}, "at least 1"),
        ({"levels": 257}, "2…256"),
        ({"h_dim": -1}, "0 .unconditional. or more"),
        ({"image_shape": (2, 4, 4)}, "C = 1 or 3"),
        ({"conditioning": "both", "h_dim": 2}, "vector"),
    ]:
        defaults = {"image_shape": (3, 4, 4), "features": 6, "layers": 2}
        with pytest.raises(ValueError, match=message):
            GatedPixelCNN(**(defaults | arguments))


@pytest.mark.parametrize("h_dim", [0, 7])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (5, 33), (64, 48)])
def test_baseline_takes_any_size(size: tuple[int, int], h_dim: int) -> None:
    model = Deconv((1, *size), h_dim)
    x = torch.zeros(2, 1, *size, dtype=torch.uint8)
    h = torch.randn(2, h_dim) if h_dim else None
    model.loss(x, h).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def recomputing(skip: bool) -> tuple[GatedPixelCNN, GatedPixelCNN]:
    """The same model twice; the second recomputes its layers."""
    sizes: Any = {"levels": 5, "features": 6, "layers": 3, "skip": skip, "conditioning": "spatial"}
    plain = randomised(GatedPixelCNN((3, 4, 5), 2, **sizes)).train()
    other = randomised(GatedPixelCNN((3, 4, 5), 2, **sizes, recompute=True)).train()
    other.load_state_dict(plain.state_dict())
    return plain, other


@pytest.mark.parametrize(("skip", "compiled"), [(True, False), (False, True)])
def test_recomputed_layers_have_the_same_gradients(skip: bool, compiled: bool) -> None:
    plain, other = recomputing(skip)
    x = torch.randint(0, 5, (2, 3, 4, 5), dtype=torch.uint8)
    h = torch.randn(2, 2, dtype=torch.float64)
    plain.loss(x, h).backward()
    loss = torch.compile(other.loss, fullgraph=True, backend="aot_eager")
    (loss if compiled else other.loss)(x, h).backward()
    for a, b in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-12, atol=1e-12)
    torch.compiler.reset()


def test_layers_are_recomputed_in_training_only() -> None:
    _, model = recomputing(skip=False)
    forwards = []
    model.layers[1].register_forward_pre_hook(lambda *_: forwards.append(1))
    x = torch.randint(0, 5, (2, 3, 4, 5), dtype=torch.uint8)
    h = torch.randn(2, 2, dtype=torch.float64)
    model.loss(x, h).backward()
    assert len(forwards) == 2
    model.eval().loss(x, h).backward()
    assert len(forwards) == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_logits_of_a_subpixel_lie_side_by_side(
    dtype: torch.dtype, layout: torch.memory_format
) -> None:
    model = GatedPixelCNN((3, 4, 5), levels=7, features=6, layers=2).to(dtype)
    for p in model.parameters():
        if p.ndim == 4:
            p.data = p.data.contiguous(memory_format=layout)
    x = torch.zeros(2, 3, 4, 5, dtype=torch.uint8).contiguous(memory_format=layout)
    rows = model.params(x).permute(0, 2, 3, 1, 4)  # (B, H, W, C, K)
    assert rows.is_contiguous()


def test_the_compiled_gate_is_the_gate() -> None:
    """In float64 to the last digits, its gradients and where it saturates included."""
    x = torch.cat([torch.linspace(-800, 800, 301), 4 * torch.randn(299), torch.zeros(1)]).double()
    x = torch.stack([x, x.flip(0)], 1).requires_grad_()  # (601, 2)
    y, expected = _CompiledGate.apply(x), gate(x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-15)
    grad = torch.randn(601, 1, dtype=torch.float64)
    (a,) = torch.autograd.grad(y, x, grad)
    (b,) = torch.autograd.grad(expected, x, grad)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-14)
    small = torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(_CompiledGate.apply, small)
    compiled = torch.compile(gate, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), expected, rtol=0, atol=1e-15)
    torch.compiler.reset()
