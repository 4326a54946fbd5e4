"""Which files below a folder are images, and why each of the others is left out."""

import os
from collections import deque
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from PIL import Image, __version__

SYSTEM = frozenset(
    (
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("__macosx", "icon\r", "@eadir", "#recycle", "lost+found", "__pycache__"),
    )
)
"""Names, in lower case, of what operating systems and network drives put beside one's files."""

PLUG_INS = {".heic": "pillow-heif", ".heif": "pillow-heif", ".hif": "pillow-heif"}
"""Suffixes of images that Pillow reads by a plug-in alone, and the package that has it."""

KNOWN = PLUG_INS.keys() | {
    *(".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff", ".webp"),
}
"""Suffixes of images; of what else Pillow opens, such as .pdf and .ico, nobody's data are."""

HIDDEN, OURS = "hidden", "a system's own"
AGAIN = "a link to a file that is read already"
MANY = 10  # files named of one kind, after which the rest are counted


class Skipped(NamedTuple):
    """A file or a folder that is not read.

    Attributes:
        file: Its path within the folder that was read, with "/"; a name that is no text is kept as
            `os.fsdecode` makes it.
        reason: Why, in words that do not name it.
    """

    file: str
    reason: str


class Walk(NamedTuple):
    """What `walk` comes by: image files, sorted, and what is left out, sorted."""

    files: list[Path]
    skipped: list[Skipped]


@cache
def readable_suffixes() -> frozenset[str]:
    """The suffixes of images that Pillow reads here, with its plug-in for HEIC where there is one.

    The plug-in is registered.
    """
    if find_spec("pillow_heif") is not None:
        import_module("pillow_heif").register_heif_opener()
    return frozenset(KNOWN & Image.registered_extensions().keys())


def walk(folder: Path) -> Walk:
    """The image files below a folder, by their suffixes, at any depth.

    Links are followed. A folder or a file that several links lead to is read once, under its own
    name where it lies in the folder itself, and a link that leads back up is not followed; of hard
    links the first by name is read. Left out are hidden
    files and folders, those that systems make (Thumbs.db, __MACOSX, @eaDir …), the runs of this
    toolkit (see `holds_runs`), links to nothing and files of other kinds; of a folder that is left
    out nothing else is said. Empty folders are named too.

    Raises OSError for a folder that may not be read.
    """
    files: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    above = {_identity(parent) for parent in folder.resolve().parents}
    read: dict[tuple[int, int], Path] = {}
    folders, links = deque([folder]), deque[Path]()
    while folders or links:  # links last: what they lead to may lie here under its own name
        place = folders.popleft() if folders else links.popleft()
        identity = _identity(place)
        if identity in above or read.get(identity) in [place, *place.parents]:
            skipped.append((place, "a link that leads back"))
            continue
        if identity in read:
            skipped.append((place, "a link to a folder that is read already"))
            continue
        read[identity] = place
        with os.scandir(place) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        if not entries:
            skipped.append((place, "an empty folder"))
        for entry in entries:
            path = place / entry.name
            kind = path if entry.is_symlink() else entry  # a link may lead to itself
            if reason := _left_out(path, is_folder=kind.is_dir(), is_file=kind.is_file()):
                skipped.append((path, reason))
            elif kind.is_dir():
                (links if entry.is_symlink() else folders).append(path)
            else:
                files.append(path)
    files, again = _once(files)
    skipped += [(path, AGAIN) for path in again]
    relative = [Skipped(path.relative_to(folder).as_posix(), why) for path, why in skipped]
    return Walk(files, sorted(relative))


def is_run(folder: Path) -> bool:
    """Whether a folder is a run of this toolkit, finished or not."""
    made = ("model.json", "model.safetensors", "checkpoints", "metrics.csv")
    return (folder / "config.yaml").is_file() and any((folder / name).exists() for name in made)


def holds_runs(folder: Path) -> bool:
    """Whether a folder is a run of this toolkit, or is there for runs, such as `runs/`.

    A folder `runs` is if it has a run or a study of runs. One of another name has runs and no other
    folders and, unless it is a study's, no images.
    """
    if is_run(folder):
        return True
    with os.scandir(folder) as found:
        inside = [entry for entry in found if entry.name[0] != "."]
    names = [entry.name for entry in inside if entry.is_dir(follow_symlinks=False)]
    others = [folder / name for name in names if name != "analysis"]  # results of a study
    if folder.name.lower() == "runs":
        return any(is_run(path) or any(map(is_run, path.iterdir())) for path in others)
    images = any(Path(entry.name).suffix.lower() in KNOWN for entry in inside)
    study = len(others) < len(names)
    return bool(others) and (study or not images) and all(map(is_run, others))


def _left_out(path: Path, *, is_folder: bool, is_file: bool) -> str:
    """Why a file or a folder is left out, by its name and kind; nothing for one that is not."""
    suffix = path.suffix.lower()
    if path.name.startswith("."):
        return HIDDEN
    if path.name.lower() in SYSTEM:
        return OURS
    if is_folder:
        return "runs of this toolkit" if holds_runs(path) else ""
    if not is_file:
        return "a link to nothing" if path.is_symlink() else "no regular file"
    if suffix in readable_suffixes():
        return ""
    if suffix in PLUG_INS:
        return f"{suffix} takes the plug-in {PLUG_INS[suffix]}, which is not installed"
    if suffix in KNOWN:
        return f"{suffix} takes another Pillow than {__version__}"
    return f"{suffix} is no image" if suffix else "no suffix, and so no image"


def _once(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Files in the order of their names, and those that are one of these by another name."""
    first: dict[tuple[int, int], Path] = {}
    for path in sorted(paths, key=lambda path: (path.is_symlink(), path)):
        first.setdefault(_identity(path), path)
    again = {*paths} - {*first.values()}
    return sorted(first.values()), sorted(again)


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def named(names: Sequence[str], most: int = MANY) -> str:
    """Names in a line, so many of them, the rest counted.

    >>> named(["a", "b", "c"], 2), named(["a", "b"], 2)
    ('a, b and 1 more', 'a, b')
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def skipped_text(skipped: Iterable[Skipped]) -> str:
    """What was skipped for which reason, in a line; nothing for nothing.

    >>> skipped_text([Skipped("a.gif", "animated"), Skipped("b.gif", "animated")])
    'skipped 2: animated (a.gif, b.gif)'
    """
    files: dict[str, list[str]] = {}
    for file, reason in skipped:
        files.setdefault(reason, []).append(file)
    few = {reason for reason in files if reason in (HIDDEN, OURS) or "no image" in reason}
    parts = [
        f"{reason} ({named(names, 3 if reason in few else MANY)})"
        for reason, names in sorted(files.items())
    ]
    return f"skipped {sum(map(len, files.values())):,}: {'; '.join(parts)}" if parts else ""
