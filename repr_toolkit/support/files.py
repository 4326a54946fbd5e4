"""Files: whether one can be written, asked before the work, and how it is written whole."""

import csv
import io
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

if TYPE_CHECKING:
    import numpy as np


def require_writable(path: Path, what: str, *, overwrite: bool) -> None:
    """Raise where ``path`` cannot be written; ``what`` says what it is to hold, as "the picture".

    FileNotFoundError where its folder is missing, PermissionError where nothing may be written
    there, FileExistsError where it exists and ``overwrite`` is false.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} of {what} {path} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"nothing may be written to the folder {path.parent} of {path}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another name, or replace it by --overwrite")


def require_picture(path: Path, what: str = "the picture", *, overwrite: bool) -> None:
    """`require_writable` for a .png that nothing is written beside; ValueError for another name."""
    _require_suffix(path, what, (".png",))
    require_writable(path, what, overwrite=overwrite)


def require_data_file(path: Path, what: str = "the data file", *, overwrite: bool) -> None:
    """`require_writable` for an .npz; ValueError for another name."""
    _require_suffix(path, what, (".npz",))
    require_writable(path, what, overwrite=overwrite)


def require_json(path: Path, what: str = "the result", *, overwrite: bool) -> None:
    """`require_writable` for a .json; ValueError for another name."""
    _require_suffix(path, what, (".json",))
    require_writable(path, what, overwrite=overwrite)


def _require_suffix(path: Path, what: str, suffixes: Sequence[str]) -> None:
    if path.suffix not in suffixes:
        raise ValueError(f"{what} is written as {' or '.join(suffixes)}, not as {path}")


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of `path` in one moment, whole and on the disk.

    If anything fails, a full disk included, what `path` held before is still there and nothing
    else is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        # The renaming itself. Whoever sees the file may by now have moved it with its folder.
        os.fsync(folder)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(folder)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that a killed process left in a folder and below."""
    for temporary in folder.rglob(".*.tmp"):
        temporary.unlink()


def write_json(path: Path, numbers: Mapping[str, Any]) -> Path:
    """Write numbers to a file, whole and in place of an earlier one, and return its path."""
    with atomic_write(path) as file:
        file.write(json.dumps(dict(numbers), indent=2, ensure_ascii=False).encode() + b"\n")
    return path


class Rows(NamedTuple):
    """An array that comes in parts: its dtype, its whole shape, and chunks of its rows in order."""

    dtype: "np.dtype[Any]"
    shape: tuple[int, ...]
    chunks: "Iterable[np.ndarray[Any, Any]]"


def write_npz(file: BinaryIO, arrays: "Mapping[str, np.ndarray[Any, Any] | Rows]") -> None:
    """Write arrays by their names as `np.savez_compressed` does; equal ones give equal bytes.

    Of `Rows` no more than a chunk is in memory at a time. Raises ValueError for what would have to
    be pickled, and for chunks that have another number of rows than their shape says.
    """
    import numpy as np

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
    import numpy as np

    if rows.dtype.hasobject:
        raise ValueError(f"Object arrays, such as {name}, cannot be written without pickling")
    descr = np.lib.format.dtype_to_descr(rows.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": rows.shape}
    np.lib.format.write_array_header_1_0(member, header)
    count = 0
    for chunk in rows.chunks:
        member.write(np.ascontiguousarray(chunk, rows.dtype).tobytes())
        count += len(chunk)
    if count != rows.shape[0]:
        raise ValueError(f"{name} has {count} rows, not {rows.shape[0]}")


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows with the same keys as CSV under those keys; an empty cell for None.

    >>> csv_text([{"name": "a", "bits": 0.5}, {"name": "b", "bits": None}])
    'name,bits\\na,0.5\\nb,\\n'
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_json(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file holds; ValueError, naming the file, where it is damaged."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; delete it, or make it again") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} does not hold a mapping of names to values; make it again")
    return value
