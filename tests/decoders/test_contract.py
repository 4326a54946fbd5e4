"""Bad images and impossible sizes are named, whatever the decoder."""

import pytest
import torch

from repr_toolkit.decoders import Decoder, Deconv, GatedPixelCNN

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
        for conditioning in ("vector", "spatial"):
            model = GatedPixelCNN(
                (3, 4, 4), 2, features=6, layers=3, skip=skip, conditioning=conditioning
            )
            model.loss(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.randn(2, 2)).backward()
            untouched = [name for name, p in model.named_parameters() if p.grad is None]
            assert untouched == []


@pytest.mark.parametrize("conditioning", ["vector", "spatial"])
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
