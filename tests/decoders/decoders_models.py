"""Small decoders for tests, with parameters that leave nothing zero."""

from typing import Any

import torch

from repr_toolkit.decoders import AutoregressiveDecoder, GatedPixelCNN
from repr_toolkit.testing import randomised

MODELS: list[tuple[tuple[int, int, int], dict[str, Any]]] = [
    ((1, 5, 4), {}),
    ((3, 4, 5), {}),
    ((1, 3, 7), {"kernel_size": 5, "layers": 4}),
    ((3, 4, 4), {"kernel_size": 7, "skip": True, "head_features": 12}),
    ((3, 3, 5), {"h_dim": 2, "kernel_size": 5}),
    ((1, 5, 3), {"h_dim": 2, "conditioning": "spatial", "skip": True}),
    ((3, 5, 4), {"h_dim": 2, "conditioning": "spatial", "map_features": 3}),
    ((3, 3, 4), {"h_dim": 2, "conditioning": "positional", "map_features": 3}),
    ((3, 1, 6), {"layers": 1}),
    ((1, 6, 1), {"kernel_size": 1}),
    ((3, 3, 3), {"layers": 1, "skip": True, "levels": 256}),
]


def small_pixelcnn(image_shape: tuple[int, int, int], **kwargs: Any) -> GatedPixelCNN:
    settings: dict[str, Any] = {"levels": 5, "features": 6, "layers": 3}
    return randomised(GatedPixelCNN(image_shape, **(settings | kwargs)))


def condition(model: AutoregressiveDecoder, batch: int) -> dict[str, Any]:
    if model.h_dim == 0:
        return {"n": batch}
    return {"h": torch.randn(batch, model.h_dim, dtype=torch.float64)}
