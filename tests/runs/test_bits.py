"""Bits/dim: exact on a known distribution, weighed by image, with the standard error of numpy."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from repr_toolkit.analyses.information.code_lengths import image_bits
from repr_toolkit.data import ImageSplit
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import encode_split
from repr_toolkit.models.precision import exactly
from repr_toolkit.runs.bits import bits_given, bits_per_dim, evaluate, own_and_other
from repr_toolkit.support.choose import other_h, other_images
from toys.autoregressive import Dequantised
from toys.data import CODE_LENGTHS, SHAPE, random_split
from toys.encoders import CONV, Mean
from toys.flows import LOGISTIC
from toys.runs import known_model, untrained_run


@pytest.mark.parametrize("count", [2, 3, 10, 101])
def test_no_image_keeps_its_own_h(count: int) -> None:
    for seed in range(20):
        others = other_images(count, seed)
        assert (others != torch.arange(count)).all()
        assert (others.sort().values == torch.arange(count)).all()


def test_other_images_follow_from_the_seed() -> None:
    assert (other_images(50, 3) == other_images(50, 3)).all()
    assert (other_images(50, 3) != other_images(50, 4)).any()
    with pytest.raises(ValueError, match="at least two images"):
        other_images(1)


@pytest.mark.parametrize("counts", [(5, 5), (50, 30, 20), (2, 1, 1), (1,) * 30, (9, 1, 5, 5)])
def test_an_h_of_few_values_is_never_one_s_own(counts: tuple[int, ...]) -> None:
    codes = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    h = torch.stack([codes.sin(), codes % 2 * -0.0], dim=1)  # 0 and −0 are equal
    seen = set()
    for seed in range(10):
        shuffled = torch.randperm(len(h), generator=torch.Generator().manual_seed(seed))
        others, differ = other_h(h[shuffled].view(-1, 2, 1, 1), seed)
        assert differ.all()
        assert (codes[shuffled][others] != codes[shuffled]).all()
        assert (others.sort().values == torch.arange(len(h))).all()
        if len(set(counts)) == 1 and counts[0] == 1:
            assert (others == other_images(len(h), seed)).all()
        seen.add(tuple(shuffled[others][shuffled.argsort()].tolist()))
    assert len(seen) > 1


def test_where_most_h_are_one_own_and_other_differ_where_they_can() -> None:
    """The mean over seeds is that over all pairs of images whose h differ."""
    model, split = known_model(), random_split(24)
    h = torch.where(torch.arange(24) < 17, 1.0, 2.0)[:, None]
    cost = np.stack(bits_given(model, split, [torch.full((24, 1), v) for v in (1.0, 2.0)]))
    own, other = np.where(h[:, 0] < 1.5, cost, cost[::-1])
    weights = np.where(h[:, 0] < 1.5, 7 * 1.0, 17 * 1.0)  # partners of another h
    expected = np.average(own - other, weights=weights)
    found, counts = [], []
    for seed in range(200):
        bits, numbers = own_and_other(model, split, h, seed)
        np.testing.assert_allclose(bits, own, rtol=1e-6)
        others, differ = other_h(h, seed)
        assert numbers["difference"].count == int(differ.sum())
        every = bits - np.where(h[others, 0] < 1.5, cost[0], cost[1])
        assert numbers["difference"].value == pytest.approx(every.mean() / differ.double().mean())
        found.append(numbers["difference"].value)
        counts.append(int(differ.sum()))
    assert max(counts) < 15
    assert abs(np.mean(found) - expected) < 4 * np.std(found) / np.sqrt(len(found))


def test_where_all_h_are_one_there_is_no_other() -> None:
    _, numbers = own_and_other(known_model(), random_split(9), torch.ones(9, 1))
    assert list(numbers) == ["bits_per_dim"]


def test_two_levels_have_nats_beside() -> None:
    decoder = GatedPixelCNN((1, 3, 4), levels=2, features=2, layers=1, likelihood="bernoulli")
    images = np.random.default_rng(0).integers(0, 2, (9, 1, 3, 4), dtype=np.uint8)
    split = ImageSplit({"image": images}, np.arange(9), 2)
    _, numbers = own_and_other(EncoderDecoder(None, decoder), split, None)
    assert list(numbers) == ["bits_per_dim", "nats"]
    expected = -decoder.log_prob(torch.from_numpy(images)).mean()
    assert numbers["nats"].value == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_known_likelihood_gives_known_bits(batch_size: int) -> None:
    split = random_split(7)
    images = split[list(range(7))]["image"]
    bits = bits_per_dim(known_model(conditional=False), split, batch_size=batch_size)
    expected = CODE_LENGTHS[images.long()].flatten(1).mean(1)
    assert bits.dtype == np.float64
    np.testing.assert_allclose(bits, expected.numpy(), rtol=1e-6)


def test_bits_given_another_images_h() -> None:
    model, split = known_model(), random_split(40)
    codes = encode_split(model, split, batch_size=7)
    assert codes.shape == (40, 1)
    swapped = codes[other_images(40, 5)]
    assert (swapped != codes).any()
    own = bits_per_dim(model, split, batch_size=7)
    [other] = bits_given(model, split, [swapped], batch_size=9)
    images = split[list(range(40))]["image"].long()
    reversed_ = (swapped > 1.5)[:, :, None, None]
    expected = CODE_LENGTHS[torch.where(reversed_, 3 - images, images)].flatten(1).mean(1)
    np.testing.assert_allclose(other, expected.numpy(), rtol=1e-6)
    assert (own != other).any()
    assert own.mean() < other.mean()  # images of small mean are cheap by their own h alone


def test_representations_of_some_images() -> None:
    model, split = known_model(), random_split(9)
    every = encode_split(model, split)
    some = encode_split(model, split, indices=[8, 0, 3], batch_size=2)
    assert (some == every[[8, 0, 3]]).all()
    with pytest.raises(ValueError, match="no encoder"):
        encode_split(known_model(conditional=False), split)


def test_the_number_of_threads_changes_no_bit() -> None:
    model = EncoderDecoder(None, GatedPixelCNN(SHAPE, 0, 4, features=8, layers=2)).eval()
    split, before, every = random_split(11), torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            every.append(bits_per_dim(model, split, batch_size=2))
    finally:
        torch.set_num_threads(before)
    assert (every[0] == every[1]).all()
    assert (every[0] == every[2]).all()


def test_a_stochastic_likelihood_has_one_noise_an_image() -> None:
    """Whatever the batch, and whatever h the image is coded by."""
    torch.manual_seed(0)
    model = EncoderDecoder(Mean(), Dequantised(SHAPE, 1, 4)).eval()
    split = random_split(11)
    h = encode_split(model, split)
    first, other, again = bits_given(model, split, [h, h + 1, h], batch_size=4)
    assert (first == again).all()
    assert (first != other).all()
    for batch_size in (1, 3, 100):
        assert np.allclose(bits_per_dim(model, split, batch_size=batch_size), first, rtol=1e-6)
    assert (bits_per_dim(model, split, seed=1) != first).all()
    bits = image_bits(model, split, [h[[7, 2]]], indices=[7, 2])
    assert np.allclose(bits / np.prod(SHAPE), first[[7, 2]], rtol=1e-6)


def test_a_likelihood_that_is_not_finite_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model, split = known_model(conditional=False), random_split(7)
    poison = split[4]["image"]

    def log_prob(x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None) -> Tensor:
        return torch.where((x == poison).flatten(1).all(1), torch.nan, -1.0)

    monkeypatch.setattr(model.decoder, "log_prob", log_prob)
    with pytest.raises(ValueError, match="image 4 "):
        bits_per_dim(model, split, batch_size=3)


def test_every_table_of_h_from_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    model, split = known_model(), random_split(11)
    codes = encode_split(model, split)
    swapped = codes[other_images(11)]
    apart = [bits_given(model, split, [table], batch_size=4)[0] for table in (codes, swapped)]
    read: list[int] = []
    take = ImageSplit._take

    def count(self: ImageSplit, key: str, rows: Any, *draw: Any) -> Tensor:
        if key == "image":
            read.extend(rows.tolist())
        return take(self, key, rows, *draw)

    monkeypatch.setattr(ImageSplit, "_take", count)
    together = bits_given(model, split, [codes, swapped], batch_size=4)
    assert read == split.rows.tolist()
    np.testing.assert_array_equal(together, apart)


def test_representations_can_be_trained_on() -> None:
    """They are computed in inference mode, and come out of it."""
    codes = encode_split(known_model(), random_split(5))
    layer = torch.nn.Linear(1, 1)
    layer(codes).sum().backward()
    assert layer.weight.grad is not None


def test_autocast_does_not_reach_the_result() -> None:
    with torch.autocast("cpu", torch.bfloat16), exactly():
        a = torch.rand(4, 4)
        assert (a @ a).dtype == torch.float32
        assert torch.is_inference_mode_enabled()


def test_evaluate_a_run(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run")
    result = json.loads(json.dumps(evaluate(run.path, "val", batch_size=50)))
    assert result["likelihood"] == "exact"
    assert result["split"] == "val"
    assert result["levels"] == 17
    own, other = result["bits_per_dim"], result["bits_per_dim_other_h"]
    assert own["count"] == other["count"] == result["images"] > 50
    assert result["difference"]["value"] == pytest.approx(own["value"] - other["value"], abs=1e-12)
    again = evaluate(run.path, "val", batch_size=33)
    assert again["bits_per_dim"]["value"] == pytest.approx(own["value"], rel=1e-6)
    with pytest.raises(ValueError, match="no split 'valid'; they have train, val, test"):
        evaluate(run.path, "valid")


def test_evaluate_without_encoder(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run", encoder=None)
    result = evaluate(run.path)
    assert "difference" not in result
    assert result["bits_per_dim"]["value"] > 0


@pytest.mark.parametrize("encoder", [None, CONV])
def test_no_draw_of_a_likelihood_is_measured_twice(
    encoder: dict[str, Any] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = untrained_run(tmp_path / "flow", encoder=encoder, decoder=LOGISTIC)
    once = evaluate(run, "train", progress=False)
    counts: list[int] = []
    log_prob = EncoderDecoder.log_prob

    def counted(model: EncoderDecoder, batch: dict[str, Tensor], *args: Any) -> Tensor:
        counts.append(len(batch["image"]))
        return log_prob(model, batch, *args)

    monkeypatch.setattr(EncoderDecoder, "log_prob", counted)
    result = evaluate(run, "train", dequantisations=3, progress=False)
    assert sum(counts) == result["images"] * (3 if encoder is None else 4)  # once by other h
    del result["over_draws"]
    assert result == once
