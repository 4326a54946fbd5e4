"""Data sets of images: memory-mapped arrays, three fixed splits, and the batches read from them."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from repr_toolkit.data.augment import STAYING, Augmentation
from repr_toolkit.data.binarise import BinariseKind, Draw, DrawnIndices, sampled

Array = NDArray[Any]
Batch = dict[str, Tensor]

SPLITS = ("train", "val", "test")

GROUPS = {"group": "groups", "identity": "people", "photograph": "photographs"}
"""The keys that say which images belong together, and are not independent, the widest first."""

_EXPECTED = {  # dtype, rank and shape of the keys that have a meaning
    "label": (np.int64, 1, "(N,)"),
    "identity": (np.int64, 1, "(N,)"),
    "group": (np.int64, 1, "(N,)"),
    "photograph": (np.int64, 1, "(N,)"),
    "embedding": (np.float32, 2, "(N, d)"),
    "landmarks": (np.float32, 3, "(N, 5, 2)"),
}


class ImageData:
    """A data set: its images and what goes with them, in the splits train, val and test.

    `arrays` holds one array for each batch key, whose row i belongs to image i: `image` uint8
    (N, C, H, W) with values 0…levels−1, which data of an `embedding` alone may lack, and optionally
    `label` int64 (N,), `identity` int64 (N,),
    `embedding` float32 (N, d), `landmarks` float32 (N, 5, 2) in pixels, x before y, or any other
    numeric key. `group`, `identity` and `photograph`, int64 (N,), say which images belong together
    (see `ImageSplit.groups`). `rows` holds the row numbers of each split, `names` the names of the
    codes of `label` or `identity`. `fingerprint` identifies the content; with None the content is
    read through once, to compute it and to check that all values are below `levels`. `encoder`
    names the maker of `embedding`, if it is known (see `FaceNet.identity`).

    Attributes: `name`, `arrays`, `rows`, `stored_levels` (of the stored images), `levels` (of the
    batches, fewer after `quantised` and `binarised`), `sampled` (how they were, by `binarised`),
    `splits`, `names`, `fingerprint`, `encoder`.

    Raises ValueError or TypeError, which names the key or the split, if an array has another rank
    or type, if the arrays differ in length, or if the splits are empty or overlap.

    >>> rows = {"train": np.arange(8), "val": np.array([8]), "test": np.array([9])}
    >>> ImageData("mine", {"image": np.zeros((10, 1, 4, 4), np.uint8)}, rows)
    ImageData('mine', (1, 4, 4), levels=256: 8 train, 1 val, 1 test)
    """

    def __init__(
        self,
        name: str,
        arrays: Mapping[str, Array],
        rows: Mapping[str, Array],
        *,
        levels: int = 256,
        names: Mapping[str, Sequence[str]] | None = None,
        fingerprint: str | None = None,
        encoder: str | None = None,
    ) -> None:
        check_arrays(name, arrays)
        if not 2 <= levels <= 256:
            raise ValueError(f"{name}: levels must be between 2 and 256, got {levels}")
        if fingerprint is None and levels < 256 and "image" in arrays:
            highest = arrays["image"].max(initial=0)
            if highest >= levels:
                raise ValueError(
                    f"{name}: 'image' holds the value {highest} but has {levels} levels"
                )
        _check_rows(name, rows, len(arrays[first_key(arrays)]))
        self.name = name
        self.arrays = dict(arrays)
        self.rows = {split: np.asarray(rows[split], dtype=np.int64) for split in SPLITS}
        self.stored_levels = self.levels = levels
        self.names = {key: tuple(values) for key, values in (names or {}).items()}
        self.fingerprint = fingerprint or content_fingerprint(self.arrays, self.rows)
        self.encoder = encoder
        self.sampled: BinariseKind | None = None  # "fixed" or "dynamic"
        self.splits = {s: ImageSplit(self.arrays, r, levels) for s, r in self.rows.items()}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        return self.splits["train"].image_shape

    def split(self, name: str) -> "ImageSplit":
        """A split by its name; ValueError, which names the splits, for another name."""
        if name not in self.splits:
            raise ValueError(f"the data have no split {name!r}; they have {', '.join(self.splits)}")
        return self.splits[name]

    def require_images(self, split: str, numbers: Sequence[int]) -> None:
        """Raise ValueError unless a split has the images of these numbers."""
        count = len(self.split(split))
        for number in numbers:
            if not 0 <= number < count:
                raise ValueError(f"the {split} split has the images 0…{count - 1}, not {number}")

    def quantised(self, levels: int) -> "ImageData":
        """The same data at fewer levels of intensity, v ↦ ⌊v · levels / stored_levels⌋.

        Batches are quantised when they are read; images that were sampled in two levels stay so.
        Raises ValueError unless 2 ≤ levels ≤ stored_levels, and for other levels than 2 of images
        that were sampled.
        """
        most = 2 if self.sampled else self.stored_levels
        if not 2 <= levels <= most:
            raise ValueError(
                f"{self.name} has {most} levels of intensity; data.levels must be between 2 and "
                f"{most}, got {levels}"
            )
        coarser = copy(self)
        coarser.levels = levels
        table = (np.arange(self.stored_levels) * levels // self.stored_levels).astype(np.uint8)
        coarser.splits = {
            s: ImageSplit(self.arrays, r, levels, table) for s, r in self.rows.items()
        }
        if self.sampled:
            for split in coarser.splits.values():
                split.stored_levels = self.stored_levels
            coarser.splits["train"].dynamic = self.sampled == "dynamic"
        return coarser

    def binarised(self, kind: BinariseKind) -> "ImageData":
        """The same data in two levels.

        "threshold" cuts at half. "fixed" samples every image once, a pixel being 1 with the
        probability that its intensity says: the published protocol of binarised MNIST. "dynamic"
        samples training images anew at every step of training, as a function of seed, step and
        image, and all others as "fixed" does; that takes the batches of `StepSampler`, and other
        loaders are given those of "fixed". What is sampled has a fingerprint of its own.

        Raises ValueError for another kind, and for one that differs from how the images were
        sampled before.
        """
        if kind not in get_args(BinariseKind):
            kinds = ", ".join(get_args(BinariseKind))
            raise ValueError(f"data.binarise is one of {kinds}, not {kind!r}")
        if kind == "threshold" and not self.sampled:
            return self.quantised(2)
        if self.sampled not in (None, kind):
            raise ValueError(
                f"{self.name} was sampled in two levels already, {self.sampled}, and cannot be "
                f"made {kind}; load the data anew"
            )
        sampled = copy(self)
        sampled.sampled = kind
        if not self.sampled:
            digest = hashlib.sha256(f"{self.fingerprint} sampled in two levels".encode())
            sampled.fingerprint = digest.hexdigest()
        return sampled.quantised(2)

    def name_of(self, key: str, code: int) -> str:
        """The name of a code of a key; one that has no name is its own."""
        names = self.names.get(key, ())
        return names[code] if code < len(names) else str(code)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(rows)} {split}" for split, rows in self.rows.items())
        if "image" not in self.arrays:
            return f"ImageData({self.name!r}, no images, {', '.join(self.arrays)}: {counts})"
        return f"ImageData({self.name!r}, {self.image_shape}, levels={self.levels}: {counts})"


class ImageSplit(Dataset[Batch]):
    """One split of a data set.

    `split[i]` is the dict of one image, `image` uint8 (C, H, W) and so on. `split[[i, j, …]]` is
    the batch dict, `image` uint8 (B, C, H, W) and so on, and takes one gather for each key. Arrays
    on disk stay there: only the requested rows are read, and a pickled split (for workers that are
    spawned) holds the paths of their files instead of their content. A DataLoader of your own
    needs `collate_fn=torch.utils.data.default_convert`, since it receives whole batches.
    """

    def __init__(
        self, arrays: Mapping[str, Array], rows: Array, levels: int, table: Array | None = None
    ) -> None:
        self.arrays = dict(arrays)
        self.rows = rows
        self.levels = levels
        self.stored_levels: int | None = None  # of images that are sampled in two levels
        self.dynamic = False
        self.augmentation: Augmentation | None = None  # of batches of `DrawnIndices`
        self._table = table

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of a batch."""
        return tuple(self.arrays)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image; ValueError for data of embeddings without images."""
        if "image" not in self.arrays:
            raise ValueError(f"these data have no images, only {', '.join(self.arrays)}")
        channels, height, width = self.arrays["image"].shape[1:]
        return channels, height, width

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | slice | Sequence[int]) -> Batch:
        if isinstance(index, int | np.integer):
            return {key: values[0] for key, values in self[[int(index)]].items()}
        rows = self.rows[index if isinstance(index, slice) else np.asarray(index, np.int64)]
        draw = index.draw if isinstance(index, DrawnIndices) else None
        changed = draw is not None and self.augmentation is not None
        keys = [key for key in self.arrays if not changed or key in STAYING]
        return {key: self._take(key, rows, draw) for key in keys}

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """The batch dict of these images, `split[indices]`; DataLoader calls this."""
        return self[indices]

    def column(self, name: str) -> Tensor:
        """One key of all images at once, in order: for codes and embeddings, not for images.

        The name KEY[i] gives number i, from 0, of each image's values under a key: (N,). Raises
        KeyError, which names the keys, for another key, ValueError for a number that it lacks.
        """
        column = find_column(self.arrays, name)
        if column is None:
            raise KeyError(f"no {name!r} in this data; it has {', '.join(self.keys)}")
        key, number = column
        values = self._take(key, self.rows)
        return values if number is None else values.flatten(1)[:, number].contiguous()

    def groups(self, indices: Sequence[int] | Array | None = None) -> tuple[Array, str] | None:
        """Which of the images, or of `indices`, belong together: codes (n,), and what they are of.

        By the first of the keys `GROUPS` that the data have. None where each image is alone, so
        that all are independent.
        """
        for key, name in GROUPS.items():
            if key in self.arrays:
                codes = self.arrays[key][
                    self.rows if indices is None else self.rows[np.asarray(indices, np.int64)]
                ]
                return (codes, name) if len(np.unique(codes)) < len(codes) else None
        return None

    def _take(self, key: str, rows: Array, draw: Draw | None = None) -> Tensor:
        values = self.arrays[key][rows]
        if values.dtype.kind == "u" and values.itemsize > 1:  # of which torch has few operations
            values = values.astype(np.int64)
        return torch.from_numpy(self._image(values, rows, draw) if key == "image" else values)

    def _image(self, values: Array, rows: Array, draw: Draw | None) -> Array:
        """Stored images (B, C, H, W) as a batch has them.

        The intensities are changed and then made levels; what was sampled once is changed itself.
        """
        levels = self.stored_levels
        if levels is not None and not self.dynamic:
            values = sampled(values, rows, levels, None)
        if self.augmentation is not None and draw is not None:
            values = self.augmentation.apply(values, rows, draw)
        if levels is not None and self.dynamic:
            values = sampled(values, rows, levels, draw)
        return values if self._table is None or levels is not None else self._table[values]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"arrays": {key: _packed(a) for key, a in self.arrays.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = {k: a() if isinstance(a, partial) else a for k, a in state["arrays"].items()}
        self.__dict__.update(state | {"arrays": arrays})


def find_column(arrays: Mapping[str, Array], name: str) -> tuple[str, int | None] | None:
    """The key that a column's name starts with, and i if the name is KEY[i]; None for no key.

    Raises ValueError for a number that the key lacks.
    """
    if name in arrays:
        return name, None
    match = re.fullmatch(r"(.+)\[(0|[1-9]\d*)\]", name, re.ASCII)
    if match is None or match[1] not in arrays:
        return None
    key, number = match[1], int(match[2])
    count = prod(arrays[key].shape[1:])
    if arrays[key].ndim == 1:
        raise ValueError(f"there is no {name}: {key!r} is one number an image, name it alone")
    if number >= count:
        raise ValueError(f"there is no {name}: {key!r} has {key}[0] to {key}[{count - 1}]")
    return key, number


def content_fingerprint(arrays: Mapping[str, Array], rows: Mapping[str, Array]) -> str:
    """SHA-256 (hex) of the arrays and the splits, read 64 MiB at a time."""
    digest = hashlib.sha256()
    for name, array in sorted([*arrays.items(), *rows.items()]):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        step = max(1, (64 << 20) * len(array) // max(1, array.nbytes))
        for start in range(0, len(array), step):
            digest.update(np.ascontiguousarray(array[start : start + step]).data)
    return digest.hexdigest()


def _packed(array: Array) -> Array | Callable[[], Array]:
    """The array, or how to map it again if it is a whole file."""
    # A view of a part has the offset of the whole, so that it cannot be mapped again.
    if isinstance(array, np.memmap) and array.filename and array.flags.c_contiguous:
        path = Path(array.filename)
        if path.stat().st_size == array.offset + array.nbytes:
            return partial(np.memmap, path, array.dtype.str, "r", array.offset, array.shape)
    return array


def intensities(images: Tensor, levels: int) -> NDArray[np.float32]:
    """Images uint8 (…) on the CPU as float32 intensities in [0, 1], v / (levels − 1)."""
    scaled: NDArray[np.float32] = images.numpy().astype(np.float32) / np.float32(levels - 1)
    return scaled


def require_finite(values: Array, what: str) -> None:
    """Raise ValueError, which names rows and their count, for NaN or infinite values in (N, …)."""
    bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))
    if len(bad):
        first = ", ".join(map(str, bad[:5].tolist())) + (", …" if len(bad) > 5 else "")
        rows = "row" if len(bad) == 1 else "rows"
        raise ValueError(
            f"{what} is not finite in {len(bad):,} of {len(values):,} rows: it has NaN or infinite "
            f"numbers in {rows} {first}, counted from 0"
        )


def check_arrays(name: str, arrays: Mapping[str, Array]) -> None:
    """Raise ValueError or TypeError, which names the key, for arrays that ImageData refuses."""
    first = first_key(arrays)
    if first not in arrays:
        raise ValueError(f"{name}: no key 'image' among {', '.join(arrays) or 'no keys'}")
    if first == "image":
        _check_images(name, arrays[first])
    count = len(arrays[first])
    for key, array in arrays.items():
        if len(array) != count:
            raise ValueError(f"{name}: {count} {first}s but {len(array)} rows of {key!r}")
        _check_key(name, key, array)


def first_key(keys: Collection[str]) -> str:
    """The key that has a row for each image: the images, or embeddings without any."""
    return "image" if "image" in keys or "embedding" not in keys else "embedding"


def _check_images(name: str, images: Array) -> None:
    if images.dtype != np.uint8:
        raise TypeError(f"{name}: 'image' must be uint8, got {images.dtype}")
    if images.ndim != 4:
        hint = "; for grey images use image[:, None]" if images.ndim == 3 else ""
        raise ValueError(f"{name}: 'image' must be (N, C, H, W), got shape {images.shape}{hint}")
    if images.shape[1] not in (1, 3):
        hint = "; these look like (N, H, W, C): use image.transpose(0, 3, 1, 2)"
        hint = hint if images.shape[3] in (1, 3) else ""
        raise ValueError(
            f"{name}: 'image' must have 1 or 3 channels, got {images.shape[1]} "
            f"in shape {images.shape}{hint}"
        )
    if 0 in images.shape[2:]:
        raise ValueError(f"{name}: 'image' has no pixels, in shape {images.shape}")


def _check_key(name: str, key: str, array: Array) -> None:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: {key!r} must hold numbers, got {array.dtype}")
    if key in _EXPECTED:
        dtype, rank, shape = _EXPECTED[key]
        if array.dtype != dtype:
            raise TypeError(f"{name}: {key!r} must be {np.dtype(dtype)}, got {array.dtype}")
        if array.ndim != rank or (key == "landmarks" and array.shape[1:] != (5, 2)):
            raise ValueError(f"{name}: {key!r} must be {shape}, got shape {array.shape}")


def _check_rows(name: str, rows: Mapping[str, Array], count: int) -> None:
    if set(rows) != set(SPLITS):
        raise ValueError(f"{name}: the splits must be train, val and test, got {', '.join(rows)}")
    for split in SPLITS:
        if len(rows[split]) == 0:
            raise ValueError(f"{name}: the split {split!r} is empty")
    every = np.concatenate([rows[split] for split in SPLITS])
    if every.min() < 0 or every.max() >= count:
        raise ValueError(f"{name}: the splits name rows outside 0…{count - 1}")
    if np.bincount(every).max() > 1:
        raise ValueError(f"{name}: the splits share images")
