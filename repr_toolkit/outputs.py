"""Whether a file can be written, asked before the work of making what goes into it."""

import os
from collections.abc import Sequence
from pathlib import Path


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
