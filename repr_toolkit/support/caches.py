"""What is kept to save time or a download, in one folder: listed, and deleted. No torch here."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from getpass import getuser
from pathlib import Path
from shutil import rmtree

from repr_toolkit.support.files import size_of
from repr_toolkit.support.leftovers import remove_leftovers, temporary_for

KINDS = {
    "data": "decoded data, made again in seconds or minutes",
    "native": "kernels in C++, compiled again in seconds",
    "torchvision": "downloads, which have to be fetched again",
}
"""The folders inside the cache's, and what they hold."""


@dataclass(frozen=True)
class Cached:
    """Something in the cache: its kind, of `KINDS`; its name, such as a data set's; its path."""

    kind: str
    name: str
    path: Path

    @property
    def bytes(self) -> int:
        """Its size."""
        return size_of(self.path)

    @property
    def date(self) -> str:
        """When it was written; ISO 8601, local time, or "" if it is gone."""
        with suppress(OSError):
            when = datetime.fromtimestamp(self.path.stat().st_mtime).astimezone()
            return when.isoformat(timespec="seconds")
        return ""


def cache_folder() -> Path:
    """`$REPR_TOOLKIT_CACHE`, or `~/.cache/repr-toolkit`."""
    stated = os.environ.get("REPR_TOOLKIT_CACHE")
    return Path(stated).expanduser() if stated else Path.home() / ".cache" / "repr-toolkit"


def cached_things() -> list[Cached]:
    """All that is in the cache, by kind and name."""
    return [
        Cached(kind, path.name, path)
        for kind in KINDS
        for path in sorted((cache_folder() / kind).glob("[!.]*"))
    ]


def delete(thing: Cached) -> None:
    """Delete something of the cache; no process sees it half deleted, and none that uses it fails.

    Raises OSError where it may not be deleted.
    """
    going = temporary_for(thing.path)
    thing.path.rename(going)
    if going.is_dir():
        rmtree(going)
    else:
        going.unlink()
    remove_leftovers(thing.path.parent, ".*.tmp")


def elsewhere() -> Iterator[tuple[str, Path]]:
    """What PyTorch keeps for the toolkit in folders of its own, in words, where there is any."""
    torch = os.environ.get("TORCH_HOME")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    weights = (Path(torch).expanduser() if torch else home / "torch") / "hub" / "checkpoints"
    compiled = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    inductor = Path(compiled or Path(tempfile.gettempdir()) / f"torchinductor_{getuser()}")
    places = {"weights of networks": weights, "compiled training": inductor}
    yield from ((what, path) for what, path in places.items() if path.is_dir())
