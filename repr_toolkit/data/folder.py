"""Folders of image files, decoded once into the cache."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from repr_toolkit.data.cache import Contents, file_stamp, fill_cache, open_cached, write_rows
from repr_toolkit.data.images import Array, ImageData
from repr_toolkit.data.layout import Layout, read_layout
from repr_toolkit.data.picture_files import (
    CONVERTIBLE,
    PLAIN,
    SEVERAL,
    Header,
    Mode,
    in_threads,
    read_headers,
    read_image,
)
from repr_toolkit.data.splits import complete_splits, consecutive
from repr_toolkit.data.walk import Skipped, named, skipped_text
from repr_toolkit.support.console import aside_once, bar
from repr_toolkit.support.files import csv_text, write_json, write_text
from repr_toolkit.support.processes import first_process
from repr_toolkit.support.reading import read_json

SKIPPED_FILE, TOLD_FILE = "skipped.csv", "told.json"


@dataclass(frozen=True)
class Survey:
    """What a folder of images holds; only the headers of its files have been read.

    Attributes:
        layout: The files that are read, by split and class, and all that is skipped, with reasons.
        headers: Sizes and modes of `layout.files`, in the same order.
    """

    layout: Layout
    headers: Sequence[Header]

    @property
    def modes(self) -> Counter[str]:
        """How many files have each mode, see `Header`; damaged ones are in none."""
        return Counter(header.mode for header in self.headers if not header.problem)

    @property
    def sizes(self) -> Counter[tuple[int, int]]:
        """How many files have each (height, width), upright; damaged ones are in none."""
        return Counter((h.height, h.width) for h in self.headers if not h.problem)

    def obstacle(self, size: int | None = None, mode: Mode | None = None) -> str:
        """Why `load_folder` refuses these files, with their names; "" if it does not.

        What only decoding shows, such as a file that is cut short, is not in it.
        """
        return obstacle(self.headers, size, mode)


def survey_folder(folder: Path) -> Survey:
    """What a folder of images holds by split and class, sizes, modes, and what is skipped.

    Animated files and those of several pages are skipped. Raises as `read_layout` does.
    """
    return _survey(read_layout(folder))


def _survey(layout: Layout) -> Survey:
    headers = dict(zip(layout.files, read_headers(layout.files), strict=True))
    several = {file for file, header in headers.items() if header.problem == SEVERAL}
    if not several:
        return Survey(layout, [*headers.values()])
    kept = {
        split: [number for number, file in enumerate(files) if file not in several]
        for split, files in layout.splits.items()
    }
    splits = {
        split: [layout.splits[split][i] for i in numbers]
        for split, numbers in kept.items()
        if numbers
    }
    labels = layout.labels and {
        split: [layout.labels[split][i] for i in kept[split]] for split in splits
    }
    skipped = [Skipped(f.relative_to(layout.folder).as_posix(), SEVERAL) for f in several]
    layout = replace(
        layout, splits=splits, labels=labels, skipped=sorted([*layout.skipped, *skipped])
    )
    if "train" not in splits:
        raise ValueError(f"{layout.folder}: no images to train on; {skipped_text(layout.skipped)}")
    return Survey(layout, [headers[file] for file in layout.files])


def load_folder(path: Path, size: int | None = None, mode: Mode | None = None) -> ImageData:
    """The images in a folder, whose sub-folders are classes, splits, or splits of classes.

    `walk` says which files are read, `read_layout` what their folders mean, and `complete_splits`
    cuts the splits that are missing. Images are turned upright by their EXIF orientation. With a
    `mode` all are converted to it (see `to_mode`); without one all have to be grey or all RGB,
    8 bits. With `size` the middle square of every image is scaled to (size, size) by a box filter;
    without it all images must have one shape.

    A line on stderr says what was taken and what was skipped for which reason; all that was skipped
    is listed in skipped.csv, beside the arrays in the cache.

    Raises ValueError, which names the files (ten of each kind, the rest counted), for images that
    are damaged or cut short, of another mode or shape than most; and as `read_layout` does.
    """
    layout = read_layout(path)

    def build(folder: Path) -> Contents:
        survey = _survey(layout)
        write_images(folder, survey.headers, size, mode)
        found = survey.layout
        rows = consecutive({split: len(files) for split, files in found.splits.items()})
        names = {}
        if found.labels is not None:
            every = np.array([name for names in found.labels.values() for name in names])
            unique, codes = np.unique(every, return_inverse=True)
            np.save(folder / "label.npy", codes.astype(np.int64))
            names["label"] = tuple(map(str, unique))
        several = sorted({*found.skipped} - {*layout.skipped})
        told = {"skipped": several, "changed": _changes(survey.headers, size, mode)}
        write_json(folder / TOLD_FILE, told)
        return Contents(complete_splits(str(path), rows), names=names)

    # Part of the cache's key: where the folder begins, and how its folders are understood.
    key = f"{file_stamp(layout.files)} {path} {size} {mode} links, splits in any case"
    name = path.name or "folder"
    place = fill_cache(name, key, build)
    data = open_cached(place, name)
    if first_process():
        _tell(layout, place, data)
    return data


def _tell(layout: Layout, place: Path, data: ImageData) -> None:
    """Say what was taken and skipped, once a process, and list what was skipped in the cache."""
    told = read_json(place / TOLD_FILE, f"delete {place}, and it is made again")
    skipped = sorted([*layout.skipped, *(Skipped(*each) for each in told["skipped"])])
    root = "" if layout.root == layout.folder else f" (in {layout.root})"
    count = len(data.names.get("label", ()))
    classes = f" of {count} class{'es' * (count > 1)}" if count else ""
    counts = ", ".join(f"{len(rows):,} {split}" for split, rows in data.rows.items())
    images = f"{layout.folder}{root}: {len(data.arrays['image']):,} images{classes}: {counts}"
    said = [images, *filter(None, [layout.doubt]), *told["changed"]]
    if skipped:
        said.append(skipped_text(skipped))
        if os.access(place, os.W_OK):  # not where several users share a cache
            write_text(place / SKIPPED_FILE, csv_text([each._asdict() for each in skipped]))
            said.append(f"listed in {place / SKIPPED_FILE}")
    aside_once("; ".join(said))


def _changes(headers: Sequence[Header], size: int | None, mode: Mode | None) -> list[str]:
    """What is done to images that is no matter of course, in words."""
    wanted = {"RGB": "RGB", "grey": "L", None: _usual_mode(headers)}[mode]
    modes = Counter(header.mode for header in headers if header.mode != wanted)
    other = [("1-bit" if name == "1" else name, count) for name, count in modes.most_common()]
    transparent = sum(header.transparent for header in headers)
    laid = "laid over white" if mode else "taken as if it had none"
    deep = sum("16" in header.mode for header in headers)
    small = sum(min(h.width, h.height) < (size or 0) for h in headers)
    return [
        text
        for count, text in (
            (
                len(other),
                f"made {mode}: {', '.join(f'{n:,} × {m}' for m, n in other)}",
            ),
            (transparent, f"{laid}: {transparent:,} with transparency"),
            (deep, f"brought to 8 bits, the upper ones: {deep:,} of 16"),
            (small, f"enlarged: {small:,}"),
        )
        if count
    ]


def obstacle(headers: Sequence[Header], size: int | None = None, mode: Mode | None = None) -> str:
    """Why images cannot be one array, each kind with the files' names; "" if they can.

    That is what their headers show, not what only decoding does. Without a `mode` all have to be of
    the more frequent of L and RGB, without a `size` of the most frequent size.
    """
    if size is not None and size < 1:
        return f"data.size must be at least 1, got {size}"
    whole = [header for header in headers if not header.problem]
    usual = _usual_mode(headers)
    sizes = Counter(header.size for header in whole)
    most = max(sizes, key=sizes.__getitem__, default="")
    kinds = {
        "cannot be read": {h.path: h.problem for h in headers if h.problem},
        "cannot be brought to 8 bits": {h.path: h.mode for h in whole if h.mode not in CONVERTIBLE},
        f"are not {usual} of 8 bits, as most; data.mode, RGB or grey, converts them": {
            h.path: h.mode for h in whole if h.mode in CONVERTIBLE - {usual} and mode is None
        },
        f"are not {most}, as most; data.size crops and scales all to one": {
            h.path: h.size for h in whole if h.size != most and size is None
        },
    }
    return _told_together([header.path for header in headers], kinds)


def write_images(
    folder: Path, headers: Sequence[Header], size: int | None, mode: Mode | None = None
) -> None:
    """Decode image files into `folder`/image.npy, uint8 (N, C, H, W), in order.

    Raises ValueError as `load_folder` does, for files of 16 bits too that hold 12 bits or fewer,
    whose upper 8 are all but black.
    """
    if problem := obstacle(headers, size, mode):
        raise ValueError(problem)
    paths = [header.path for header in headers]
    grey = mode == "grey" or (mode is None and _usual_mode(headers) == "L")
    shape = (1 if grey else 3, size or headers[0].height, size or headers[0].width)
    with suppress(ValueError):  # of a damaged one its header tells
        shape = read_image(paths[0], size, mode).shape
    failed: dict[Path, str] = {}
    brightest: dict[Path, int] = {}  # values of files of 16 bits, once 8 are left

    def decoded(header: Header) -> Array | None:
        path = header.path
        try:
            image = read_image(path, size, mode)
        except ValueError as error:
            failed[path] = str(error).removeprefix(f"{path}: ")
            return None
        if image.shape != shape:  # the EXIF orientation at the end of a PNG
            failed[path] = f"{image.shape[2]}×{image.shape[1]} once upright"
            return None
        if "16" in header.mode:
            brightest[path] = int(image.max())
        return image

    def chunks() -> Iterator[Array]:
        with bar("images", len(paths)) as show:
            done = 0
            for images in in_threads(decoded, headers):
                done += len(images)
                show(done)
                if not failed:
                    yield np.stack([image for image in images if image is not None])
        if failed:
            raise ValueError(_told_together(paths, {"cannot be used": failed}))
        if brightest and max(brightest.values()) < 1 << 4:
            dark = {path: f"up to {value} of 255" for path, value in brightest.items()}
            kind = "of 16 bits hold 12 or fewer, and would be black; stretch them first"
            raise ValueError(_told_together(paths, {kind: dark}))

    write_rows(folder / "image.npy", np.dtype(np.uint8), (len(paths), *shape), chunks())


def _usual_mode(headers: Sequence[Header]) -> str:
    modes = Counter(header.mode for header in headers if header.mode in PLAIN)
    return max(modes, key=modes.__getitem__, default="RGB")


def _told_together(paths: Sequence[Path], kinds: Mapping[str, Mapping[Path, str]]) -> str:
    """Problems of files of each kind in one text; "" for none."""
    folder = Path(os.path.commonpath([path.parent for path in paths]))
    problems = [
        f"{len(files):,} of {len(paths):,} images {kind}: "
        + named([f"{path.relative_to(folder)} ({why})" for path, why in sorted(files.items())])
        for kind, files in kinds.items()
        if files
    ]
    return f"{folder}: {'. '.join(problems)}" if problems else ""
