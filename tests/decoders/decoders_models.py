"""Small decoders for tests, with parameters that leave nothing zero."""

from typing import Any

from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.testing import randomised


def small_pixelcnn(image_shape: tuple[int, int, int], **kwargs: Any) -> GatedPixelCNN:
    settings: dict[str, Any] = {"levels": 5, "features": 6, "layers": 3}
    return randomised(GatedPixelCNN(image_shape, **(settings | kwargs)))
