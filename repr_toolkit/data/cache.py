"""Decoded data on disk: plain .npy files, written once and memory-mapped ever after.

They lie in `$REPR_TOOLKIT_CACHE/data`, a folder for each data set: one .npy for each batch key, one
of row numbers for each split, and meta.json, which has the checksums of all. A folder appears whole
or not at all, and is verified once a process. Deleting one costs only the time to make it again.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from errno import ENOSPC
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from repr_toolkit.data.images import SPLITS, Array, ImageData, content_fingerprint
from repr_toolkit.support.caches import cache_folder
from repr_toolkit.support.leftovers import ending, remove_leftovers
from repr_toolkit.support.reading import file_checksum, read_sealed, reading, sealed, writing

logger = logging.getLogger(__name__)

META = "meta.json"
_verified: set[Path] = set()
"""The folders whose checksums this process has compared."""

# Part of every cache key; raise it when the stored arrays or a fixed split change.
VERSION = 4


@dataclass
class Contents:
    """What a builder returns beside the .npy files of the batch keys: the rest of an ImageData.

    `fingerprinted` names the keys that the fingerprint covers (default: all). A run recognises its
    data although keys were added later, if those follow from the ones named here.
    """

    rows: Mapping[str, Array]
    levels: int = 256
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    encoder: str | None = None
    fingerprinted: Sequence[str] | None = None


def cached(name: str, key: str, build: Callable[[Path], Contents]) -> ImageData:
    """The data set that `build` makes, read from the cache if made before; see `fill_cache`."""
    return open_cached(fill_cache(name, key, build), name)


def fill_cache(name: str, key: str, build: Callable[[Path], Contents]) -> Path:
    """The folder in the cache of the data set that `build` makes, unless it was made before.

    `build(folder)` writes `KEY.npy` for each batch key into `folder` (see `write_rows`), and what
    other files it likes. `key` is any text that tells this content from any other: a fingerprint of
    the input files and every setting that matters. Processes that build the same data at once each
    do the whole work, and the first to finish wins.

    Raises what `build` raises, and OSError if the cache cannot be written; nothing is left behind.
    """
    digest = hashlib.sha256(os.fsencode(f"{VERSION} {name} {key}")).hexdigest()[:20]
    folder = cache_folder() / "data" / f"{Path(name).stem}-{digest}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        logger.info("preparing %s in %s, once", name, folder)
        remove_leftovers(folder.parent, ".*.tmp")
        unfinished = Path(tempfile.mkdtemp(ending(), f".{folder.name}.", folder.parent))
        try:
            with writing(folder):
                _fill(unfinished, name, build(unfinished))
            unfinished.chmod(
                0o755
            )  # mkdtemp's folders are private; a shared cache must be readable
            unfinished.replace(folder)
        except OSError:
            if not folder.exists():  # otherwise another process finished the same folder first
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def require_room(source: Path, size: int) -> None:
    """Raise OSError unless the cache's disk has room for `size` bytes, unpacked from `source`."""
    folder = cache_folder() / "data"
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise OSError(
            ENOSPC,
            f"{source} takes {size / 1e9:,.1f} GB unpacked, and there are {free / 1e9:,.1f} GB of "
            f"room; set $REPR_TOOLKIT_CACHE to a folder on another disk",
            str(folder),
        )


def write_rows(
    path: Path, dtype: np.dtype[np.generic], shape: tuple[int, ...], chunks: Iterable[Array]
) -> None:
    """Write an .npy file of this type and shape from chunks of its rows, one chunk at a time.

    Raises ValueError if the chunks have other rows, or more or fewer of them.
    """
    written = 0
    with path.open("wb") as file:
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(file, header)
        for chunk in chunks:
            if chunk.shape[1:] != shape[1:]:
                raise ValueError(f"rows of shape {chunk.shape[1:]} in an array of {shape}")
            file.write(np.ascontiguousarray(chunk, dtype=dtype).data)
            written += len(chunk)
    if written != shape[0]:
        raise ValueError(f"{written} rows for an array of {shape[0]}")


def checksums(paths: Iterable[Path]) -> str:
    """The SHA-256 (hex) of each file: no other file has it, whatever checksums it states."""
    return " ".join(map(_checksum, paths))


def _checksum(path: Path) -> str:
    stat = path.stat()
    times = (stat.st_mtime_ns, stat.st_ctime_ns)
    return _checksum_once(path.absolute(), stat.st_size, stat.st_ino, times)


@lru_cache(maxsize=1024)
def _checksum_once(path: Path, size: int, inode: int, times: tuple[int, int]) -> str:
    """The SHA-256 (hex) of a file, read once a process while it does not change."""
    return file_checksum(path)


def file_stamp(paths: Iterable[Path]) -> str:
    """A fingerprint of files by their paths, sizes and modification times, without reading them."""
    digest = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        digest.update(os.fsencode(path) + f"\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _fill(folder: Path, name: str, contents: Contents) -> None:
    """Write the splits and meta.json of a folder that holds the batch keys."""
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
    data = ImageData(name, arrays, contents.rows, levels=contents.levels, names=contents.names)
    fingerprint = data.fingerprint
    if contents.fingerprinted is not None:
        covered = {key: arrays[key] for key in contents.fingerprinted}
        fingerprint = content_fingerprint(covered, data.rows)
    meta = {
        "name": name,
        "keys": list(arrays),
        "levels": contents.levels,
        "names": data.names,
        "fingerprint": fingerprint,
        "encoder": contents.encoder,
    }
    for split, rows in data.rows.items():
        if f"rows_{split}" in arrays:
            raise ValueError(f"{name}: an array cannot be called rows_{split}")
        np.save(folder / f"rows_{split}.npy", rows)
    files = sorted(folder.glob("*.npy"))
    meta["checksums"] = {file.name: file_checksum(file) for file in files}
    (folder / META).write_text(json.dumps(sealed(meta)))


def open_cached(folder: Path, name: str) -> ImageData:
    """The data set in a folder of the cache.

    Raises ValueError, which names the file, for one that is damaged.
    """
    mend = f"delete {folder}, and it is made again"
    with reading(folder, mend):
        meta = read_sealed(folder / META, mend)
        for file, stated in meta["checksums"].items() if folder not in _verified else ():
            if file_checksum(folder / file) != stated:
                raise ValueError(f"{folder / file} is damaged (its checksum is wrong); {mend}")
        _verified.add(folder)
        arrays = {key: np.load(folder / f"{key}.npy", mmap_mode="r") for key in meta["keys"]}
        rows = {split: np.load(folder / f"rows_{split}.npy") for split in SPLITS}
        rest = {key: meta[key] for key in ("levels", "names", "fingerprint", "encoder")}
        return ImageData(name, arrays, rows, **rest)
