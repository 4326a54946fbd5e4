"""Flips, shifts and crops: what each does, from what it is drawn, and what it leaves alone."""

import pickle
from copy import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from repr_toolkit.config.recipe import apply_settings
from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.data.augment import Augmentation
from repr_toolkit.data.binarise import Draw, DrawnIndices
from repr_toolkit.data.module import ImageDataModule
from toys.runs import small

SHAPE = (2000, 3, 5, 7)
LANDMARKS = np.zeros((SHAPE[0], 5, 2), np.float32)


def data(images: np.ndarray[Any, Any] | None = None, levels: int = 256) -> ImageData:
    if images is None:
        images = np.random.default_rng(0).integers(0, levels, SHAPE, dtype=np.uint8)
    order = np.random.default_rng(1).permutation(len(images))
    rows = {"train": order[:-16], "val": order[-16:-8], "test": order[-8:]}
    arrays = {"image": images, "label": np.arange(len(images)), "landmarks": LANDMARKS}
    return ImageData("toy", arrays, rows, levels=levels)


def changing(made: ImageData, **how: Any) -> ImageSplit:
    split = copy(made.splits["train"])
    split.augmentation = Augmentation(**how)
    return split


def drawn(split: ImageSplit, step: int = 0, seed: int = 0, indices: Any = None) -> Tensor:
    chosen = range(len(split)) if indices is None else indices
    return split[DrawnIndices([*chosen], Draw(seed, step))]["image"]


def test_half_of_the_images_are_mirrored() -> None:
    split = changing(data(), flips=True)
    stored, changed = split[:]["image"], drawn(split)
    same = (changed == stored).flatten(1).all(1)
    mirrored = (changed == stored.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert abs(float(mirrored.double().mean()) - 0.5) < 0.05


def test_shifts_move_by_whole_pixels_as_often_and_mirror_the_edge() -> None:
    split = changing(data(), shifts=2)
    stored = split[:]["image"]
    padded = torch.nn.functional.pad(stored.float(), (2, 2, 2, 2), mode="reflect").byte()
    windows = [
        (drawn(split) == padded[:, :, y : y + 5, x : x + 7]).flatten(1).all(1)
        for y in range(5)
        for x in range(5)
    ]
    places = torch.stack(windows).double()
    assert (places.sum(0) == 1).all()
    assert (places.mean(1) - 1 / 25).abs().max() < 0.02


def test_a_crop_is_a_part_enlarged_between_its_pixels() -> None:
    """Of a slope any part is a slope, less steep, but where it is cut off at the edges."""
    slope = np.broadcast_to(np.arange(0, 240, 8, dtype=np.uint8), (500, 1, 30, 30))
    rows = {"train": np.arange(498), "val": np.array([498]), "test": np.array([499])}
    made = ImageData("slope", {"image": slope.copy()}, rows)
    changed = drawn(changing(made, crops=0.5)).double()
    assert torch.equal(changed[:, :, 0], changed[:, :, 7])
    inner = changed[:, 0, 0, 3:-3]
    steps = inner.diff(dim=1).mean(1) / 8
    assert 0.49 < steps.min() < 0.52
    assert 0.98 < steps.max() < 1.01
    straight = torch.linspace(-11.5, 11.5, 24) * 8 * steps[:, None] + inner.mean(1, keepdim=True)
    assert (inner - straight).abs().max() < 1.5  # by rounding
    assert changed.max() <= 232


@pytest.mark.parametrize(
    "how", [{"flips": True}, {"shifts": 3}, {"crops": 0.6}, {"flips": True, "crops": 0.7}]
)
def test_it_is_drawn_by_seed_step_and_image_alone(how: dict[str, Any]) -> None:
    split = changing(data(), **how)
    base = drawn(split)
    assert torch.equal(drawn(split, indices=[9, 4, 9]), base[[9, 4, 9]])
    assert torch.equal(drawn(pickle.loads(pickle.dumps(split))), base)
    assert not torch.equal(drawn(split, step=1), base)
    assert not torch.equal(drawn(split, seed=1), base)
    assert torch.equal(split[:]["image"], data().splits["train"][:]["image"])


def test_levels_stay_levels() -> None:
    how = {"flips": True, "shifts": 2, "crops": 0.5}
    four = changing(data(levels=4), **how)
    assert drawn(four).unique().tolist() == [0, 1, 2, 3]
    coarse = changing(data().quantised(4), **how)
    fine = changing(data(), **how)
    assert torch.equal(drawn(coarse), (drawn(fine).int() * 4 // 256).byte())
    for kind in ("threshold", "fixed", "dynamic"):
        binary = changing(data().binarised(kind), **how)
        assert drawn(binary).unique().tolist() == [0, 1], kind


def test_values_come_from_the_image_however_far_it_moves() -> None:
    """A place beyond both edges is mirrored at each."""
    images = np.random.default_rng(3).integers(100, 150, (2000, 1, 8, 8), dtype=np.uint8)
    split = changing(data(images), shifts=7, crops=0.5)
    changed = drawn(split)
    stored = split[:]["image"]
    assert (changed.amax((1, 2, 3)) <= stored.amax((1, 2, 3))).all()
    assert (changed.amin((1, 2, 3)) >= stored.amin((1, 2, 3))).all()


def test_what_was_sampled_once_is_moved_as_it_is() -> None:
    fixed = changing(data().binarised("fixed"), flips=True)
    stored, changed = fixed[:]["image"], drawn(fixed)
    same = (changed == stored).flatten(1).all(1)
    assert (same | (changed == stored.flip(3)).flatten(1).all(1)).all()
    assert not same.all()


def test_a_batch_holds_nothing_that_is_no_longer_true() -> None:
    split = changing(data(), flips=True)
    assert [*split[DrawnIndices([0, 1], Draw(0, 0))]] == ["image", "label"]
    assert [*split[[0, 1]]] == ["image", "label", "landmarks"]


class Loading:
    """Stands in for a Trainer that takes its second step."""

    global_rank, world_size, global_step, accumulate_grad_batches = 0, 1, 1, 1
    strategy = type("", (), {"root_device": torch.device("cpu")})


def test_training_images_alone_are_changed() -> None:
    made = data()
    module = ImageDataModule(
        made, batch_size=8, steps_per_epoch=2, seed=5, augmentation=Augmentation(shifts=2)
    )
    module.trainer = Loading()
    [batch] = module.train_dataloader()
    indices = module.train_order().batch(1).tolist()
    expected = drawn(changing(made, shifts=2), step=1, seed=5, indices=indices)
    assert torch.equal(batch["image"], expected)
    assert not torch.equal(batch["image"], made.splits["train"][indices]["image"])
    [held_out] = module.val_dataloader()
    assert torch.equal(held_out["image"], made.splits["val"][:]["image"])
    assert made.splits["train"].augmentation is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data.crops": 0}, r"data\.crops is above 0 and at most 1, not 0"),
        ({"data.crops": 1.5}, r"data\.crops is above 0"),
        ({"data.shifts": -1}, r"data\.shifts is a whole number from 0"),
        ({"data.flips": "maybe"}, r"data\.flips"),
    ],
)
def test_what_cannot_be_asked_for(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply_settings(small(), settings)


def test_what_cannot_be_done_to_these_images() -> None:
    assert Augmentation.of(small()["data"]) is None
    how = Augmentation.of(small(data__shifts=7, data__flips=True)["data"])
    assert how is not None
    assert str(how) == "mirrored, moved by up to 7 pixels, at random, anew at each step"
    how.require((1, 8, 9), "embedding")
    with pytest.raises(ValueError, match=r"data\.shifts is at most 6 for images of 7×9"):
        how.require((1, 7, 9), None)
    with pytest.raises(ValueError, match="the encoder reads 'landmarks', which may say where"):
        how.require((1, 8, 8), "landmarks")
