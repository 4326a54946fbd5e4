"""The thumbnail: exact means of blocks, and the sub-pixel of each that comes last."""

import numpy as np
import pytest
import torch

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.decoders import raster
from repr_toolkit.representations import represent
from repr_toolkit.representations.thumbnail import block_of, last_of_blocks, thumbnail


def test_it_is_the_mean_of_every_block() -> None:
    data = load_data("digits")
    h, _ = represent("thumbnail", data)
    assert (h.name, h.dim, h.levels) == ("thumbnail", 16, 17)
    images = data.splits["test"].column("image").double().numpy()
    means = images.reshape(len(images), 4, 2, 4, 2).mean((2, 4)).reshape(len(images), 16)
    np.testing.assert_allclose(h.h["test"], means / 16, rtol=1e-6)


def test_its_blocks_divide_the_image() -> None:
    for shape, block in (((3, 28, 28), (7, 7)), ((1, 6, 9), (2, 3)), ((3, 5, 7), (5, 7))):
        assert block_of(shape) == block


def test_the_last_of_a_block_follows_from_the_others_and_the_mean() -> None:
    shape = (3, 8, 12)
    last = last_of_blocks(shape, raster(shape))
    rows, columns = (1, 3, 5, 7), (2, 5, 8, 11)
    assert last.nonzero().tolist() == [[c, r, k] for c in range(3) for r in rows for k in columns]
    images = np.random.default_rng(0).integers(0, 5, (5, *shape), np.uint8)
    images[:] = images[:1]
    images[:, 2, 7, 11] = range(5)
    rows_of = {"train": np.arange(3), "val": np.array([3]), "test": np.array([4])}
    of_splits = thumbnail(ImageData("five", {"image": images}, rows_of, levels=5)).h
    h = np.concatenate([*of_splits.values()])
    assert len(set(h[:, -1].tolist())) == 5
    assert (h[:, :-1] == h[:1, :-1]).all()
    # In another order it is another: rows from below, channel by channel.
    places = torch.arange(3 * 8 * 12).view(shape)
    from_below = last_of_blocks(shape, places.flip(1).flatten())
    assert from_below.nonzero()[:5].tolist() == [
        *([0, 0, 2], [0, 0, 5], [0, 0, 8], [0, 0, 11], [0, 2, 2])
    ]
    with pytest.raises(RuntimeError, match="shape"):
        last_of_blocks((3, 8, 8), raster(shape))
