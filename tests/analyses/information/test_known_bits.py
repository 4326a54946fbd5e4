"""Where the information is known in closed form: the estimate is it, the map lights its pixels."""

import numpy as np
import pytest
import torch

from repr_toolkit.analyses.information.bounds import candidate_bound
from repr_toolkit.analyses.information.code_lengths import Reading, code_lengths
from repr_toolkit.analyses.information.controls import sensitivity
from repr_toolkit.analyses.information.usable import Usable
from repr_toolkit.data import ImageData
from repr_toolkit.data.known_bits import (
    BITS,
    NOISE_BITS,
    PIXELS,
    REPEATED,
    SIDE,
    known_bits,
)
from repr_toolkit.encoders import Constant, Precomputed
from repr_toolkit.models.encode import encode_split
from repr_toolkit.support.choose import other_h
from toys.known_bits import TRUE_MAP, exact, fitted, pixelcnn

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def data() -> ImageData:
    return known_bits(train=20_000)


def test_the_data_are_as_they_say(data: ImageData) -> None:
    every = data.splits["train"][:]
    image, label = every["image"][:, 0].numpy(), every["label"].numpy()
    for k, (row, column) in enumerate(PIXELS):
        np.testing.assert_array_equal(image[:, row, column], 3 * (label >> k & 1))
        np.testing.assert_array_equal(every["bits"][:, k], 2 * (label >> k & 1) - 1)
    first = PIXELS[0]
    np.testing.assert_array_equal(image[(..., *REPEATED)], image[(..., *first)])
    assert first < REPEATED  # after it in the raster
    assert np.abs(np.bincount(label, minlength=8) / len(label) - 1 / 8).max() < 0.02
    noise = np.ones((SIDE, SIDE), bool)
    for place in (*PIXELS, REPEATED):
        noise[place] = False
    assert 2 * noise.sum() == NOISE_BITS
    shares = [np.mean(image[:, noise] == level) for level in range(4)]
    np.testing.assert_allclose(shares, 0.25, atol=0.005)
    again = known_bits(train=20_000, seed=1)
    same = known_bits(train=20_000)
    assert again.fingerprint != data.fingerprint == same.fingerprint


def test_with_the_true_likelihoods_the_estimate_is_the_truth(data: ImageData) -> None:
    split = data.splits["test"]
    own, null = exact("bits"), exact("null")
    coded = code_lengths(
        [Reading(null, None), Reading(own, split.column("bits"))], split, shown=[3, 500]
    )
    np.testing.assert_allclose(coded.bits[1], NOISE_BITS, rtol=1e-6)
    np.testing.assert_allclose(coded.saved(1), BITS, atol=1e-4)
    assert coded.maps is not None
    np.testing.assert_allclose(coded.maps.mean[1], TRUE_MAP, atol=1e-6)
    for of_one in coded.maps.shown[1]:
        np.testing.assert_allclose(of_one, TRUE_MAP, atol=1e-6)
    assert not coded.maps.mean[0].any()
    usable = Usable(coded.saved(1))
    bits = usable.bits
    np.testing.assert_allclose(
        np.array([bits.value, bits.low, bits.high], np.float64), BITS, atol=1e-4
    )


@pytest.fixture(scope="module")
def trained(data: ImageData) -> list[dict[str, Reading]]:
    """For each seed decoders trained on the bits, on coins independent of x, and on nothing."""
    train, test = data.splits["train"], data.splits["test"]
    encoders = {
        "without": lambda: Constant(),
        "bits": lambda: Precomputed(3, source="bits"),
        "coins": lambda: Precomputed(3, source="coins"),
    }
    found = []
    for seed in SEEDS:
        models = {name: fitted(make(), seed, train) for name, make in encoders.items()}
        found.append({n: Reading(m, encode_split(m, test)) for n, m in models.items()})
    return found


def test_trained_decoders_find_the_truth_over_three_seeds(
    data: ImageData, trained: list[dict[str, Reading]]
) -> None:
    split = data.splits["test"]
    coded = [code_lengths([r["without"], r["bits"]], split) for r in trained]
    usable = Usable(np.stack([c.saved(1) for c in coded]))
    assert all(abs(bits - BITS) < 0.06 for bits in usable.of_seeds)  # 2 %
    assert abs(usable.mean - BITS) < 0.05
    low, high = usable.bits.low, usable.bits.high
    assert low is not None
    assert high is not None
    assert BITS - 0.1 < low < usable.mean < high < BITS + 0.1
    for c in coded:
        assert c.maps is not None
        np.testing.assert_allclose(c.maps.mean[1], TRUE_MAP, atol=0.02)


def test_h_independent_of_x_saves_nothing_over_three_seeds(
    data: ImageData, trained: list[dict[str, Reading]]
) -> None:
    split = data.splits["test"]
    coded = [code_lengths([r["without"], r["coins"]], split) for r in trained]
    usable = Usable(np.stack([c.saved(1) for c in coded]))
    assert usable.bits.low is not None
    assert usable.bits.low <= 0
    assert abs(usable.mean) < 0.15
    for readings in trained:
        model, codes = readings["coins"]
        assert codes is not None
        low = candidate_bound(model, split, codes).bits.low
        assert low is not None
        assert low <= 0


def test_another_images_h_costs_bits(data: ImageData, trained: list[dict[str, Reading]]) -> None:
    split = data.splits["test"]
    for readings in trained:
        model, codes = readings["bits"]
        assert codes is not None
        others, differ = other_h(codes)
        assert differ.all()  # though one in eight images has the same three bits
        coded = code_lengths([Reading(model, codes), Reading(model, codes[others])], split)
        low = Usable(-coded.saved(1)).bits.low
        assert low is not None
        assert low > BITS


@pytest.mark.parametrize("conditioning", ["vector", "positional", "cells", "spatial"])
def test_a_network_that_ignores_h_saves_exactly_nothing(data: ImageData, conditioning: str) -> None:
    """V = 0: against its own null, among candidates, and for every part of h."""
    split = data.splits["test"]
    codes = split.column("bits")
    nothing = torch.zeros_like(codes)
    heard = pixelcnn(3, conditioning=conditioning)  # by this one h is heard
    saved = code_lengths([Reading(heard, nothing), Reading(heard, codes)], split).saved(1)
    assert (saved != 0).mean() > 0.99
    model = pixelcnn(3, scale=0, conditioning=conditioning)
    null = Reading(model, nothing)
    coded = code_lengths([null, Reading(model, codes)], split)
    assert coded.maps is not None
    for values in (coded.saved(1), coded.maps.mean[1], coded.maps.error[1]):
        assert not values.any()
    bound = candidate_bound(model, split, codes, images=64)
    for bits in (Usable(coded.saved(1)).bits, bound.bits):
        assert (bits.value, bits.low, bits.high) == (0, 0, 0)
    for along in ("coordinates", "principal"):
        parts = sensitivity(model, split, codes, along=along, images=32)
        assert [part.worth.mean for part in parts] == [0, 0, 0]
