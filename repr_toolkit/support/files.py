"""Whether a file can be written, asked before the work of making what goes into it."""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


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
