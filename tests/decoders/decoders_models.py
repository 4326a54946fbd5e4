"""Small decoders for tests, with parameters that leave nothing zero."""

from typing import Any, TypeVar

import torch
from torch import nn

from repr_toolkit.decoders import GatedPixelCNN

Module = TypeVar("Module", bound=nn.Module)


def randomised(model: Module, seed: int = 0) -> Module:
    """The model in float64 with every parameter random: zeros would make tests vacuous."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return model


def small_pixelcnn(image_shape: tuple[int, int, int], **kwargs: Any) -> GatedPixelCNN:
    settings: dict[str, Any] = {"levels": 5, "features": 6, "layers": 3}
    return randomised(GatedPixelCNN(image_shape, **(settings | kwargs)))
