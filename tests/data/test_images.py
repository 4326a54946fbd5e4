"""ImageData and ImageSplit: batches, levels, memory mapping, and what they refuse."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, default_convert

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.data.images import content_fingerprint

Array = NDArray[Any]


def arrays(count: int = 20) -> dict[str, Array]:
    rng = np.random.default_rng(1)
    return {
        "image": rng.integers(0, 256, (count, 3, 4, 5), dtype=np.uint8),
        "label": np.arange(count),
        "embedding": rng.normal(size=(count, 7)).astype(np.float32),
    }


def rows(count: int = 20) -> dict[str, Array]:
    order = np.random.default_rng(2).permutation(count)
    return {"train": order[: count - 8], "val": order[-8:-5], "test": order[-5:]}


def make(**changes: Array) -> ImageData:
    return ImageData("toy", {**arrays(), **changes}, rows())


def test_one_image_and_a_batch_agree() -> None:
    data = make()
    split, order = data.splits["train"], rows()["train"]
    batch = split[[3, 0, 3]]
    assert set(batch) == set(split.keys) == {"image", "label", "embedding"}
    assert batch["image"].dtype == torch.uint8
    assert batch["label"].tolist() == [order[3], order[0], order[3]]
    for key in split.keys:
        assert torch.equal(batch[key][1], split[0][key])
        assert torch.equal(split[-1][key], split[len(split) - 1][key])
    assert split[0]["image"].shape == data.image_shape == split.image_shape == (3, 4, 5)
    assert torch.equal(split.column("label"), torch.from_numpy(order))
    with pytest.raises(KeyError, match="image, label, embedding"):
        split.column("identity")
    with pytest.raises(IndexError):
        split[len(split)]


def test_a_column_of_a_key_by_its_number() -> None:
    grid = np.arange(20 * 6).reshape(20, 2, 3)
    data = make(embedding=np.arange(60, dtype=np.float32).reshape(20, 3), grid=grid)
    split, order = data.splits["val"], rows()["val"]
    assert split.column("embedding[2]").tolist() == (3 * order + 2).tolist()
    assert split.column("grid[4]").tolist() == grid[order, 1, 1].tolist()
    for name, told in (
        ("embedding[3]", r"'embedding' has embedding\[0\] to embedding\[2\]"),
        ("label[0]", "'label' is one number an image, name it alone"),
    ):
        with pytest.raises(ValueError, match=told):
            split.column(name)
    for name in ("other[0]", "embedding[-1]", "embedding[]"):
        with pytest.raises(KeyError, match="image, label, embedding, grid"):
            split.column(name)
    assert make(**{"a[7]": np.arange(20)}).splits["val"].column("a[7]").tolist() == order.tolist()


def test_a_slice_is_a_batch() -> None:
    split = load_data("digits").splits["test"]
    assert torch.equal(split[2:9:3]["image"], split[[2, 5, 8]]["image"])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_ordinary_loader_reads_the_same_batches(workers: int) -> None:
    split = make().splits["train"]
    loader = DataLoader(split, batch_size=5, collate_fn=default_convert, num_workers=workers)
    batches = list(loader)
    assert [len(batch["image"]) for batch in batches] == [5, 5, 2]
    for start, batch in zip((0, 5, 10), batches, strict=True):
        assert all(torch.equal(batch[key], split[start : start + 5][key]) for key in split.keys)


@pytest.mark.parametrize("own", [256, 17, 3])
def test_quantising_is_the_floor_of_the_scaled_value(own: int) -> None:
    values = np.arange(own, dtype=np.uint8)
    images = np.tile(values, 10).reshape(10, 1, 1, own)
    split = {"train": np.arange(8), "val": np.array([8]), "test": np.array([9])}
    data = ImageData("ramp", {"image": images}, split, levels=own)
    for levels in range(2, own + 1):
        coarse = data.quantised(levels)
        got = coarse.splits["train"][0]["image"].flatten()
        assert got.dtype == torch.uint8
        assert got.tolist() == [int(v) * levels // own for v in values]
        assert set(got.tolist()) == set(range(levels))
        assert coarse.levels == coarse.splits["val"].levels == levels
    assert data.levels == data.splits["val"].levels == own
    assert data.quantised(own).fingerprint == data.fingerprint
    for levels in (own + 1, 1, 0):
        with pytest.raises(ValueError, match=f"between 2 and {own}, got {levels}"):
            data.quantised(levels)


def test_quantising_again_starts_from_the_stored_values() -> None:
    twice = make().quantised(7).quantised(5).splits["train"][0]["image"]
    assert torch.equal(twice, make().quantised(5).splits["train"][0]["image"])


def test_a_pickled_split_names_its_file_and_reads_the_same(tmp_path: Path) -> None:
    content = arrays(5000)
    for key, array in content.items():
        np.save(tmp_path / f"{key}.npy", array)
    mapped = {key: np.load(tmp_path / f"{key}.npy", mmap_mode="r") for key in content}
    split = ImageData("toy", mapped, rows(5000)).quantised(4).splits["test"]
    assert isinstance(split.arrays["image"], np.memmap)
    pickled = pickle.dumps(split)
    assert len(pickled) < 5000
    again = pickle.loads(pickled)
    assert isinstance(again.arrays["image"], np.memmap)
    assert all(torch.equal(again[[0, 4]][key], split[[0, 4]][key]) for key in split.keys)


def test_a_pickled_part_of_a_file_reads_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", arrays(30)["image"])
    part = np.load(tmp_path / "image.npy", mmap_mode="r")[10:]
    split = ImageData("toy", {"image": part}, rows()).splits["val"]
    again = pickle.loads(pickle.dumps(split))
    assert torch.equal(again[[0, 1, 2]]["image"], split[[0, 1, 2]]["image"])


def test_fingerprint_is_of_the_content() -> None:
    same = make().fingerprint
    assert make().fingerprint == same
    changed = arrays()["image"].copy()
    changed[0, 0, 0, 0] ^= 1
    assert make(image=changed).fingerprint != same
    other = {**rows(), "val": rows()["val"][::-1]}
    assert ImageData("toy", arrays(), other).fingerprint != same
    strided = np.asfortranarray(arrays()["image"])
    assert content_fingerprint({"image": strided}, {}) == content_fingerprint(
        {"image": arrays()["image"]}, {}
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": np.zeros((20, 3, 4, 5), np.float32)}, TypeError, "must be uint8, got float32"),
        ({"image": np.zeros((20, 4, 5), np.uint8)}, ValueError, r"use image\[:, None\]"),
        ({"image": np.zeros((20, 4, 5, 3), np.uint8)}, ValueError, r"transpose\(0, 3, 1, 2\)"),
        ({"image": np.zeros((20, 2, 4, 5), np.uint8)}, ValueError, "1 or 3 channels, got 2"),
        ({"label": np.arange(19)}, ValueError, "20 images but 19 rows of 'label'"),
        ({"label": np.zeros(20)}, TypeError, "'label' must be int64, got float64"),
        ({"embedding": np.zeros(20, np.float32)}, ValueError, r"'embedding' must be \(N, d\)"),
        ({"landmarks": np.zeros((20, 4, 2), np.float32)}, ValueError, r"\(N, 5, 2\)"),
        ({"photo": np.array(["a"] * 20)}, TypeError, "'photo' must hold numbers"),
    ],
)
def test_misfits_are_named(change: dict[str, Array], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val": np.array([], int)}, "the split 'val' is empty"),
        ({"val": np.array([20])}, "rows outside 0…19"),
        ({"val": np.array([-1])}, "rows outside 0…19"),
        ({"val": rows()["test"][:1]}, "the splits share images"),
        ({"dev": np.array([1])}, "must be train, val and test"),
    ],
)
def test_impossible_splits_are_named(change: dict[str, Array], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageData("toy", arrays(), {**rows(), **change})


def test_values_beyond_the_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="but has 17 levels"):
        ImageData("toy", {"image": np.full((20, 1, 2, 2), 17, np.uint8)}, rows(), levels=17)
    with pytest.raises(ValueError, match="no key 'image'"):
        ImageData("toy", {}, rows())


def test_groups_are_those_of_the_widest_key() -> None:
    arrays = {"image": np.zeros((6, 1, 2, 2), np.uint8), "photograph": np.array([0, 0, 1, 1, 2, 3])}
    rows = {"train": np.array([0, 1, 4]), "val": np.array([5]), "test": np.array([2, 3])}
    codes, name = ImageData("mine", arrays, rows).splits["train"].groups()
    assert (codes.tolist(), name) == ([0, 0, 2], "photographs")
    arrays["identity"] = np.array([7, 8, 9, 9, 8, 1])
    data = ImageData("mine", arrays, rows)
    codes, name = data.splits["train"].groups()
    assert (codes.tolist(), name) == ([7, 8, 8], "people")
    codes, _ = data.splits["train"].groups([2, 1])
    assert codes.tolist() == [8, 8]
    assert data.splits["train"].groups([0, 1]) is None  # each is alone
    arrays["group"] = np.zeros(6, np.int64)
    assert ImageData("mine", arrays, rows).splits["test"].groups()[1] == "groups"
    with pytest.raises(TypeError, match="'group' must be int64"):
        ImageData("mine", {**arrays, "group": np.zeros(6)}, rows)
    plain = {"image": arrays["image"]}
    assert ImageData("mine", plain, rows).splits["train"].groups() is None
