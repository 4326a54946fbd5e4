"""Images placed in the quadrants of a canvas: each stands where its quadrant and centre say."""

import numpy as np
import pytest

from repr_toolkit.data import load_data
from repr_toolkit.data.images import ImageData
from repr_toolkit.data.quadrants import QUADRANTS, halved, mnist_quadrants, place_in_quadrants

HEIGHT, WIDTH = 6, 8


def patches(count: int = 60) -> ImageData:
    """Patches without a zero, so that the canvas shows where they end."""
    draw = np.random.default_rng(0)
    rows = np.split(draw.permutation(count), [count - 20, count - 10])
    return ImageData(
        "patches",
        {
            "image": draw.integers(1, 17, (count, 3, HEIGHT, WIDTH), dtype=np.uint8),
            "label": np.arange(count),
        },
        dict(zip(("train", "val", "test"), rows, strict=True)),
        levels=17,
        names={"label": [str(i) for i in range(count)]},
    )


def test_an_image_stands_whole_where_its_quadrant_and_centre_say() -> None:
    source = patches()
    data = place_in_quadrants(source)
    assert data.image_shape == (3, 2 * HEIGHT, 2 * WIDTH)
    assert (data.levels, data.names["quadrant"]) == (17, QUADRANTS)
    for canvas, label, quadrant, (x, y) in zip(
        *(data.arrays[key] for key in ("image", "label", "quadrant", "centre")), strict=True
    ):
        top, left = round(y - HEIGHT / 2), round(x - WIDTH / 2)
        placed = canvas[:, top : top + HEIGHT, left : left + WIDTH]
        assert np.array_equal(placed, source.arrays["image"][label])
        assert (canvas > 0).sum() == placed.size
        assert (y > HEIGHT, x > WIDTH) == ("bottom" in QUADRANTS[quadrant], quadrant % 2 == 1)


def test_the_jitter_reaches_its_ends_and_no_further() -> None:
    data = place_in_quadrants(patches(), jitter=2)
    right, below = data.arrays["quadrant"] % 2, data.arrays["quadrant"] // 2
    outward = np.abs(data.arrays["centre"] - np.stack([right * 2 * WIDTH, below * 2 * HEIGHT], 1))
    moved = outward - [WIDTH / 2, HEIGHT / 2]
    assert set(moved.flatten().tolist()) == {0, 1, 2}
    still = place_in_quadrants(patches(), jitter=0)
    assert len(np.unique(still.arrays["centre"], axis=0)) == 4


def test_a_training_image_stands_in_every_quadrant_and_any_other_in_one() -> None:
    source = patches()
    data = place_in_quadrants(source)
    train = data.splits["train"]
    pairs = set(zip(train.column("label").tolist(), train.column("quadrant").tolist(), strict=True))
    assert pairs == {(label, q) for label in source.rows["train"].tolist() for q in range(4)}
    for split in ("val", "test"):
        assert data.splits[split].column("label").tolist() == source.rows[split].tolist()
        assert len(data.splits[split].column("quadrant").unique()) > 1


def test_the_places_follow_from_the_seed() -> None:
    first = place_in_quadrants(patches())
    assert place_in_quadrants(patches()).fingerprint == first.fingerprint
    assert place_in_quadrants(patches(), seed=1).fingerprint != first.fingerprint


def test_a_jitter_that_leaves_the_quadrant_is_refused() -> None:
    with pytest.raises(ValueError, match=r"jitter must be less than half .* 6×8 pixels, not 3"):
        place_in_quadrants(patches(), jitter=3)


def test_half_the_size_is_the_mean_of_four() -> None:
    image = np.array([[[[0, 2, 255, 255], [4, 8, 255, 254]]]], np.uint8)
    assert halved(image).tolist() == [[[[4, 255]]]]


def test_mnist_in_quadrants() -> None:
    data = load_data("repr_toolkit.data.quadrants.mnist_quadrants", levels=16)
    assert data.fingerprint == mnist_quadrants().fingerprint
    assert (data.image_shape, data.levels) == ((1, 28, 28), 16)
    assert {split: len(rows) for split, rows in data.rows.items()} == {
        "train": 16_000,
        "val": 500,
        "test": 500,
    }
    assert set(data.splits["test"].keys) == {"image", "quadrant", "centre", "digit"}
