"""Bad images and impossible sizes are named, whatever the decoder."""

from typing import Any

import pytest
import torch

from repr_toolkit.decoders import Decoder, Deconv, GatedPixelCNN
from repr_toolkit.decoders.gate import _CompiledGate, gate
from repr_toolkit.testing import randomised

DECODERS: list[Decoder] = [
    GatedPixelCNN((3, 4, 5), levels=16, features=6, layers=2),
    Deconv((3, 4, 5), levels=16),
]


@pytest.mark.parametrize("decoder", DECODERS)
def test_images_are_checked(decoder: Decoder) -> None:
    image = torch.zeros(2, 3, 4, 5, dtype=torch.uint8)
    assert decoder.log_prob(image).shape == (2,)
    for method in (decoder.log_prob, decoder.loss):
        with pytest.raises(TypeError, match="uint8"):
            method(image.float())
        with pytest.raises(ValueError, match=r"\(B, 3, 4, 5\) expected, not \(2, 3, 5, 4\)"):
            method(image.transpose(2, 3))
        with pytest.raises(ValueError, match="value 16, but this model's levels are 0…15"):
            method(image + 16)
        with pytest.raises(ValueError, match="unconditional"):
            method(image, torch.zeros(2, 4))


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


def test_every_parameter_is_trained() -> None:
    """A parameter without a gradient stops distributed training."""
    for skip in (False, True):
        for conditioning in ("vector", "positional", "spatial"):
            model = GatedPixelCNN(
                (3, 4, 4), 2, features=6, layers=3, skip=skip, conditioning=conditioning
            )
            model.loss(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.randn(2, 2)).backward()
            untouched = [name for name, p in model.named_parameters() if p.grad is None]
            assert untouched == []


@pytest.mark.parametrize("conditioning", ["vector", "positional", "spatial"])
def test_the_training_loss_is_one_graph(conditioning: str) -> None:
    """A break of the graph would cost torch.compile most of what it gains."""
    models = [
        GatedPixelCNN((3, 4, 5), 2, levels=16, features=6, layers=2, conditioning=conditioning),
        Deconv((3, 4, 5), 2, levels=16),
    ]
    x = torch.randint(0, 16, (2, 3, 4, 5), dtype=torch.uint8)
    h = torch.randn(2, 2)
    for model in models:
        compiled = torch.compile(model.loss, fullgraph=True, backend="eager", dynamic=False)
        torch.testing.assert_close(compiled(x, h), model.loss(x, h))
    torch.compiler.reset()


def recomputing(skip: bool) -> tuple[GatedPixelCNN, GatedPixelCNN]:
    """The same model twice; the second recomputes its layers."""
    sizes: Any = {"levels": 5, "features": 6, "layers": 3, "skip": skip, "conditioning": "spatial"}
    plain = randomised(GatedPixelCNN((3, 4, 5), 2, **sizes)).train()
    other = randomised(GatedPixelCNN((3, 4, 5), 2, **sizes, recompute=True)).train()
    other.load_state_dict(plain.state_dict())
    return plain, other


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
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
