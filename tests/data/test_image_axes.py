"""Images without an axis of channels, or with it last, and labels (N, 1)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repr_toolkit.data import load_data
from repr_toolkit.data import npz as npz_module
from repr_toolkit.support import console

DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (40, 6, 5), dtype=np.uint8)
RGB = DRAW.integers(0, 256, (40, 3, 6, 5), dtype=np.uint8)
LAST = np.ascontiguousarray(RGB.transpose(0, 2, 3, 1))
Y = (np.arange(40) % 4).astype(np.uint8)
ALIKE = DRAW.integers(0, 256, (40, 3, 6, 3), dtype=np.uint8)
"""Images whose channels may be first or last."""


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_said", set())


def keras(x: np.ndarray, y: np.ndarray = Y) -> dict[str, Any]:
    """The arrays of a file as Keras' mnist.npz has them."""
    return {"x_train": x[:30], "y_train": y[:30], "x_test": x[30:], "y_test": y[30:]}


def medmnist(x: np.ndarray, y: np.ndarray = Y) -> dict[str, Any]:
    ends = {"train": slice(0, 20), "val": slice(20, 30), "test": slice(30, 40)}
    images = {f"{split}_images": x[rows] for split, rows in ends.items()}
    return images | {f"{split}_labels": y[rows, None] for split, rows in ends.items()}


@pytest.mark.parametrize(
    ("arrays", "images", "told"),
    [
        (keras(GREY), GREY[:, None], "takes images (N, 6, 5) as grey"),
        (keras(LAST, Y[:, None]), RGB, "takes images (N, 6, 5, 3) with channels last"),
        (keras(RGB), RGB, ""),
        (medmnist(GREY), GREY[:, None], "as grey"),
        (medmnist(LAST), RGB, "with channels last"),
        ({"image": GREY, "label": Y}, GREY[:, None], "as grey"),
        ({"image": LAST, "label": Y[:, None]}, RGB, "with channels last"),
        ({"X": GREY[..., None], "y": Y}, GREY[:, None], "takes images (N, 6, 5, 1) with"),
        ({"image": ALIKE, "label": Y}, ALIKE, ""),
    ],
)
def test_a_file_of_images_with_any_unambiguous_axes(
    arrays: dict[str, Any],
    images: np.ndarray,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez_compressed(tmp_path / "mine.npz", **arrays)
    data = load_data(tmp_path / "mine.npz")
    assert np.array_equal(data.arrays["image"], images)
    assert data.arrays["label"].tolist() == Y.tolist()
    assert {*data.arrays} == {"image", "label"}
    assert data.image_shape == images.shape[1:]
    said = capsys.readouterr().err
    assert told in said
    assert said.count("takes images") == bool(told)
    for key, array in arrays.items():
        own = key in ("image", "label") or (key.endswith("_image") and array.ndim == 4)
        assert own or f"{key} as " in said


def test_the_splits_of_keras_are_kept(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", **keras(GREY))
    data = load_data("mnist.npz", root=tmp_path)
    assert [len(data.split(name)) for name in ("train", "val", "test")] == [27, 3, 10]
    assert np.array_equal(data.split("test")[:]["image"].numpy(), GREY[30:, None])
    same = load_data({"image": GREY[:, None], "label": Y, "split": ["train"] * 30 + ["test"] * 10})
    assert data.fingerprint == same.fingerprint


def test_they_are_read_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz_module, "CHUNK_BYTES", 3 * LAST[0].nbytes)
    for name, array in (("c", LAST), ("fortran", np.asfortranarray(LAST))):
        np.savez(tmp_path / f"{name}.npz", x=array, y=Y)
        assert np.array_equal(load_data(tmp_path / f"{name}.npz").arrays["image"], RGB)


@pytest.mark.parametrize(
    "arrays", [keras(ALIKE), {"X": ALIKE, "y": Y}, {"imgs": ALIKE[:, :1, :, :1]}]
)
def test_channels_that_may_be_first_or_last_are_an_error(
    arrays: dict[str, Any], tmp_path: Path
) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)
    ours = "train_image" if "x_train" in arrays else "image"
    message = (
        rf"mine\.npz: the channels of '\w+' .* first or last: store it as '{ours}', \(N, C, H, W\)"
    )
    with pytest.raises(ValueError, match=message):
        load_data(tmp_path / "mine.npz")


def test_in_memory_too(capsys: pytest.CaptureFixture[str]) -> None:
    for source in (ALIKE, (ALIKE, Y), {"train": ALIKE}, {"X": ALIKE}):
        with pytest.raises(ValueError, match=r"first or last: .* 'image', \(N, C, H, W\)"):
            load_data(source)
    assert np.array_equal(load_data({"image": ALIKE}).arrays["image"], ALIKE)
    for source in (keras(GREY), keras(LAST), (GREY, Y[:, None]), {"image": LAST, "label": Y}):
        data = load_data(source)
        assert np.array_equal(
            data.arrays["image"], RGB if data.image_shape[0] == 3 else GREY[:, None]
        )
        assert data.arrays["label"].tolist() == Y.tolist()


def test_what_else_a_file_has_is_named_with_type_and_shape(tmp_path: Path) -> None:
    np.savez(tmp_path / "real.npz", x_train=GREY / 255, y_train=Y)
    with pytest.raises(ValueError, match=r"uint8.* it has x_train float64 \(40, 6, 5\), y_train"):
        load_data(tmp_path / "real.npz")


def test_columns_of_numbers_that_are_no_codes_stay_what_they_are(tmp_path: Path) -> None:
    real = DRAW.normal(size=(40, 1))
    np.savez(
        tmp_path / "h.npz", X=DRAW.normal(size=(40, 7)), y=real, labels=np.eye(40, 2, dtype=int)
    )
    data = load_data(tmp_path / "h.npz")
    assert {*data.arrays} == {"embedding", "y", "labels"}
    assert [*load_data((RGB, real)).arrays] == ["image", "target"]
