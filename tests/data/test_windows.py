"""Windows of pictures: where they are cut, that landmarks move along, and whose they are."""

import numpy as np
import pytest

from repr_toolkit.data import load_data
from repr_toolkit.data.images import ImageData
from repr_toolkit.data.windows import cut_windows, lfw_windows

HEIGHT, WIDTH, SIZE = 11, 13, 8
SPLIT_SIZES = {"train": 30, "val": 8, "test": 12}


def pictures(seed: int = 0) -> ImageData:
    """Dark pictures, two of a person, whose five landmarks are bright pixels of five values."""
    draw = np.random.default_rng(seed)
    count = sum(SPLIT_SIZES.values())
    image = draw.integers(0, 100, (count, 3, HEIGHT, WIDTH), dtype=np.uint8)
    landmarks = np.empty((count, 5, 2), np.float32)
    for i in range(count):
        flat = draw.choice(HEIGHT * WIDTH, 5, replace=False)
        y, x = np.divmod(flat, WIDTH)
        image[i, :, y, x] = 200 + np.arange(5)[:, None]
        landmarks[i] = np.stack([x, y], axis=1) + draw.random((5, 2))  # within the pixel
    ends = np.cumsum([*SPLIT_SIZES.values()])
    shuffled = np.split(np.repeat(draw.permutation(count // 2), 2).argsort(), ends[:-1])
    return ImageData(
        "bright.npz",
        {
            "image": image,
            "landmarks": landmarks,
            "identity": np.repeat(draw.permutation(count // 2), 2),
            "embedding": draw.random((count, 4), dtype=np.float32),
        },
        dict(zip(SPLIT_SIZES, shuffled, strict=True)),
        names={"identity": [f"person {code}" for code in range(count // 2)]},
    )


def test_landmarks_point_at_the_same_pixel() -> None:
    windows = cut_windows(pictures(), SIZE, copies=3)
    inside = 0
    for image, landmarks in zip(windows.arrays["image"], windows.arrays["landmarks"], strict=True):
        for number, (x, y) in enumerate(np.floor(landmarks).astype(int)):
            if 0 <= x < SIZE and 0 <= y < SIZE:
                assert (image[:, y, x] == 200 + number).all()
                inside += 1
            else:
                assert not (image == 200 + number).any()
    assert inside > 100


def test_a_window_is_the_part_of_its_picture_at_its_offset() -> None:
    data = pictures()
    windows = cut_windows(data, SIZE, copies=1)
    for split, rows in windows.rows.items():
        for row, picture in zip(rows, data.rows[split], strict=True):
            x, y = windows.arrays["offset"][row]
            part = data.arrays["image"][picture, :, y : y + SIZE, x : x + SIZE]
            assert np.array_equal(windows.arrays["image"][row], part)


def test_a_training_picture_has_several_windows_and_any_other_one() -> None:
    data = pictures()
    windows = cut_windows(data, SIZE, copies=5)
    assert windows.image_shape == (3, SIZE, SIZE)
    sizes = {split: len(rows) for split, rows in windows.rows.items()}
    assert sizes == {"train": 150, "val": 8, "test": 12}
    offsets = windows.arrays["offset"][windows.rows["train"]].reshape(30, 5, 2)
    for of_one in offsets:
        assert len(np.unique(of_one, axis=0)) == 5


def test_windows_lie_everywhere() -> None:
    places = (HEIGHT - SIZE + 1) * (WIDTH - SIZE + 1)
    windows = cut_windows(pictures(), SIZE, copies=places)
    offsets = windows.arrays["offset"][windows.rows["train"]].reshape(30, places, 2)
    for of_one in offsets:
        assert len(np.unique(of_one, axis=0)) == places
        assert of_one.min() == 0
        assert of_one.max(axis=0).tolist() == [WIDTH - SIZE, HEIGHT - SIZE]


def test_people_keep_their_split_and_name() -> None:
    data = pictures()
    windows = cut_windows(data, SIZE, copies=2)
    for split in SPLIT_SIZES:
        before = set(data.splits[split].column("identity").tolist())
        assert set(windows.splits[split].column("identity").tolist()) == before
    assert windows.names == data.names
    assert "embedding" not in windows.arrays


def test_the_windows_follow_from_picture_and_seed() -> None:
    first = cut_windows(pictures(), SIZE)
    again = cut_windows(pictures(), SIZE)
    assert first.fingerprint == again.fingerprint
    for other in (cut_windows(pictures(), SIZE, seed=1), cut_windows(pictures(1), SIZE)):
        assert other.fingerprint != first.fingerprint


def test_what_cannot_be_cut_is_named() -> None:
    data = pictures()
    with pytest.raises(ValueError, match=r"windows of bright\.npz are 1…11 pixels, not 12"):
        cut_windows(data, 12)
    with pytest.raises(
        ValueError, match="there are 24 places for a window, so copies cannot be 25"
    ):
        cut_windows(data, SIZE, copies=25)
    with pytest.raises(ValueError, match="digits has no landmarks; it has image, label"):
        cut_windows(load_data("digits"), 4)


def test_a_recipe_names_the_faces_windows(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REPR_TOOLKIT_DATA", raising=False)
    root = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)
    np.savez(
        root / "lfw_faces_32.npz",
        image=draw.integers(0, 256, (40, 3, 32, 32), dtype=np.uint8),
        identity=np.arange(40) // 2,
        landmarks=draw.random((40, 5, 2), dtype=np.float32) * 32,
        embedding=draw.random((40, 4), dtype=np.float32),
    )
    data = load_data("repr_toolkit.data.windows.lfw_windows", root=root)
    assert data.image_shape == (3, 24, 24)
    assert data.fingerprint == lfw_windows(root).fingerprint
    assert (
        load_data("repr_toolkit.data.windows.lfw_windows", root=root, size=20).image_shape[1] == 20
    )
    people = [set(data.splits[split].column("identity").tolist()) for split in SPLIT_SIZES]
    assert not people[0] & people[1] | people[0] & people[2] | people[1] & people[2]
