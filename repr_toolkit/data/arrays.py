"""Arrays by the names of a data file's keys: those in memory, and those of other names in files."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from repr_toolkit.data.images import SPLITS, Array
from repr_toolkit.support.leftovers import temporary_for
from repr_toolkit.support.reading import file_checksum

Arrays = Array | Tensor | tuple[Any, Any] | Mapping[str, Any] | Dataset[Any]
"""What `named` takes."""

IMAGE = ("image", "images", "imgs", "img", "x", "data")
EMBEDDING = ("embedding", "embeddings", "features", "feature", "feats", "h", "z", "x", "data")
LABEL = ("label", "labels", "y", "target", "targets")
"""Names by which files hold images, embeddings and labels, in lower case; the first is ours."""

_SPELLINGS = {"valid": "val", "validation": "val", "dev": "val", "testing": "test"}
_SPLIT = "|".join((*SPLITS, *_SPELLINGS))


class Described(Protocol):
    """An array, or its description in a file."""

    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


Held = TypeVar("Held", bound=Described)


def renamed(members: Mapping[str, Held], name: str) -> dict[str, Held]:
    """Arrays of a file under the keys of data files: `X_train`, `features`, `y` and the like.

    Only where it has neither an `image` nor an `embedding` under its own name. stderr is told what
    was taken for what.
    """
    bases = {key.removeprefix(f"{split}_") for key in members for split in ("", *SPLITS)}
    if {"image", "embedding"} & bases:
        return dict(members)
    ours: dict[str, Held] = {}
    taken = []
    for key, member in members.items():
        match = re.fullmatch(rf"({_SPLIT})_(\w+)|(\w+)_({_SPLIT})", key, re.IGNORECASE)
        split, base = ("", key)
        if match is not None:
            split, base = (match[1] or match[4]).lower(), match[2] or match[3]
            split = f"{_SPELLINGS.get(split, split)}_"
        wanted = split + _meaning(base, member)
        if wanted != key and wanted not in members and wanted not in ours:
            taken.append(f"{key} as {wanted}")
            ours[wanted] = member
        else:
            ours[key] = member
    if taken:
        print(f"{name}: takes {', '.join(taken)}", file=sys.stderr)
    return ours


def _meaning(base: str, member: Described) -> str:
    """The key that an array is, by its name, type and shape; its own name where it is none."""
    kind, rank = member.dtype.kind, len(member.shape)
    if base.lower() in IMAGE and rank == 4 and kind == "u":
        return IMAGE[0]
    if base.lower() in EMBEDDING and rank == 2 and kind == "f":
        return EMBEDDING[0]
    return LABEL[0] if base.lower() in LABEL and rank == 1 and kind in "iuUS" else base


def saved(source: Arrays, file: Path) -> None:
    """Write arrays in memory as a data file; equal arrays give equal bytes.

    Raises ValueError and TypeError as `named` does.
    """
    arrays = cast("dict[str, Any]", named(source))
    with file.open("wb") as stream:
        np.savez(stream, **arrays)


def keep(source: Arrays, file: Path) -> None:
    """Write arrays in memory to `file`, whole; FileExistsError where it holds others."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = temporary_for(file)
    try:
        saved(source, new)
        if file.exists() and file_checksum(file) != file_checksum(new):
            raise FileExistsError(f"{file} exists and holds other arrays than these: delete it")
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


def named(source: Arrays) -> dict[str, Array]:
    """Arrays in memory under the keys of a data file (see `repr_toolkit.data.npz`).

    - an array or tensor: images (N, H, W), (N, C, H, W) or (N, H, W, C), integers 0…255 or floats
      that are such integers or these divided by 255; or embeddings (N, d);
    - two of them: these and their labels, which may be strings; numbers that are not whole become
      the key `target`;
    - a mapping of a data file's keys to arrays; or of `train`, and of `val` or `test` if there are
      any, to any of these;
    - a torch data set of images or embeddings, or of tuples that begin with one and its label, or
      of mappings. It is read once, so that what it draws at random is drawn once.

    Raises ValueError for values that are no images, TypeError for anything else.
    """
    if isinstance(source, Mapping) and {*source} <= {*SPLITS} and "train" in source:
        parts = {split: named(part) for split, part in source.items()}
        return {f"{s}_{key}": array for s, part in parts.items() for key, array in part.items()}
    if isinstance(source, Mapping):
        arrays = {key: _array(value) for key, value in source.items()}
        arrays = renamed(arrays, "arrays")
        return {key: _images(a) if key.endswith("image") else a for key, a in arrays.items()}
    if isinstance(source, Dataset):
        return named(_read(source))
    if isinstance(source, tuple) and len(source) == 2:
        first, second = named(source[0]), _array(source[1])
        key = LABEL[0] if second.dtype.kind in "iuUS" else "target"
        return {**first, key: second}
    array = _array(source)
    if array.ndim == 2:
        return {EMBEDDING[0]: array.astype(np.float32)}
    return {IMAGE[0]: _images(array)}


def _array(value: Any) -> Array:
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | list):
        return np.asarray(value)
    if isinstance(value, int | float | str | np.generic):
        return np.asarray(value)
    raise TypeError(
        f"data are arrays, tensors, a torch data set or a pair of images and labels, not a "
        f"{type(value).__name__}"
    )


def _images(values: Array) -> Array:
    """Images uint8 (N, C, H, W) of any usual form."""
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim != 4:
        raise ValueError(f"images are (N, H, W), (N, C, H, W) or (N, H, W, C), not {values.shape}")
    if values.shape[1] not in (1, 3) and values.shape[3] in (1, 3):
        values = values.transpose(0, 3, 1, 2)
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    scaled = values * 255.0 if values.dtype.kind == "f" and high <= 1 else values
    whole = np.rint(scaled)
    if not (low >= 0 and high <= 255 and np.abs(scaled - whole).max(initial=0) < 1e-3):
        raise ValueError(
            f"images are integers 0…255, or such divided by 255, not {values.dtype} from {low:g} "
            f"to {high:g}: scale and round them"
        )
    return np.ascontiguousarray(whole.astype(np.uint8))


def _read(source: Dataset[Any]) -> Mapping[str, Any] | tuple[Any, Any] | Array:
    """All of a data set, as `named` takes it."""
    items = [source[i] for i in range(len(cast("Any", source)))]
    if not items:
        raise ValueError("the data set is empty")
    if isinstance(items[0], Mapping):
        return {key: _stacked([item[key] for item in items]) for key in items[0]}
    if isinstance(items[0], tuple | list):
        return _stacked([item[0] for item in items]), _stacked([item[1] for item in items])
    return _stacked(items)


def _stacked(values: list[Any]) -> Array:
    if isinstance(values[0], Tensor):
        return torch.stack(values).detach().cpu().numpy()
    return np.stack([np.asarray(value) for value in values])  # pictures of Pillow, too
