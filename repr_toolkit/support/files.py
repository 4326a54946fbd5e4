"""Files: asks before the work whether one can be written, and writes it whole or not at all."""

import csv
import io
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from errno import ENAMETOOLONG
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from repr_toolkit.support.leftovers import temporary_for
from repr_toolkit.support.reading import writing
from repr_toolkit.support.speech import either


def exists(path: Path) -> bool:
    """Whether something is at a path; no where a name in it is too long to be anybody's."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno == ENAMETOOLONG:
            return False
        raise


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; a link counts as no more than itself."""
    inside = (Path(place, name) for place, _, names in os.walk(path) for name in names)
    total = 0
    for file in inside if path.is_dir() else [path]:
        with suppress(OSError):  # it may go meanwhile
            total += file.lstat().st_size
    return total


def require_writable(path: Path, what: str, suffix: str = "", *, overwrite: bool) -> None:
    """Raise if `path` cannot be written; `what` names its content, such as "the picture".

    ValueError if the name does not end in `suffix`, such as ".png", FileNotFoundError if the folder
    is missing, PermissionError if nothing may be written there, FileExistsError if the file exists
    and `overwrite` is False.
    """
    if suffix and path.suffix != suffix:
        raise ValueError(f"{what} is written as {suffix}, not as {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} of {what} {path} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"nothing may be written to the folder {path.parent} of {path}")
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path} exists; choose another name, or replace it by "
            + either("--overwrite", "overwrite=True")
        )


def refuse_unwritable(path: Path, *, overwrite: bool) -> None:
    """Raise, before the work, where pictures and their values cannot be written to `path`.

    ValueError unless it ends in .png or .npz, FileNotFoundError where its folder is missing,
    PermissionError where nothing may be written there, and FileExistsError where it or the .npz
    beside it exists and `overwrite` is false.
    """
    if path.suffix not in (".png", ".npz"):
        raise ValueError(f"pictures are written as .png (and .npz) or as .npz alone, not as {path}")
    for file in (path, path.with_suffix(".npz")):
        require_writable(file, "the pictures", overwrite=overwrite)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which replaces `path` in one moment, whole and on the disk.

    If anything fails, a full disk included, `path` keeps its content and no other file is left. The
    next writing removes what a killed process left.
    """
    temporary = temporary_for(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with writing(path):
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        # The renaming itself, by the open folder: somebody may have moved it by now.
        os.fsync(folder)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text to a file, whole; an earlier file is replaced."""
    with atomic_write(path) as file:
        file.write(as_bytes(text))


def as_bytes(text: str) -> bytes:
    """A text in UTF-8, with the bytes of files' names in it as they are, which may be no text."""
    return text.encode(errors="surrogateescape")


def write_json(path: Path, numbers: Mapping[str, Any]) -> Path:
    """Write numbers to a file, whole, and return its path; an earlier file is replaced."""
    write_text(path, json_text(dict(numbers)))
    return path


def json_text(numbers: object) -> str:
    """Mappings, sequences, numbers and texts as indented JSON, with a newline at the end.

    A byte of a file's name that is no text is written by JSON's own escape, which reads back.
    """
    text = json.dumps(numbers, indent=2, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace").decode()


class Rows(NamedTuple):
    """An array in parts: its dtype, its whole shape, and chunks of its rows in order."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    chunks: Iterable[np.ndarray[Any, Any]]


def write_npz(file: BinaryIO, arrays: Mapping[str, np.ndarray[Any, Any] | Rows]) -> None:
    """Write arrays by name as `np.savez_compressed` does; equal arrays give equal bytes.

    `Rows` need the memory of one chunk at a time. Raises ValueError for objects, which would need
    pickling, and for chunks of another dtype, or of another shape than theirs.
    """
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # with a fixed date
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                if isinstance(array, Rows):
                    _write_rows(member, name, array)
                else:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def _write_rows(member: Any, name: str, rows: Rows) -> None:
    if rows.dtype.hasobject:
        raise ValueError(f"Object arrays, such as {name}, cannot be written without pickling")
    descr = np.lib.format.dtype_to_descr(rows.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": rows.shape}
    np.lib.format.write_array_header_1_0(member, header)
    count = 0
    for chunk in rows.chunks:
        if chunk.shape[1:] != rows.shape[1:] or not np.can_cast(chunk.dtype, rows.dtype):
            raise ValueError(
                f"{name} has rows of {chunk.dtype} {chunk.shape[1:]}, not of {rows.dtype} "
                f"{rows.shape[1:]}"
            )
        member.write(np.ascontiguousarray(chunk, rows.dtype).tobytes())
        count += len(chunk)
    if count != rows.shape[0]:
        raise ValueError(f"{name} has {count} rows, not {rows.shape[0]}")


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows that have the same keys as CSV, below a line of the keys; None is an empty cell.

    >>> csv_text([{"name": "a", "bits": 0.5}, {"name": "b", "bits": None}])
    'name,bits\\na,0.5\\nb,\\n'
    """
    text = io.StringIO()
    # Python before 3.13 quotes no \r, with which a name of a Mac's files ends.
    odd = any("\r" in str(value) for row in rows for value in row.values())
    how: Any = {"quoting": csv.QUOTE_ALL} if odd else {}
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n", **how)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
