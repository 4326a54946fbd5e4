"""Images of two levels: cut at half, sampled once, or sampled anew at every step of training."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from repr_toolkit.config.recipe import complete
from repr_toolkit.data import ImageData, load_data
from repr_toolkit.data.binarise import Draw, DrawnIndices
from repr_toolkit.data.order import StepSampler


def toy(images: np.ndarray[Any, Any] | None = None) -> ImageData:
    if images is None:
        images = np.random.default_rng(0).integers(0, 256, (40, 1, 5, 6), dtype=np.uint8)
    order = np.random.default_rng(1).permutation(len(images))
    rows = {"train": order[:-16], "val": order[-16:-8], "test": order[-8:]}
    return ImageData("toy", {"image": images}, rows)


def every(data: ImageData, split: str = "train") -> Tensor:
    return data.splits[split][:]["image"]


def test_a_threshold_cuts_at_half() -> None:
    data = toy()
    binary = data.binarised("threshold")
    assert (binary.levels, binary.splits["val"].levels) == (2, 2)
    assert torch.equal(every(binary), (every(data) >= 128).to(torch.uint8))
    assert binary.fingerprint == data.fingerprint  # as at any other number of levels


@pytest.mark.parametrize("kind", ["fixed", "dynamic"])
def test_what_is_sampled_once_is_sampled_alike_in_any_batch(kind: Any) -> None:
    data = toy()
    binary, again = data.binarised(kind), toy().binarised(kind)
    assert binary.levels == 2
    assert binary.fingerprint == again.fingerprint != data.fingerprint
    for name, split in binary.splits.items():
        whole = every(binary, name)
        assert set(whole.unique().tolist()) == {0, 1}
        assert torch.equal(whole, every(again, name))
        assert torch.equal(split[[3, 1, 3]]["image"], whole[[3, 1, 3]])
        assert torch.equal(split[2]["image"], whole[2])
        assert torch.equal(pickle.loads(pickle.dumps(split))[:]["image"], whole)
        assert not torch.equal(whole, (every(data, name) >= 128).to(torch.uint8))


def test_a_pixel_is_one_as_often_as_its_intensity_says() -> None:
    values = np.array([0, 1, 64, 128, 254, 255], np.uint8)
    images = np.broadcast_to(values, (20_016, 1, 1, 6)).copy()
    frequencies = every(toy(images).binarised("fixed")).double().mean((0, 1, 2))
    probabilities = torch.from_numpy(values) / 255
    errors = (probabilities * (1 - probabilities) / 20_000).sqrt()
    assert ((frequencies - probabilities).abs() <= 4 * errors).all()
    # Pixels and images are independent: a pair agrees as often as chance says.
    first, second = every(toy(np.full((20_016, 1, 1, 2), 128, np.uint8)).binarised("fixed")).unbind(
        -1
    )
    assert abs(float((first == second).double().mean()) - 0.5) < 0.015
    assert abs(float((first[1:] == first[:-1]).double().mean()) - 0.5) < 0.015


def test_training_images_are_drawn_by_seed_step_and_image() -> None:
    split = toy().binarised("dynamic").splits["train"]

    def drawn(indices: list[int], seed: int, step: int) -> Tensor:
        return split[DrawnIndices(indices, Draw(seed, step))]["image"]

    base = drawn([0, 1, 2, 3], 0, 0)
    assert torch.equal(drawn([3, 1], 0, 0), base[[3, 1]])
    others = [drawn([0, 1, 2, 3], 0, 1), drawn([0, 1, 2, 3], 1, 0), split[[0, 1, 2, 3]]["image"]]
    assert all(not torch.equal(base, other) for other in others)
    assert not torch.equal(others[0], others[1])
    fixed = toy().binarised("fixed").splits["train"]
    assert torch.equal(fixed[DrawnIndices([0, 1], Draw(0, 0))]["image"], fixed[[0, 1]]["image"])


@pytest.mark.parametrize("workers", [0, 1])
def test_the_batches_of_a_step_are_the_same_after_a_resume(workers: int) -> None:
    split = toy().binarised("dynamic").splits["train"]

    def images(first: int) -> list[Tensor]:
        order = StepSampler(len(split), 4, 10, 3, steps_taken=lambda: first)
        loader = DataLoader(split, sampler=order, batch_size=None, num_workers=workers)
        return [batch["image"] for batch in loader]

    whole, resumed = images(0), images(6)
    assert all(torch.equal(a, b) for a, b in zip(whole[6:], resumed, strict=True))
    order = StepSampler(len(split), 4, 10, 3, steps_taken=lambda: 0)
    fixed = [split[order.batch(step).tolist()]["image"] for step in range(10)]
    assert not any(torch.equal(a, b) for a, b in zip(whole, fixed, strict=True))


def test_by_its_name(tmp_path: Path) -> None:
    data = load_data("digits", binarise="fixed")
    assert (data.levels, data.image_shape) == (2, (1, 8, 8))
    assert load_data("digits", levels=2, binarise="threshold").levels == 2
    with pytest.raises(ValueError, match="makes two levels, and"):
        load_data("digits", levels=4, binarise="fixed")
    model = {"decoder": {"class_path": "unused"}}
    recipe: dict[str, Any] = {"data": {"source": "digits", "binarise": "fixed"}, "model": model}
    assert complete(recipe)["data"]["binarise"] == "fixed"
    for wrong, message in [({"binarise": "often"}, "binarise"), ({"levels": 4}, "asks for 4")]:
        with pytest.raises(ValueError, match=message):
            complete({**recipe, "data": {**recipe["data"], **wrong}})


def test_another_kind_is_refused() -> None:
    kind: Any = "dynamc"
    with pytest.raises(ValueError, match="threshold, fixed, dynamic, not 'dynamc'"):
        load_data("digits", binarise=kind)


@pytest.mark.parametrize("kind", ["fixed", "dynamic"])
def test_what_was_sampled_stays_sampled(kind: Any) -> None:
    """Its fingerprint says so: thresholded images must not go by it."""
    data = load_data("digits", binarise=kind)
    for again in (load_data(data, levels=2), load_data(data, binarise=kind), data.quantised(2)):
        assert (again.fingerprint, again.levels) == (data.fingerprint, 2)
        assert again.splits["train"].dynamic is (kind == "dynamic")
        for split in data.splits:
            assert torch.equal(every(again, split), every(data, split))
    with pytest.raises(ValueError, match="has 2 levels of intensity"):
        data.quantised(4)
    with pytest.raises(ValueError, match="sampled in two levels already"):
        data.binarised("threshold")


def test_a_fold_of_what_was_sampled_has_the_same_images() -> None:
    whole = load_data("orl_faces", size=16, binarise="fixed")
    folded = load_data(whole, fold=1)
    at_once = load_data("orl_faces", size=16, binarise="fixed", fold=1)
    assert folded.fingerprint != whole.fingerprint
    for split in whole.splits:
        assert torch.equal(every(folded, split), every(at_once, split))
