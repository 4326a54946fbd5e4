"""Arrays by the names of a data file's keys: those in memory, and those of other names in files."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from repr_toolkit.data.images import SPLITS, Array, ImageData
from repr_toolkit.data.layout import SPLIT_NAMES
from repr_toolkit.support.console import aside_once
from repr_toolkit.support.leftovers import temporary_for
from repr_toolkit.support.reading import file_checksum

Arrays = Array | Tensor | tuple[Any, Any] | Mapping[str, Any] | Dataset[Any] | ImageData
"""What `named` takes."""

IMAGE = ("image", "images", "imgs", "img", "x", "data")
EMBEDDING = ("embedding", "embeddings", "features", "feature", "feats", "h", "z", "x", "data")
LABEL = ("label", "labels", "y", "target", "targets")
"""Names by which files hold images, embeddings and labels, in lower case; the first is ours."""
CODES = ("label", "identity", "group", "photograph")
"""The keys of codes: one integer for each image."""
CHANNELS = (1, 3)
"""The numbers of channels that an image may have."""
UNNAMED = ("arr_0", "arr_1")
"""Those that `np.savez` gives to what comes first, images or embeddings, and to labels."""

WHOLE = "whole numbers, and so classes: named `target` beside `embedding` they would be regressed"
_SPLIT = "|".join(SPLIT_NAMES)


class Described(Protocol):
    """An array, or its description in a file."""

    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


Held = TypeVar("Held", bound=Described)


def renamed(
    members: Mapping[str, Held], name: str, values: Callable[[Held], Iterable[Array]]
) -> dict[str, Held]:
    """Arrays of a file under the keys of data files: `X_train`, `features`, `y` and the like.

    Only where it has neither an `image` nor an `embedding` under its own name. stderr is told what
    was taken for what. `values` reads an array, in any number of parts.
    """
    if {IMAGE[0], EMBEDDING[0]} & bases(members):
        return dict(members)
    parts = {key: _parted(key) for key in members}
    real = {
        key: base
        for key, (_, base) in parts.items()
        if members[key].dtype.kind == "f" and _meaning(base, members[key], wide=True) == LABEL[0]
    }
    measured = {b for key, b in real.items() if not all(map(are_codes, values(members[key])))}
    ours: dict[str, Held] = {}
    taken: dict[str, str] = {}
    for wide in (False, True):  # what the usual names and types explain is taken so
        ours, taken = {}, {}
        for key, (split, base) in parts.items():
            meaning = base if base in measured else _meaning(base, members[key], wide=wide)
            wanted = f"{split}{meaning}"
            if wanted not in members and wanted not in ours:
                classes = f" ({WHOLE})" if key in real and meaning == LABEL[0] else ""
                taken[key] = f"{key} as {wanted}{classes}"
                ours[wanted] = members[key]
            else:
                ours[key] = members[key]
        if {IMAGE[0], EMBEDDING[0]} & bases(ours):
            break
    if taken:
        aside_once(f"{name}: takes {', '.join(taken.values())}")
    return ours


def bases(keys: Iterable[str]) -> set[str]:
    """Keys with and without the name of a split before them."""
    return {key.removeprefix(prefix) for key in keys for prefix in ("", *(f"{s}_" for s in SPLITS))}


def taken_axes(
    members: Mapping[str, Described], given: Mapping[str, str], name: str
) -> dict[str, tuple[int, ...]]:
    """The shape that `our_axes` gives to each array that has other axes than those of data files.

    stderr is told what images are taken for. `given` are the names under which the arrays were
    given. Raises ValueError for images under another name than ours whose channels may be first or
    last; under ours they are first.
    """
    shapes, said = {}, set()
    for key, member in members.items():
        shape = member.shape
        if IMAGE[0] in bases([key]) and len(shape) in (3, 4):
            if given[key] != key and _is_ambiguous(shape):
                raise ValueError(
                    f"{name}: the channels of {given[key]!r} {shape} may be first or last: store "
                    f"it as {key!r}, (N, C, H, W)"
                )
            kind = "as grey" if len(shape) == 3 else "with channels last"
        elif {*CODES} & bases([key]) and len(shape) == 2 and shape[1] == 1:
            kind = ""
        else:
            continue
        ours = our_axes(np.broadcast_to(np.uint8(0), shape)).shape
        if ours != shape:
            shapes[key] = ours
            said |= {f"images (N, {', '.join(map(str, shape[1:]))}) {kind}"} if kind else set()
    if said:
        aside_once(f"{name}: takes {', '.join(sorted(said))}")
    return shapes


def our_axes(values: Array) -> Array:
    """Images (N, C, H, W) of such, of (N, H, W) or of (N, H, W, C); codes (N,) of (N, 1)."""
    if values.ndim == 2:
        return values[:, 0]
    if values.ndim == 3:
        return values[:, None]
    last = values.shape[1] not in CHANNELS and values.shape[3] in CHANNELS
    return values.transpose(0, 3, 1, 2) if last else values


def _is_ambiguous(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[1] in CHANNELS and shape[3] in CHANNELS


def are_codes(values: Array) -> bool:
    """Whether values may be labels: integers, strings, truth values, or floats that are whole."""
    if values.dtype.kind != "f":
        return values.dtype.kind in "biuUS"
    values = values.astype(np.float64)
    return bool(((np.abs(values) < 2.0**53) & (values == np.rint(values))).all())


def codes_and_names(name: str, key: str, values: Array) -> tuple[Array, tuple[str, ...]]:
    """int64 codes and, where the values were strings or negative, their names.

    Raises TypeError, which names the data and the key, for numbers that are not whole.
    """
    if values.dtype.kind in "US":
        unique, codes = np.unique(values.astype(str), return_inverse=True)
        return codes.astype(np.int64), tuple(map(str, unique))
    if not are_codes(values):
        raise TypeError(f"{name}: {key!r} must hold whole numbers or strings, got {values.dtype}")
    codes = values.astype(np.int64)
    if not len(codes) or codes.min() >= 0:
        return codes, ()
    unique, codes = np.unique(codes, return_inverse=True)
    aside_once(f"{name}: {key!r} counts from {unique[0]}; its {len(unique)} values become codes")
    return codes.astype(np.int64), tuple(map(str, unique))


def _parted(key: str) -> tuple[str, str]:
    """A key as the prefix of its split, or none, and the rest."""
    match = re.fullmatch(rf"({_SPLIT})_(\w+)|(\w+)_({_SPLIT})", key, re.IGNORECASE)
    if match is None:
        return "", key
    return f"{SPLIT_NAMES[(match[1] or match[4]).lower()]}_", match[2] or match[3]


def _meaning(base: str, member: Described, *, wide: bool) -> str:
    """The key that an array is, by its name, type and shape; its own name where it is none.

    In the `wide` sense an array without a name may be one too, and embeddings may be integers.
    """
    kind, rank, word = member.dtype.kind, len(member.shape), base.lower()
    first, second = (UNNAMED[:1], UNNAMED[1:]) if wide else ((), ())
    if word in IMAGE + first and rank in (3, 4) and kind == "u":
        return IMAGE[0]
    if word in EMBEDDING + first and rank == 2 and kind in ("biuf" if wide else "f"):
        return EMBEDDING[0]
    codes = (rank == 1 and kind in "biufUS") or (member.shape[1:] == (1,) and kind in "biuUS")
    return LABEL[0] if word in LABEL + second and codes else base


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
      that are such integers or these divided by 255, or truth values, black and white; or
      embeddings (N, d);
    - two of them: these and their labels (see `are_codes`), (N,) or (N, 1); other numbers become
      the key `target`;
    - a mapping of a data file's keys to arrays; or of `train`, and of `val` or `test` if there are
      any, in any of the spellings of folders, to any of these;
    - a torch data set of images or embeddings, or of tuples that begin with one and its label, or
      of mappings. It is read once, so that what it draws at random is drawn once;
    - an `ImageData`: its images at its levels, its splits, and all that goes with them.

    Raises ValueError for values that are no images, and for images that are sampled anew at each
    step; TypeError for anything else.
    """
    if isinstance(source, ImageData):
        return _of_data(source)
    if isinstance(source, Mapping) and (splits := by_split(source)) and "train" in splits:
        parts = {split: named(part) for split, part in splits.items()}
        if any("target" in part and LABEL[0] not in part for part in parts.values()):
            for part in parts.values():  # labels of one split are whole by chance
                if "target" not in part and LABEL[0] in part:
                    part["target"] = part.pop(LABEL[0])
        return {f"{s}_{key}": array for s, part in parts.items() for key, array in part.items()}
    if isinstance(source, Mapping):
        stored = {key: _array(value) for key, value in source.items()}
        arrays = renamed(stored, "arrays", lambda array: [array])
        given = {key: k for key, array in arrays.items() for k in stored if stored[k] is array}
        for key in taken_axes(arrays, given, "arrays"):
            arrays[key] = our_axes(arrays[key])
        for key in [key for key in arrays if key.endswith("image")]:
            arrays[key] = _images(arrays[key], levels="levels" in arrays)
        return arrays
    if isinstance(source, Dataset):
        return named(_read(source))
    if isinstance(source, tuple) and len(source) == 2:
        first, second = named(source[0]), _array(source[1])
        kind = second.dtype.kind
        if second.shape[1:] == (1,) and kind in "biuUS":
            second = our_axes(second)
        label = kind in "US" or (second.ndim == 1 and are_codes(second))
        if label and kind == "f":
            aside_once(f"arrays: takes the second as labels ({WHOLE})")
        return {**first, LABEL[0] if label else "target": second}
    array = _array(source)
    if array.ndim == 2:
        return {EMBEDDING[0]: array.astype(np.float32)}
    if _is_ambiguous(array.shape):
        raise ValueError(
            f"the channels of images {array.shape} may be first or last: give them by the key "
            f"'image', (N, C, H, W)"
        )
    return {IMAGE[0]: _images(array)}


def _of_data(data: ImageData) -> dict[str, Array]:
    """A data set under the keys of a data file, which has no place for what changes with a step."""
    if data.sampled == "dynamic":
        raise ValueError(
            f"{data.name} is sampled anew at each step, which stored images are not: give the data "
            f"as they are, and set data.binarise to dynamic"
        )
    arrays = {
        f"{name}_{key}": values.numpy()
        for name, split in data.splits.items()
        for key, values in split[:].items()
    }
    for key, names in data.names.items():
        if key == LABEL[0]:
            arrays["name"] = np.array(names)
            continue
        for name in SPLITS:  # other keys have their names as values
            codes = arrays[f"{name}_{key}"].tolist()
            arrays[f"{name}_{key}"] = np.array([data.name_of(key, code) for code in codes])
    if data.encoder is not None:
        arrays["encoder"] = np.array(data.encoder)
    return {**arrays, "levels": np.array(data.levels)}


def by_split(source: Mapping[Any, Any]) -> dict[str, Any]:
    """What a mapping has of each split, if its keys are splits in any spelling; otherwise {}."""
    splits = {SPLIT_NAMES.get(str(key).lower(), ""): part for key, part in source.items()}
    return splits if len(splits) == len(source) and "" not in splits else {}


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


def _images(values: Array, *, levels: bool = False) -> Array:
    """Images uint8 (N, C, H, W) of any usual form; `levels`: their number is stated beside them."""
    if values.dtype.kind == "b":
        values = values * np.uint8(1 if levels else 255)
    elif values.dtype.kind in "iu" and not levels and values.max(initial=0) == 1:
        aside_once(
            "arrays: the images hold 0 and 1 of 256 levels, which are all but black; as truth "
            "values they are black and white"
        )
    if values.ndim not in (3, 4):
        raise ValueError(f"images are (N, H, W), (N, C, H, W) or (N, H, W, C), not {values.shape}")
    values = our_axes(values)
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
