"""Folders as people have them: `make` writes one, and `check` reads it and compares.

A line of a folder is a file: an image by its suffix, or else a text; `NAME = KIND` is a file of
another kind (see `write`), `NAME -> TARGET` a link, `NAME => TARGET` a hard link to what an earlier
line made, and `NAME/` an empty folder.
"""

import csv
import os
import re
import struct
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from repr_toolkit.data import ImageData, folder, load_data, walk
from repr_toolkit.data.folder import survey_folder
from repr_toolkit.data.picture_files import Mode
from repr_toolkit.support import console

SIDE = 4  # pixels
FORMATS = {".jfif": "JPEG", ".jpe": "JPEG", ".mpo": "JPEG", ".apng": "PNG", ".dib": "BMP"}


@dataclass(frozen=True)
class Case:
    """A folder, what is taken of it, by split and class, and what is said of the rest."""

    name: str
    files: Sequence[str]
    taken: Mapping[str, int] = field(default_factory=dict)  # images of "split/class", or "split"
    skipped: Mapping[str, str] = field(default_factory=dict)  # every file, and the reason
    said: Sequence[str] = ()  # in the line that is said, or in the error
    error: bool = False
    size: int | None = None
    mode: Mode | None = None


def three(place: str, suffix: str = ".png", kind: str = "", count: int = 3) -> list[str]:
    """Lines for images in a folder."""
    slash = "/" if place else ""
    return [f"{place}{slash}{i}{suffix}{kind and ' = ' + kind}" for i in range(count)]


PETS = [*three("cat"), *three("dog")]
TAKEN = {"train/cat": 3, "train/dog": 3}
HEIC = "takes the plug-in pillow-heif"
BACK, TWICE = "a link that leads back", "a link to a folder that is read already"
AGAIN = "a link to a file that is read already"
RUNS, OURS, NO = "runs of this toolkit", "a system's own", "is no image"
SEVERAL = "animated, or several pages"
EVERY = ("1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "deep")


def split(*names: str) -> list[str]:
    """Two classes in folders of these names."""
    return [line for name in names for line in (*three(f"{name}/cat"), *three(f"{name}/dog"))]


def both(*splits: str) -> dict[str, int]:
    return {f"{name}/{kind}": 3 for name in splits for kind in ("cat", "dog")}


def of_kinds(*kinds: str) -> list[str]:
    suffixes = {"CMYK": ".jpg", "LAB": ".tif", "F": ".tif", "I": ".tif"}
    return [f"cat/{i:02}{suffixes.get(k, '.png')} = {k}" for i, k in enumerate(kinds)]


def write(path: Path, kind: str) -> None:
    """A file of a kind, or of what its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() not in walk.KNOWN - walk.PLUG_INS.keys() and not kind.endswith("run"):
        path.write_text("no image")
        return
    shape = {"large": (7, 9), "turned": (4, 3)}.get(kind, (SIDE, SIDE))
    seed = zlib.crc32(os.fsencode(path.name))
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    form = FORMATS.get(path.suffix.lower())
    if kind == "run" or kind == "unfinished run":
        path.mkdir()
        (path / "config.yaml").touch()
        (path / ("model.json" if kind == "run" else "metrics.csv")).touch()
        image.save(path / "step_1.png")
    elif kind == "junk":
        path.write_text("<html>404</html>")
    elif kind == "empty":
        path.touch()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "png":
        image.save(path, "PNG")
    elif kind == "cut":
        image.save(path)
        path.write_bytes(path.read_bytes()[:-5])
    elif kind in ("several", "mpo"):
        form = "MPO" if kind == "mpo" else None
        image.save(path, form, save_all=True, append_images=[Image.new("RGB", image.size)])
    elif kind == "deep":
        path.write_bytes(deep_png())
    elif kind == "tRNS":
        image.save(path, transparency=image.getpixel((0, 0)))
    elif kind == "I;16":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(path)
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.resize((4, 3)).save(path, exif=exif)
    elif kind == "LAB":
        profiles = (ImageCms.createProfile(space) for space in ("sRGB", "LAB"))
        ImageCms.profileToProfile(image, *profiles, outputMode="LAB").save(path)
    else:
        image.convert(kind if kind in EVERY or kind in ("F", "I") else "RGB").save(path, form)


def deep_png() -> bytes:
    """An RGB PNG of 16 bits, which Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 2, 0, 0, 0)
    row = b"\0" + bytes([200, 255]) * 3 * SIDE
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(row * SIDE)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def make(root: Path, lines: Sequence[str]) -> Path:
    """The folder of a case; `elsewhere` beside it holds three images."""
    root.mkdir()
    for line in three("elsewhere"):
        write(root.parent / line, "")
    for line in lines:
        if " => " in line:
            name, _, target = line.partition(" => ")
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).hardlink_to(root / target)
            continue
        name, link, target = line.partition(" -> ")
        name, _, kind = name.partition(" = ")
        if link:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(target)
        elif name.endswith("/"):
            (root / name).mkdir(parents=True)
        else:
            write(root / name, kind)
    return root


def listed(data: ImageData) -> dict[str, str]:
    """The list of what was skipped, beside the arrays in the cache."""
    image = data.arrays["image"]
    assert isinstance(image, np.memmap)
    file = Path(str(image.filename)).parent / folder.SKIPPED_FILE
    if not file.exists():
        return {}
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
        return {row["file"]: row["reason"] for row in csv.DictReader(lines)}


def check(case: Case, folder_of_it: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Read the folder of a case: what is taken and said is what the case states."""
    root = make(folder_of_it / "photos", case.files)
    if case.error:
        every = "(?s)" + "".join(f"(?=.*{re.escape(text)})" for text in case.said)
        with pytest.raises(ValueError, match=every):
            load_data(str(root), size=case.size, mode=case.mode)
        return
    data = load_data(str(root), size=case.size, mode=case.mode)
    said = capfd.readouterr().err
    survey = survey_folder(root)
    taken = Counter(
        f"{split}/{survey.layout.labels[split][i]}" if survey.layout.labels else split
        for split, files in survey.layout.splits.items()
        for i in range(len(files))
    )
    assert taken == case.taken
    assert len(data.arrays["image"]) == sum(case.taken.values())
    assert data.names.get("label", ()) == tuple(
        sorted({key.partition("/")[2] for key in case.taken if "/" in key})
    )
    assert dict(survey.layout.skipped).keys() == case.skipped.keys()
    for file, reason in survey.layout.skipped:
        assert case.skipped[file] in reason
    assert listed(data) == dict(survey.layout.skipped)
    assert f"{len(data.arrays['image'])} images" in said
    for text in [*case.said, *case.skipped.values()]:
        assert text in said
    assert ("skipped" in said) == bool(case.skipped)
    # It is said once a process; and what was skipped is still known when the cache is read.
    again = load_data(str(root), size=case.size, mode=case.mode)
    assert (capfd.readouterr().err, again.fingerprint) == ("", data.fingerprint)
    console._said.clear()
    load_data(str(root), size=case.size, mode=case.mode)
    assert capfd.readouterr().err == said
