"""Numbers stored with the data as h: which they are, how they are scaled, what does not fit."""

import pytest
import torch

from repr_toolkit.encoders import Precomputed
from repr_toolkit.testing import check_encoder


def test_h_is_the_flattened_numbers_shifted_and_scaled() -> None:
    landmarks = torch.randn(4, 5, 2)
    encoder = Precomputed(10, source="landmarks", offset=12.0, scale=0.25)
    assert (encoder.source, encoder.h_dim) == ("landmarks", 10)
    h = encoder(landmarks)
    assert h.shape == (4, 10)
    for point in range(5):
        for axis in range(2):
            wanted = (landmarks[:, point, axis] - 12) / 4
            torch.testing.assert_close(h[:, 2 * point + axis], wanted)


def test_by_default_an_embedding_is_taken_as_it_is() -> None:
    encoder = Precomputed(512)
    assert encoder.source == "embedding"
    assert encoder.made_by is None
    embedding = torch.randn(3, 512)
    assert torch.equal(encoder(embedding), embedding)
    assert list(encoder.parameters()) == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64])
def test_h_is_float32_whatever_is_stored(dtype: torch.dtype) -> None:
    values = torch.arange(6).reshape(3, 2).to(dtype)
    encoder = Precomputed(2, scale=0.5)
    with torch.autocast("cpu", torch.bfloat16):
        h = encoder(values)
    assert h.dtype == torch.float32
    assert torch.equal(h, torch.arange(6).reshape(3, 2) / 2)


def test_a_single_number_for_each_image() -> None:
    assert torch.equal(Precomputed(1)(torch.tensor([3.0, 5.0])), torch.tensor([[3.0], [5.0]]))


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="'landmarks' has 10 numbers an image, but h_dim is 8"):
        Precomputed(8, source="landmarks")(torch.zeros(2, 5, 2))
    with pytest.raises(ValueError, match="h_dim is at least 1, not 0"):
        Precomputed(0)


def test_the_maker_is_kept_for_those_who_embed_a_new_picture() -> None:
    assert Precomputed(512, made_by="FaceNet 1").made_by == "FaceNet 1"


def test_the_contract_is_kept() -> None:
    landmarks = torch.randn(4, 5, 2)
    assert check_encoder(Precomputed(10, source="landmarks"), {"landmarks": landmarks})
