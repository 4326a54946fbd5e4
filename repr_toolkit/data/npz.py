"""Images in .npz files, unpacked once to memory-mapped .npy files.

Two layouts:

- `image` (N, C, H, W) uint8, and `split` (N,) of 'train', 'val', 'test';
- `train_image`, `val_image`, `test_image`, each (N, C, H, W) uint8.

A file of embeddings may have no images: `embedding` (N, d) stands for `image` then. Where it has
neither, other names are understood, such as `X_train`, `features` or `y`, and two arrays without
names (see `arrays.renamed`). Images may be (N, H, W) or (N, H, W, C) too, and codes (N, 1).

Beside the images, with the same prefixes: `label` and `identity` (integers, or strings, which
become codes in alphabetical order; where some are negative, codes by value), `embedding` (N, d),
`landmarks` (N, 5, 2; images with a NaN among them are left out and counted), and any other numeric
array with a row for each image.
Without prefix: `name` (or `names`, `classes`), the names of the labels, `levels`, a number below
256 if the images have only the values 0…levels−1, and `encoder`, a string that names the maker of
the embeddings. `complete_splits` cuts missing splits, by `group`, `identity` or `photograph`, the
first of them that is there, so that images which belong together are in one split.

Files are read as a stream, so that memory stays at a few MiB whatever their size; what is read
whole, texts, labels and arrays in Fortran order, is at most 256 MiB. Objects are never unpickled.
"""

import io
import logging
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.lib import format as npy

from repr_toolkit.data.arrays import (
    CODES,
    bases,
    codes_and_names,
    our_axes,
    renamed,
    taken_axes,
)
from repr_toolkit.data.cache import Contents, cached, checksums, require_room, write_rows
from repr_toolkit.data.images import GROUPS, SPLITS, Array, ImageData, check_arrays, first_key
from repr_toolkit.data.splits import complete_splits, consecutive
from repr_toolkit.support.reading import reading, require_all_listed

logger = logging.getLogger(__name__)

CHUNK_BYTES = 8 << 20
WHOLE_BYTES = 256 << 20  # of an array that is read whole
HEADER_BYTES = 16 << 10
MOST_MEMBERS = 10_000  # arrays in a file


@dataclass(frozen=True)
class Member:
    """One array in an .npz file, described by its header."""

    path: Path
    key: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.key} {self.dtype} {self.shape}"

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return self.dtype.itemsize * prod(self.shape)

    def chunks(self) -> Iterator[Array]:
        """The rows of the array, 8 MiB at a time."""
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.key}.npy") as stream:
            header = _read_header(stream, self.path, self.key)
            stream.seek(header.bytes)
            if header.fortran_order or not self.shape:
                self._require_small("in C order" if self.shape else "as something smaller")
                whole = np.frombuffer(stream.read(), self.dtype)
                yield whole.reshape(self.shape, order="F")
                return
            row_bytes = self.dtype.itemsize * prod(self.shape[1:])
            step = max(1, CHUNK_BYTES // max(1, row_bytes))
            for start in range(0, self.shape[0], step):
                count = min(step, self.shape[0] - start)
                data = stream.read(count * row_bytes)
                if len(data) < count * row_bytes:
                    raise EOFError(f"{self.key!r} ends after {start} of {self.shape[0]} rows")
                yield np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])
            stream.read(1)  # zipfile compares the checksum at the end

    def array(self) -> Array:
        """The whole array; for codes and names, which are small.

        Raises ValueError if it is not.
        """
        self._require_small("as integers, or as shorter texts")
        chunks = list(self.chunks())
        if len(chunks) == 1:
            return chunks[0]
        return np.concatenate(chunks) if chunks else np.empty(self.shape, self.dtype)

    def _require_small(self, instead: str) -> None:
        # Texts of length 0 take no bytes in the file, but some in memory.
        if max(self.size, prod(self.shape)) > WHOLE_BYTES:
            raise ValueError(
                f"{self.path}: {self.key!r}, {self.dtype} {self.shape}, is read whole and larger "
                f"than {WHOLE_BYTES >> 20} MiB; save it {instead}"
            )


@dataclass(frozen=True)
class Turned(Member):
    """An array of a file that has other axes than data files, with theirs."""

    stored: Member

    def chunks(self) -> Iterator[Array]:
        for chunk in self.stored.chunks():
            yield our_axes(chunk)


def read_members(path: Path, keys: str = r"\w+") -> dict[str, Member]:
    """The arrays of an .npz file by key, from their headers alone.

    Those whose key is not of the pattern `keys` are left out. Raises ValueError, which names the
    file, if it is no zip file, is cut short, or holds pickles or more or less than its headers say.
    """
    with _naming(path), zipfile.ZipFile(path) as archive:
        members = {}
        if len(archive.infolist()) > MOST_MEMBERS:
            raise ValueError(f"{path} has more than {MOST_MEMBERS:,} arrays")
        require_all_listed(archive)
        for info in archive.infolist():
            key = info.filename.removesuffix(".npy")
            if re.fullmatch(keys, key) and key != info.filename:
                with archive.open(info) as stream:
                    header = _read_header(stream, path, key)
                member = Member(path, key, header.dtype, header.shape)
                if info.file_size != header.bytes + member.size:
                    raise ValueError(
                        f"{path} is damaged: {key!r} has {info.file_size - header.bytes:,} bytes, "
                        f"not the {member.size:,} of {header.dtype} {header.shape}"
                    )
                members[key] = member
    return members


def load_npz(path: Path) -> ImageData:
    """The data set in an .npz file of one of the module's layouts, or one ImageNet batch.

    Raises ValueError or TypeError, which names the file and the key, if the content does not fit.
    """
    members = read_members(path)
    if "data" in members and "labels" in members and members["data"].dtype == np.uint8:
        return load_imagenet([path], None)
    with _naming(path):
        members = renamed(members, str(path), Member.chunks)
    given = {key: member.key for key, member in members.items()}
    for key, shape in taken_axes(members, given, str(path)).items():
        stored = members[key]
        members[key] = Turned(path, stored.key, stored.dtype, shape, stored)
    columns, rows = _columns(path, members)
    _check(path, columns)

    def build(folder: Path) -> Contents:
        require_room(path, sum(part.size for parts in columns.values() for part in parts))
        with _naming(path):
            given = [texts(members, key, 1) for key in ("name", "names", "classes")]
            names = {"label": next(filter(None, given))} if any(given) else {}
            for key, parts in columns.items():
                if key in CODES:
                    codes, code_names = codes_and_names(
                        f"{path}", key, np.concatenate([part.array() for part in parts])
                    )
                    np.save(folder / f"{key}.npy", codes)
                    names |= {key: code_names} if code_names else {}
                else:
                    shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
                    chunks = (chunk for part in parts for chunk in part.chunks())
                    write_rows(folder / f"{key}.npy", _stored_dtype(key, parts), shape, chunks)
            levels = _levels(path, members)
            splits = rows or _split_rows(path, members)
            encoder = next(iter(texts(members, "encoder", 0)), None)
        return Contents(_completed(path, folder, splits), levels, names, encoder)

    # Part of the cache's key: what is taken under another name, as that may be understood anew.
    taken = [f" {each.key} as {key}" for key, each in members.items() if key != each.key]
    return cached(path.name, "".join([checksums([path]), *taken]), build)


def load_imagenet(train: list[Path], val: Path | None) -> ImageData:
    """The official ImageNet 32×32 or 64×64 batches: `data` uint8 (N, 3·H·W), `labels` from 1.

    The 50,000 images of `val_data.npz`, for which results are published, are the test split; val
    is 10,000 images of the training batches, drawn with a fixed seed. Labels become 0…999.
    """
    paths = [*train, *([val] if val else [])]
    batches = [read_members(path) for path in paths]
    for path, members in zip(paths, batches, strict=True):
        _check_imagenet(path, members)
        if members["data"].shape[1] != batches[0]["data"].shape[1]:
            raise ValueError(f"{path}: images of another size than those of {paths[0]}")
    counts = [members["data"].shape[0] for members in batches]
    side = round((batches[0]["data"].shape[1] / 3) ** 0.5)
    shape = (sum(counts), 3, side, side)

    def images() -> Iterator[Array]:
        for members in batches:
            for chunk in members["data"].chunks():
                yield chunk.reshape(-1, 3, side, side)

    def build(folder: Path) -> Contents:
        with _naming(paths[0].parent if len(paths) > 1 else paths[0]):
            write_rows(folder / "image.npy", np.dtype(np.uint8), shape, images())
            labels = np.concatenate([members["labels"].array() for members in batches])
        if labels.min() < 1:
            raise ValueError(f"{paths[0]}: 'labels' must count from 1, got {labels.min()}")
        np.save(folder / "label.npy", labels.astype(np.int64) - 1)
        sizes = {"train": sum(counts[: len(train)])} | ({"val": counts[-1]} if val else {})
        return Contents(complete_splits(str(paths[0].parent), consecutive(sizes)))

    return cached(f"imagenet{side}", checksums(paths), build)


class Header(NamedTuple):
    """What stands before an array's values, and how many bytes it takes."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    fortran_order: bool
    bytes: int


def _read_header(stream: IO[bytes], path: Path, key: str) -> Header:
    head = io.BytesIO(stream.read(HEADER_BYTES))  # no more, however long the header says it is
    try:
        version = npy.read_magic(head)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran_order, dtype = read(head)
    except ValueError as error:
        raise ValueError(f"{path}: the array {key!r} is damaged: {error}") from error
    if dtype.hasobject:
        raise ValueError(
            f"{path}: {key!r} holds pickled Python objects, which are never loaded; save it as "
            f"an array of numbers or of strings"
        )
    return Header(dtype, shape, fortran_order, head.tell())


def _naming(path: Path) -> AbstractContextManager[None]:
    found = "is no .npz file, or is damaged or cut short"
    return reading(path, "make it or copy it again", found=found)


def _columns(
    path: Path, members: Mapping[str, Member]
) -> tuple[dict[str, list[Member]], dict[str, Array]]:
    """The arrays of each batch key, split by split, and, if keys are prefixed, the splits' rows."""
    first = first_key(bases(members))
    if first in members:
        count = members[first].shape[0] if members[first].shape else 0
        known = {"image", "embedding", "landmarks", *CODES}
        return {
            key: [member]
            for key, member in members.items()
            if key in known or (_is_numeric(member) and member.shape[:1] == (count,))
        }, {}
    present = [split for split in SPLITS if f"{split}_{first}" in members]
    if "train" not in present:
        raise ValueError(
            f"{path}: needs 'image' (and 'split'), or 'train_image' (and 'val_image', "
            f"'test_image'), uint8, or 'embedding' in their place; it has "
            f"{', '.join(map(str, members.values())) or 'no arrays'}"
        )
    columns: dict[str, list[Member]] = {}
    rows = consecutive({split: members[f"{split}_{first}"].shape[0] for split in present})
    prefixed = [key.partition("_") for key in members]
    for key in dict.fromkeys(rest for split, _, rest in prefixed if split in present and rest):
        missing = [split for split in present if f"{split}_{key}" not in members]
        if missing:
            raise ValueError(f"{path}: there is {key!r} for some splits, but no {missing[0]}_{key}")
        parts = [members[f"{split}_{key}"] for split in present]
        for split, part in zip(present, parts, strict=True):
            if part.shape[:1] != (len(rows[split]),):
                raise ValueError(
                    f"{path}: {len(rows[split])} {first}s in {split}_{first} but the shape of "
                    f"{part.key!r} is {part.shape}"
                )
        if key in CODES or all(_is_numeric(part) for part in parts):
            columns[key] = parts
    return columns, rows


def _is_numeric(member: Member) -> bool:
    return member.dtype.kind in "biuf" and len(member.shape) > 0


def _check(path: Path, columns: Mapping[str, list[Member]]) -> None:
    """Refuse misfits by their headers, before anything is unpacked."""
    for key, parts in columns.items():
        for part in parts:
            if part.shape[1:] != parts[0].shape[1:]:
                raise ValueError(
                    f"{path}: {parts[0].key!r} has shape {parts[0].shape} but {part.key!r} "
                    f"{part.shape}"
                )
            if key == "image" and part.dtype != np.uint8:
                raise TypeError(f"{path}: {part.key!r} must be uint8, got {part.dtype}")
            if key in CODES and part.dtype.kind not in "biufUS":
                raise TypeError(
                    f"{path}: {part.key!r} must hold integers or strings, got {part.dtype}"
                )
    # Arrays of one repeated element have any shape and take no memory.
    stand_ins = {
        key: np.broadcast_to(
            np.zeros((), _stored_dtype(key, parts)),
            (sum(part.shape[0] if part.shape else 0 for part in parts), *parts[0].shape[1:]),
        )
        for key, parts in columns.items()
    }
    check_arrays(str(path), stand_ins)


def _stored_dtype(key: str, parts: list[Member]) -> np.dtype[np.generic]:
    if key in CODES:
        return np.dtype(np.int64)
    if key in ("embedding", "landmarks") and parts[0].dtype.kind in "biuf":
        return np.dtype(np.float32)
    return parts[0].dtype.newbyteorder("=")


def texts(members: Mapping[str, Member], key: str, rank: int) -> tuple[str, ...]:
    """The strings under a key, if it holds strings in an array of this rank; otherwise none."""
    member = members.get(key)
    if member is None or member.dtype.kind not in "US" or len(member.shape) != rank:
        return ()
    return tuple(map(str, member.array().astype(str).reshape(-1)))


def _levels(path: Path, members: Mapping[str, Member]) -> int:
    member = members.get("levels")
    if member is None:
        return 256
    if member.dtype.kind not in "iu" or member.shape:
        raise ValueError(f"{path}: 'levels' is one whole number, not {member.dtype} {member.shape}")
    return int(member.array())


def _split_rows(path: Path, members: Mapping[str, Member]) -> dict[str, Array]:
    count = members[first_key(members)].shape[0]
    if "split" not in members:
        return {"train": np.arange(count)}
    values = members["split"].array()
    if values.dtype.kind not in "US" or values.shape != (count,):
        raise ValueError(
            f"{path}: 'split' must be {count} strings, got {values.dtype} {values.shape}"
        )
    values = values.astype(str)
    return {str(split): np.flatnonzero(values == split) for split in np.unique(values)}


def _completed(path: Path, folder: Path, rows: dict[str, Array]) -> dict[str, Array]:
    """All three splits, without the images that have no landmarks."""
    if (folder / "landmarks.npy").exists():
        landmarks = np.load(folder / "landmarks.npy", mmap_mode="r")
        complete = ~np.isnan(landmarks).any(axis=(1, 2))
        logger.info("%s: left out %d images without landmarks", path.name, np.sum(~complete))
        rows = {split: members[complete[members]] for split, members in rows.items()}
    for key, of in GROUPS.items():
        if (folder / f"{key}.npy").exists():
            return complete_splits(str(path), rows, (np.load(folder / f"{key}.npy"), of))
    return complete_splits(str(path), rows)


def _check_imagenet(path: Path, members: Mapping[str, Member]) -> None:
    for key in ("data", "labels"):
        if key not in members:
            raise ValueError(f"{path}: an ImageNet batch needs {key!r}, has {', '.join(members)}")
    data, labels = members["data"], members["labels"]
    if data.dtype != np.uint8:
        raise TypeError(f"{path}: 'data' must be uint8, got {data.dtype}")
    side = round((data.shape[-1] / 3) ** 0.5) if data.shape else 0
    if len(data.shape) != 2 or data.shape[1] != 3 * side * side:
        raise ValueError(f"{path}: 'data' must be (N, 3·side·side), got shape {data.shape}")
    if labels.dtype.kind not in "iu" or labels.shape != data.shape[:1]:
        raise ValueError(
            f"{path}: 'labels' must be {data.shape[0]} integers, got {labels.dtype} {labels.shape}"
        )
