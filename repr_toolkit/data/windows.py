"""Windows cut from pictures at random places, so that it matters where in an image things stand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from repr_toolkit.data.cache import Contents, cached, write_rows
from repr_toolkit.data.images import SPLITS, Array, ImageData
from repr_toolkit.data.sources import load_data

KEPT = ("label", "identity")  # what is as true of a part of the picture as of the whole
CHUNK = 4096  # windows cut at a time


def lfw_windows(root: str | Path | None = None, size: int | None = None) -> ImageData:
    """Windows of the faces in lfw_faces_32.npz: 24×24 unless ``size`` says, as `cut_windows`.

    For a recipe: ``data.source: repr_toolkit.data.windows.lfw_windows``. Raises what `load` and
    `cut_windows` raise.
    """
    return cut_windows(load_data("lfw_faces_32.npz", root=root), 24 if size is None else size)


def cut_windows(data: ImageData, size: int, *, copies: int = 4, seed: int = 0) -> ImageData:
    """Windows of size×size pixels at random places of the pictures of a data set with landmarks.

    From every training picture ``copies`` windows at different places, from every other picture
    one: held-out windows are independent of each other. The splits are those of the pictures.
    ``landmarks`` move along, and may so come to lie outside; ``offset`` int64 (N, 2) is the
    place, x before y, of the window's first pixel in its picture. Labels and identities are kept;
    what else is known of a whole picture, such as its embedding, is not known of its windows.
    The images are cut once and cached (see `cached`).

    Raises ValueError for data without landmarks, a size that is larger than the pictures, and
    more ``copies`` than there are places.
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
        ends = np.cumsum([len(data.rows[split]) * counts[split] for split in SPLITS])
        parts = np.split(np.arange(len(pictures)), ends[:-1])
        offsets = _offsets(data, counts, width - size + 1, places, seed)
        landmarks = data.arrays["landmarks"][pictures] - offsets[:, None]
        np.save(folder / "landmarks.npy", landmarks.astype(np.float32))
        np.save(folder / "offset.npy", offsets)
        names: dict[str, tuple[str, ...]] = {}
        for key in KEPT:
            if key in data.arrays:
                np.save(folder / f"{key}.npy", data.arrays[key][pictures])
                names |= {key: data.names[key]} if key in data.names else {}
        write_rows(
            folder / "image.npy",
            np.dtype(np.uint8),
            (len(pictures), data.image_shape[0], size, size),
            _windows(data.arrays["image"], pictures, offsets, size),
        )
        rows = dict(zip(SPLITS, parts, strict=True))
        return Contents(rows, data.own_levels, names)

    name = f"{data.name}, {size}×{size} windows"
    return cached(name, f"windows {data.fingerprint} {size} {copies} {seed}", build)


def _offsets(
    data: ImageData, counts: dict[str, int], columns: int, places: int, seed: int
) -> Array:
    """x and y of every window, int64 (N, 2); those of one picture differ."""
    draw = np.random.default_rng(seed)
    chosen = [
        draw.choice(places, counts[split], replace=False)
        for split in SPLITS
        for _ in data.rows[split]
    ]
    rows, columns_ = np.divmod(np.concatenate(chosen), columns)
    return np.stack([columns_, rows], axis=1)


def _windows(images: Array, pictures: Array, offsets: Array, size: int) -> Iterator[Array]:
    for start in range(0, len(pictures), CHUNK):
        chunk = slice(start, start + CHUNK)
        cut = [
            images[picture, :, y : y + size, x : x + size]
            for picture, (x, y) in zip(pictures[chunk], offsets[chunk], strict=True)
        ]
        yield np.stack(cut)
