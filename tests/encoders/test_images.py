"""The check and the scale that the networks of encoders/ share."""

import pytest
import torch

from repr_toolkit.encoders import ConvBottleneck, FaceNet, TripletNet, conv, facenet, triplet
from repr_toolkit.encoders.images import require_images, scaled_images


def test_the_lowest_level_is_minus_one_and_the_highest_one() -> None:
    x = torch.tensor([0, 1, 2], dtype=torch.uint8).view(1, 1, 1, 3)
    scaled = scaled_images(x, 3, (1, 1, 3), torch.float64)
    assert scaled.dtype == torch.float64
    assert scaled.flatten().tolist() == [-1, 0, 1]


def test_what_is_no_image_is_named() -> None:
    x = torch.zeros(2, 1, 8, 9, dtype=torch.uint8)
    with pytest.raises(TypeError, match=r"uint8 with values 0…15, not torch\.float32"):
        require_images(x.float(), 16)
    with pytest.raises(ValueError, match=r"\(B, 1, 8, 8\) expected, not \(2, 1, 8, 9\)"):
        require_images(x, 16, (1, 8, 8))
    with pytest.raises(ValueError, match="value 16, but this encoder's levels are 0…15"):
        require_images(x + 16, 16)
    require_images(x[:0], 16)  # no image has no value


def test_every_network_checks_by_the_same_function(monkeypatch: pytest.MonkeyPatch) -> None:
    class Called(Exception):
        pass

    def called(*_: object) -> None:
        raise Called

    monkeypatch.setattr(facenet, "require_images", called)
    monkeypatch.setattr(conv, "scaled_images", called)
    monkeypatch.setattr(triplet, "scaled_images", called)
    x = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    for encoder in (ConvBottleneck((1, 8, 8), 2), TripletNet((1, 8, 8), 2), FaceNet(None)):
        with pytest.raises(Called):
            encoder(x)
