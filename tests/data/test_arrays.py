"""Arrays, tensors and torch data sets as data, and files of embeddings under any names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.data.arrays import are_codes, named
from repr_toolkit.support import console

DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (40, 6, 5), dtype=np.uint8)
RGB = DRAW.integers(0, 256, (40, 3, 6, 5), dtype=np.uint8)
LABELS = np.arange(40) % 4
H = DRAW.normal(size=(40, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_said", set())


class Pictures(Dataset[Any]):
    """As torchvision's data sets: pictures of Pillow and labels."""

    def __len__(self) -> int:
        return len(RGB)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(RGB[index].transpose(1, 2, 0)), int(LABELS[index])


def of(data: ImageData, key: str) -> np.ndarray:
    """All values of a key, in the order of the rows."""
    return np.asarray(data.arrays[key])


@pytest.mark.parametrize(
    ("source", "images"),
    [
        (GREY, GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        (RGB, RGB),
        (RGB.transpose(0, 2, 3, 1), RGB),
        (torch.from_numpy(RGB), RGB),
        (torch.from_numpy(RGB) / 255, RGB),
        (RGB.astype(np.int64), RGB),
        (RGB.astype(np.float64), RGB),
        ((RGB, LABELS), RGB),
        ({"image": RGB, "label": LABELS}, RGB),
        ((RGB, LABELS.astype(np.float32)), RGB),
        (GREY > 99, (GREY > 99)[:, None] * np.uint8(255)),
        ((GREY > 99).astype(np.float32), (GREY > 99)[:, None] * np.uint8(255)),
        (torch.from_numpy(GREY > 99), (GREY > 99)[:, None] * np.uint8(255)),
        ({"images": RGB, "y": LABELS}, RGB),
        (TensorDataset(torch.from_numpy(RGB) / 255, torch.from_numpy(LABELS)), RGB),
        (Pictures(), RGB),
    ],
)
def test_images_of_any_usual_form(source: Any, images: np.ndarray) -> None:
    data = load_data(source)
    assert np.array_equal(of(data, "image"), images)
    assert (data.name, data.levels) == ("arrays", 256)
    if not isinstance(source, np.ndarray | torch.Tensor):
        assert of(data, "label").tolist() == LABELS.tolist()


def test_they_are_the_data_of_the_file_that_holds_them(tmp_path: Path) -> None:
    names = np.array(["ant", "bee", "cat", "dog"])[LABELS]
    data = load_data((RGB, names), levels=4)
    np.savez(tmp_path / "same.npz", image=RGB, label=names)
    same = load_data(str(tmp_path / "same.npz"), levels=4)
    assert data.fingerprint == same.fingerprint
    assert data.names == same.names == {"label": ("ant", "bee", "cat", "dog")}
    assert data.levels == 4
    assert load_data(data) is data


@pytest.mark.parametrize("test", ["test", "Testing"])
def test_splits_by_their_names(test: str) -> None:
    data = load_data({"train": (RGB[:30], LABELS[:30]), test: (RGB[30:], LABELS[30:])})
    assert len(data.split("test")) == 10
    assert torch.equal(data.split("test").column("label"), torch.from_numpy(LABELS[30:]))


@pytest.mark.parametrize(
    ("source", "kind", "told"),
    [
        (RGB / 200.0, ValueError, "integers 0…255, or such divided by 255, not float64 from"),
        (RGB.astype(int) - 1, ValueError, "not int64 from -1"),
        (np.zeros((2, 2, 2, 2, 2)), ValueError, r"\(N, H, W, C\), not \(2, 2, 2, 2, 2\)"),
        (object(), TypeError, "not a object"),
        ((RGB, LABELS[:3]), ValueError, "the arrays: 40 images but 3 rows of 'label'"),
        (TensorDataset(torch.zeros(0, 3, 4, 4)), ValueError, "the data set is empty"),
    ],
)
def test_what_is_no_data(source: Any, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        load_data(source)


@pytest.mark.parametrize(
    "keys",
    [
        {"embedding": H, "label": LABELS},
        {"features": H.astype(np.float64), "labels": LABELS},
        {"X": H, "y": LABELS.astype(np.int32)},
        {"data": H, "labels": LABELS},
        {"X_train": H[:30], "y_train": LABELS[:30], "X_test": H[30:], "y_test": LABELS[30:]},
        {
            "train_feats": H[:30],
            "train_y": LABELS[:30],
            "valid_feats": H[30:],
            "valid_y": LABELS[30:],
        },
    ],
)
def test_a_file_of_embeddings_and_labels_needs_no_images(
    keys: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "h.npz", **keys)
    data = load_data(str(tmp_path / "h.npz"))
    np.testing.assert_allclose(of(data, "embedding"), H)
    assert of(data, "label").tolist() == LABELS.tolist()
    told = capsys.readouterr().err
    assert ("takes" in told) == ("embedding" not in keys)
    for key in keys:
        assert key in told or "embedding" in keys
    assert "no images, embedding, label: " in repr(data)
    with pytest.raises(ValueError, match="these data have no images, only embedding, label"):
        _ = data.image_shape


BAGS = DRAW.integers(0, 9, (40, 3))


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ((H, LABELS), "arr_0 as embedding, arr_1 as label"),
        ((BAGS, LABELS), "arr_0 as embedding, arr_1 as label"),
        ({"X": BAGS, "y": LABELS}, "X as embedding, y as label"),
        ({"data": BAGS, "labels": LABELS}, "data as embedding, labels as label"),
        ({"data": BAGS.astype(bool), "labels": LABELS}, "data as embedding, labels as label"),
        ({"embedding": BAGS, "label": LABELS}, ""),
    ],
)
def test_embeddings_of_any_numbers_and_without_names(
    arrays: Any, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "h.npz"
    np.savez(file, *arrays) if isinstance(arrays, tuple) else np.savez(file, **arrays)
    data = load_data(str(file))
    h = next(iter(arrays.values())) if isinstance(arrays, dict) else arrays[0]
    assert of(data, "embedding").dtype == np.float32
    np.testing.assert_array_equal(of(data, "embedding"), h.astype(np.float32))
    assert of(data, "label").tolist() == LABELS.tolist()
    load_data(str(file))  # it is said once
    assert capsys.readouterr().err == (f"{file}: takes {told}\n" if told else "")


def test_two_arrays_without_names_may_be_images_and_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", RGB, LABELS)
    data = load_data(str(tmp_path / "x.npz"))
    assert np.array_equal(of(data, "image"), RGB)
    assert of(data, "label").tolist() == LABELS.tolist()


def test_what_has_a_usual_name_and_type_goes_first(tmp_path: Path) -> None:
    np.savez(tmp_path / "h.npz", data=BAGS, features=H, y=LABELS)
    data = load_data(str(tmp_path / "h.npz"))
    np.testing.assert_array_equal(of(data, "embedding"), H)
    np.testing.assert_array_equal(of(data, "data"), BAGS)


REAL = LABELS / 3


@pytest.mark.parametrize("kind", [float, np.float16, bool])
def test_whole_numbers_of_any_type_are_labels(
    kind: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    y = LABELS.astype(kind)
    np.savez(tmp_path / "h.npz", embeddings=H, labels=y)
    np.savez(tmp_path / "own.npz", embedding=H, label=y)
    np.savez(tmp_path / "s.npz", X_train=H[:30], y_train=y[:30], X_test=H[30:], y_test=y[30:])
    files = [str(tmp_path / name) for name in ("h.npz", "own.npz", "s.npz")]
    parts = {"train": (H[:30], y[:30]), "dev": (H[30:], y[30:])}
    for source in (*files, (H, y), {"features": H, "y": y}, parts):
        data = load_data(source)
        assert {*data.arrays} == {"embedding", "label"}
        assert of(data, "label").dtype == np.int64
        assert of(data, "label").tolist() == y.astype(int).tolist()
    told = capsys.readouterr().err
    for start in ("labels as label", "y_test as test_label", "the second as labels", "y as label"):
        assert (f"{start} (whole numbers, and so classes" in told) == (kind is not bool), start


@pytest.mark.parametrize("values", [REAL, np.where(LABELS == 3, np.nan, LABELS), LABELS + 1e30])
def test_numbers_that_are_not_whole_are_no_labels(values: np.ndarray, tmp_path: Path) -> None:
    assert not are_codes(values)
    assert [*named((H, values))] == ["embedding", "target"]
    parts = named({"train": (H[:4], LABELS[:4].astype(float)), "test": (H[4:], values[4:])})
    assert [*parts] == ["train_embedding", "train_target", "test_embedding", "test_target"]
    np.savez(tmp_path / "h.npz", X=H, y=values)
    data = load_data(str(tmp_path / "h.npz"))
    assert {*data.arrays} == {"embedding", "y"}
    assert data.arrays["y"].dtype == np.float64
    np.savez(tmp_path / "own.npz", embedding=H, label=values)
    with pytest.raises(TypeError, match="'label' must hold whole numbers or strings, got float64"):
        load_data(str(tmp_path / "own.npz"))


@pytest.mark.parametrize("kind", [int, float])
def test_labels_below_0_become_codes_with_their_values_as_names(
    kind: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    y = np.where(LABELS > 1, 1, -1).astype(kind)
    np.savez(tmp_path / "h.npz", X=H, y=y)
    for source in (str(tmp_path / "h.npz"), (H, y)):
        data = load_data(source)
        assert of(data, "label").tolist() == (LABELS > 1).astype(int).tolist()
        assert data.names == {"label": ("-1", "1")}
    assert "'label' counts from -1; its 2 values become codes" in capsys.readouterr().err


def test_images_that_are_all_but_black_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = "the images hold 0 and 1 of 256 levels, which are all but black"
    for values in ((GREY > 99).astype(int), (GREY > 99).astype(np.uint8)):
        assert of(load_data(values), "image").max() == 1
        assert told in capsys.readouterr().err
        console._said.clear()
    for mask in (GREY > 99, (GREY > 99).astype(np.uint8)):
        data = load_data({"image": mask[:, None], "levels": 2})
        assert (data.levels, of(data, "image").max()) == (2, 1)
    assert told not in capsys.readouterr().err


def test_what_loaded_before_has_its_fingerprint(tmp_path: Path) -> None:
    """A run knows its data by it; these are of the arrays as they were first understood."""
    h = np.arange(80, dtype=np.float32).reshape(40, 2)
    images = np.arange(40 * 12, dtype=np.int64).reshape(40, 3, 2, 2).astype(np.uint8)
    y = np.arange(40) % 4
    for name, arrays, start in (
        ("a", {"image": images, "label": y, "embedding": h}, "fa7213ea7192"),
        ("b", {"features": h, "labels": y.astype(np.int32), "data": h + 1}, "0b4145f5b007"),
        (
            "c",
            {"X_train": h[:30], "y_train": y[:30], "X_valid": h[30:], "y_valid": y[30:]},
            "0fd0015ac859",
        ),
        ("d", {"X": images, "h": np.arange(80).reshape(40, 2), "y": y / 3}, "fbf2399e24af"),
        (
            "e",
            {"embedding": h, "y": y.astype(float), "arr_0": h, "target": y % 2 == 0},
            "0e9b0fa6585a",
        ),
    ):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        assert load_data(str(tmp_path / f"{name}.npz")).fingerprint.startswith(start), name
