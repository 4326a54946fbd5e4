"""Windows cut from pictures at random places, so that the place of things in an image varies."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from repr_toolkit.data.cache import Contents, cached, write_rows
from repr_toolkit.data.images import SPLITS, Array, ImageData
from repr_toolkit.data.sources import load_data
from repr_toolkit.data.splits import consecutive

KEYS = (
    "label",
    "identity",
    "group",
    "photograph",
)  # as true of a part of the picture as of the whole
CHUNK = 4096  # windows cut at a time


def lfw_windows(root: str | Path | None = None, size: int | None = None) -> ImageData:
    """Windows of size×size pixels (24 unless given) of lfw_faces_32.npz, cut by `cut_windows`.

    For a recipe: `data.source: repr_toolkit.data.windows.lfw_windows`. Raises as `load_data` and
    `cut_windows` do.
    """
    return cut_windows(load_data("lfw_faces_32.npz", root=root), 24 if size is None else size)


def cut_windows(data: ImageData, size: int, *, copies: int = 4, seed: int = 0) -> ImageData:
    """Windows of size×size pixels at random places of the pictures of a data set with landmarks.

    Every training picture gives `copies` windows at different places, every other picture one, so
    that held-out windows are independent of each other. The splits are those of the pictures.
    `landmarks` are relative to the window and may lie outside of it; `offset` int64 (N, 2) is the
    place, x before y, of the window's first pixel in its picture. Labels and identities stay; other
    keys, such as an embedding, describe the whole picture and are dropped. The windows are cut once
    and cached (see `cached`).

    Raises ValueError for data without landmarks, a size that is larger than the pictures, and more
    `copies` than there are places.
    """
    if "landmarks" not in data.arrays:
        raise ValueError(f"{data.name} has no landmarks; it has {', '.join(data.arrays)}")
    _, height, width = data.image_shape
    if not 1 <= size <= min(height, width):
        raise ValueError(f"windows of {data.name} are 1…{min(height, width)} pixels, not {size}")
    places = (height - size + 1) * (width - size + 1)
    if not 1 <= copies <= places:
        raise ValueError(f"there are {places} places for a window, so copies cannot be {copies}")

    def build(folder: Path) -> Contents:
        counts = {split: copies if split == "train" else 1 for split in SPLITS}
        pictures = np.concatenate([np.repeat(data.rows[split], counts[split]) for split in SPLITS])
        rows = consecutive({split: len(data.rows[split]) * counts[split] for split in SPLITS})
        offsets = _offsets(data, counts, width - size + 1, places, seed)
        landmarks = data.arrays["landmarks"][pictures] - offsets[:, None]
        np.save(folder / "landmarks.npy", landmarks.astype(np.float32))
        np.save(folder / "offset.npy", offsets)
        names: dict[str, tuple[str, ...]] = {}
        for key in KEYS:
            if key in data.arrays:
                np.save(folder / f"{key}.npy", data.arrays[key][pictures])
                names |= {key: data.names[key]} if key in data.names else {}
        write_rows(
            folder / "image.npy",
            np.dtype(np.uint8),
            (len(pictures), data.image_shape[0], size, size),
            _windows(data.arrays["image"], pictures, offsets, size),
        )
        return Contents(rows, data.stored_levels, names)

    name = f"{data.name}, {size}×{size} windows"
    return cached(name, f"windows {data.fingerprint} {size} {copies} {seed}", build)


def _offsets(
    data: ImageData, counts: dict[str, int], columns: int, places: int, seed: int
) -> Array:
    """x and y of every window, int64 (N, 2), different for the windows of one picture."""
    draw = np.random.default_rng(seed)
    chosen = [
        draw.choice(places, counts[split], replace=False)
        for split in SPLITS
        for _ in data.rows[split]
    ]
    y, x = np.divmod(np.concatenate(chosen), columns)
    return np.stack([x, y], axis=1)


def _windows(images: Array, pictures: Array, offsets: Array, size: int) -> Iterator[Array]:
    for start in range(0, len(pictures), CHUNK):
        chunk = slice(start, start + CHUNK)
        places = zip(pictures[chunk], offsets[chunk], strict=True)
        yield np.stack([images[i, :, y : y + size, x : x + size] for i, (x, y) in places])
