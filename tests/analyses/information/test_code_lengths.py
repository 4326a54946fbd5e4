"""Bits of sub-pixels sum to those of images; what is read, and what is refused."""

import sys

import numpy as np
import pytest
import torch

from repr_toolkit.analyses.information.code_lengths import (
    Reading,
    code_lengths,
    cumulative,
    image_bits,
)
from repr_toolkit.data import ImageSplit
from repr_toolkit.data.known_bits import known_bits
from repr_toolkit.decoders import Decoder, Deconv, GatedPixelCNN, raster
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import encode_split
from repr_toolkit.runs.bits import bits_given
from repr_toolkit.testing import randomised
from toys.autoregressive import ByColumns
from toys.data import random_split
from toys.encoders import Mean
from toys.known_bits import exact, pixelcnn
from toys.runs import known_model

DATA = known_bits(train=20, held_out=30)


@pytest.mark.parametrize(
    "decoder",
    [
        GatedPixelCNN((1, 4, 5), levels=16, features=6, layers=2),
        GatedPixelCNN((3, 4, 5), 2, levels=16, features=6, layers=2, conditioning="spatial"),
        Deconv((3, 4, 5), 2, levels=16),
    ],
)
def test_sub_pixels_sum_to_the_image(decoder: Decoder) -> None:
    decoder = randomised(decoder)
    shape = decoder.image_shape
    x = torch.randint(0, 16, (3, *shape), dtype=torch.uint8)
    h = torch.randn(3, decoder.h_dim, dtype=torch.float64) if decoder.h_dim else None
    terms = decoder.subpixel_log_prob(x, h)
    assert terms.shape == (3, *shape)
    assert (terms < 0).all()
    torch.testing.assert_close(terms.flatten(1).sum(1), decoder.log_prob(x, h))
    with pytest.raises(TypeError, match="uint8"):
        decoder.subpixel_log_prob(x.float(), h)


def test_a_later_pixel_does_not_change_an_earlier_ones_bits() -> None:
    decoder = randomised(GatedPixelCNN((1, 4, 4), levels=4, features=6, layers=2))
    x = torch.randint(0, 4, (1, 1, 4, 4), dtype=torch.uint8)
    changed = x.clone()
    changed[0, 0, 2, 1] = (x[0, 0, 2, 1] + 1) % 4
    same = decoder.subpixel_log_prob(x) == decoder.subpixel_log_prob(changed)
    assert same.flatten()[: 2 * 4 + 1].all()
    assert not same.flatten()[2 * 4 + 1]


def test_bits_add_up_in_the_order_of_generation() -> None:
    saved = torch.arange(12.0).view(3, 2, 2).numpy()
    pixels = saved.sum(0).flatten()
    assert cumulative(saved, raster((3, 2, 2))).tolist() == pixels.cumsum().tolist()
    by_columns = ByColumns((3, 2, 2), levels=3)
    assert cumulative(saved, by_columns.order).tolist() == pixels[[0, 2, 1, 3]].cumsum().tolist()
    # Where the likelihood couples the channels a map has one.
    assert cumulative(saved[:1], by_columns.order).tolist() == [0, 2, 3, 6]


def test_maps_follow_the_models_own_order_and_channels() -> None:
    torch.manual_seed(0)
    split = random_split(5)
    model = EncoderDecoder(Mean(), ByColumns((1, 2, 3), 1, 4)).eval()
    h = encode_split(model, split)
    coded = code_lengths([Reading(model, h), Reading(model, h + 1)], split)
    assert coded.maps is not None
    assert coded.order.tolist() == [0, 3, 1, 4, 2, 5]
    assert coded.maps.mean[1].sum() == pytest.approx(coded.saved(1).mean(), rel=1e-5)


def test_a_decoder_without_sub_pixels_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Decoder has no likelihood of each sub-pixel"):
        Decoder((1, 2, 2)).subpixel_log_prob(torch.zeros(1, 1, 2, 2, dtype=torch.uint8))


def test_bits_are_those_of_evaluation_whatever_the_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = sys.modules["repr_toolkit.analyses.information.code_lengths"]  # not the function
    monkeypatch.setattr(module, "FOLDED", 2)  # 30 images in batches of 7 are folded twice
    model, split = pixelcnn(3), DATA.splits["test"]
    codes = encode_split(model, split)
    other = codes.flip(0)
    expected = bits_given(model, split, [codes, other])
    readings = [Reading(model, codes), Reading(model, other)]
    for size in (256, 7):
        coded = code_lengths(readings, split, batch_size=size, shown=[5, 29])
        np.testing.assert_allclose(coded.bits / 36, expected, rtol=1e-5)
        assert coded.maps is not None
        np.testing.assert_allclose(coded.maps.mean.sum((1, 2, 3))[1], coded.saved(1).mean(), 1e-4)
        np.testing.assert_allclose(
            coded.maps.shown.sum((2, 3, 4))[1], coded.saved(1)[[5, 29]], 1e-4
        )
    single = [code_lengths(readings, split, shown=[i]).maps for i in range(30)]
    every = np.stack([maps.shown[1, 0] for maps in single if maps is not None])
    error = every.astype(np.float64).std(0, ddof=1) / np.sqrt(30)
    np.testing.assert_allclose(coded.maps.error[1], error, rtol=1e-3, atol=1e-6)
    people = np.arange(30) * 7 % 12  # of 2 or 3 images each, which batches of 7 part
    identity = np.zeros(len(split.arrays["image"]), int)
    identity[split.rows] = people
    grouped = ImageSplit({**split.arrays, "identity": identity}, split.rows, split.levels)
    of_people = code_lengths(readings, grouped, batch_size=7).maps
    assert of_people is not None
    for place in np.ndindex(every.shape[1:]):
        residuals = every[(slice(None), *place)].astype(np.float64)
        sums = np.bincount(people, residuals - residuals.mean())
        expected_error = np.sqrt(12 / 11 * (sums**2).sum()) / 30
        assert of_people.error[(1, *place)] == pytest.approx(expected_error, rel=1e-3, abs=1e-6)
    some = image_bits(model, split, [codes[[4, 2]]], indices=[4, 2], batch_size=1)
    np.testing.assert_allclose(some[0] / 36, expected[0][[4, 2]], rtol=1e-5)


def test_a_plug_in_needs_no_sub_pixels() -> None:
    model, split = known_model(), random_split(20)
    codes = encode_split(model, split)
    coded = code_lengths([Reading(model, codes)], split, shown=[0])
    assert codes is not None
    np.testing.assert_allclose(coded.bits[0] / 6, bits_given(model, split, [codes])[0])
    assert coded.maps is None


def test_what_cannot_be_read() -> None:
    split = DATA.splits["test"]
    with pytest.raises(ValueError, match="no reading"):
        code_lengths([], split)
    with pytest.raises(ValueError, match="reading 1 has h of 3 images, but 30 are read"):
        code_lengths(
            [Reading(exact("null"), None), Reading(exact("bits"), torch.ones(3, 3))], split
        )
    broken = split.column("bits").clone()
    broken[7] = float("nan")
    with pytest.raises(ValueError, match="image 7 of the split is not finite"):
        code_lengths([Reading(pixelcnn(3), broken)], split)
