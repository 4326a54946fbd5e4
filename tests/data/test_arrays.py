"""Arrays, tensors and torch data sets as data, and files of embeddings under any names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.data.arrays import named

DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (40, 6, 5), dtype=np.uint8)
RGB = DRAW.integers(0, 256, (40, 3, 6, 5), dtype=np.uint8)
LABELS = np.arange(40) % 4
H = DRAW.normal(size=(40, 3)).astype(np.float32)


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


def test_splits_by_their_names() -> None:
    data = load_data({"train": (RGB[:30], LABELS[:30]), "test": (RGB[30:], LABELS[30:])})
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


def test_numbers_that_are_not_whole_are_no_labels() -> None:
    assert [*named((H, LABELS / 3))] == ["embedding", "target"]
