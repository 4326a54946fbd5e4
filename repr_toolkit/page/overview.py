"""What data hold before anything is trained on them: tables, and a sheet of their images."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from repr_toolkit.data import ImageData
from repr_toolkit.data.folder import Survey
from repr_toolkit.data.images import GROUPS, SPLITS
from repr_toolkit.data.picture_files import CONVERTIBLE, read_image
from repr_toolkit.data.walk import skipped_text
from repr_toolkit.page.blocks import Block, Cell, Paragraph, Row, Table
from repr_toolkit.support.choose import choose_evenly
from repr_toolkit.support.pictures import Group, paper_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Counts = Mapping[str, Counter[str]]
"""How many images of each class there are, by split."""
Pictures = Mapping[str, Mapping[str, Tensor]]
"""Images (n, C, H, W) of each class, by split."""

MOST_CLASSES = 30
"""The number of classes that a table names."""
NAME = 32
"""The longest class name in a table or a picture, in characters."""
READ = 1000
"""The number of images whose values are looked at."""
SHEET = {"train": 6, "val": 2, "test": 2}
"""The columns of a contact sheet, by split."""
SHEET_ROWS = 12
"""The most classes in a contact sheet."""
ROWS = 4
"""The rows of a contact sheet of images without classes."""
SIDE = 64
"""The side of the images in a sheet of files that are not one array yet, in pixels."""


def data_blocks(data: ImageData) -> Iterator[Block]:
    """Splits, classes, groups and keys of data that were loaded."""
    if "image" in data.arrays:
        channels, height, width = data.image_shape
        what = f"images of {height}×{width}×{channels}, {data.levels} levels"
        what += f", made of {data.stored_levels}" if data.levels != data.stored_levels else ""
    else:
        what = f"embeddings of {data.arrays['embedding'].shape[1]:,} numbers, without images"
    yield Paragraph(f"**{data.name}**: {what}.")
    yield class_table(class_counts(data), "Images" if "image" in data.arrays else "Embeddings")
    rows = []
    for key, (least, most) in _ranges(data).items():
        array = data.arrays[key]
        shape = f"{array.dtype} ({', '.join(['N', *map(str, array.shape[1:])])})"
        rows.append(Row(key, [Cell(shape), Cell(f"{least:.4g} to {most:.4g}")]))
    yield Table("What a batch holds, and its values in training.", ["type", "values"], rows, "Key")
    for key, name in GROUPS.items():
        if key in data.arrays:
            counts = _group_counts(data, key)
            inside = ", ".join(f"{counts[split]:,} {split}" for split in data.rows)
            shared = counts["in_several_splits"]
            apart = f"{shared:,} of them are in several splits" if shared else "no split shares one"
            yield Paragraph(
                f"Images belong together by `{key}`: {counts['all']:,} {name} ({inside}); {apart}."
            )


def data_numbers(data: ImageData) -> dict[str, Any]:
    """What `data_blocks` shows, for JSON; a range with NaN or infinite values is None."""
    has_images = "image" in data.arrays
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "image_shape": list(data.image_shape) if has_images else None,
        "levels": data.levels,
        "stored_levels": data.stored_levels,
        "splits": _count_numbers(class_counts(data), "images" if has_images else "embeddings"),
        "keys": {
            key: {
                "dtype": str(data.arrays[key].dtype),
                "shape": list(data.arrays[key].shape[1:]),
                "min": least if isfinite(least) else None,
                "max": most if isfinite(most) else None,
            }
            for key, (least, most) in _ranges(data).items()
        },
        "groups": {key: _group_counts(data, key) for key in GROUPS if key in data.arrays},
    }


def survey_numbers(survey: Survey, problem: str) -> dict[str, Any]:
    """What `survey_blocks` shows, and the problem that there is, for JSON."""
    layout = survey.layout
    return {
        "folder": str(layout.folder),
        "root": str(layout.root),
        "sizes": [
            {"width": width, "height": height, "images": count}
            for (height, width), count in survey.sizes.items()
        ],
        "modes": dict(survey.modes),
        "splits": _count_numbers(file_counts(survey), "images"),
        "skipped": [skipped._asdict() for skipped in layout.skipped],
        "doubt": layout.doubt or None,
        "problem": problem or None,
    }


def _count_numbers(counts: Counts, what: str) -> dict[str, dict[str, Any]]:
    """How many there are in each split and of each class; None where there are no classes."""
    return {
        split: {what: of.total(), "classes": None if [*of] == [""] else dict(sorted(of.items()))}
        for split, of in counts.items()
    }


def _ranges(data: ImageData) -> dict[str, tuple[float, float]]:
    """The least and the largest value of each key, of `READ` training images at the most."""
    some = data.split("train")[choose_evenly(len(data.rows["train"]), READ)]
    return {key: (value.min().item(), value.max().item()) for key, value in some.items()}


def survey_blocks(survey: Survey) -> Iterator[Block]:
    """What a folder of image files holds, whether or not it can be loaded as it is."""
    layout = survey.layout
    inside = "" if layout.root == layout.folder else f" (in {layout.root})"
    sizes = sorted(survey.sizes, key=lambda size: size[0] * size[1])
    what = "no file that can be read"
    if sizes:
        ends = [f"{width}×{height}" for height, width in dict.fromkeys((sizes[0], sizes[-1]))]
        several = f" ({len(sizes):,} sizes)" if len(sizes) > 1 else ""
        modes = ", ".join(f"{count:,} × {mode}" for mode, count in survey.modes.most_common())
        what = f"files of {' to '.join(ends)} pixels, width × height{several}; modes: {modes}"
    yield Paragraph(f"**{layout.folder}**{inside}: {what}.")
    if layout.doubt:
        yield Paragraph(f"{layout.doubt}.")
    if layout.skipped:
        text = skipped_text(layout.skipped)
        yield Paragraph(f"{text[0].upper()}{text[1:]}.")


def file_counts(survey: Survey) -> Counts:
    """The classes of the files of a folder, by the splits that are folders of their own."""
    layout = survey.layout
    labels = layout.labels or {split: [""] * len(files) for split, files in layout.splits.items()}
    return {split: Counter(names) for split, names in labels.items()}


def class_counts(data: ImageData) -> Counts:
    """The classes of data by split; without labels all images are of one without a name."""
    counts = {}
    for name, split in data.splits.items():
        codes = split.column("label").tolist() if "label" in data.arrays else [None] * len(split)
        counts[name] = Counter("" if c is None else data.name_of("label", c) for c in codes)
    return counts


def class_table(counts: Counts, what: str = "Images") -> Table:
    """How many images, or what else, of each class each split has."""
    splits = [split for split in SPLITS if split in counts]
    classes = list(dict.fromkeys(name for split in splits for name in sorted(counts[split])))
    total = {split: counts[split].total() for split in splits}
    rows = [("all", total)] + [
        (name, {split: counts[split][name] for split in splits})
        for name in classes[:MOST_CLASSES]
        if name
    ]
    more = len(classes) - MOST_CLASSES
    caption = f"{what} of each class." if len(rows) > 1 else f"{what}; they have no classes."
    caption += "" if len(splits) == len(SPLITS) else " A tenth becomes each split without a folder."
    caption += f" {more:,} more classes are left out." if more > 0 else ""
    return Table(
        caption,
        [*splits, "together"],
        [
            Row(shortened(name), [Cell(f"{n:,}") for n in (*of.values(), sum(of.values()))])
            for name, of in rows
        ],
        "Class",
    )


def data_pictures(data: ImageData) -> Pictures:
    """Images of data for a contact sheet, spread evenly over each class of each split."""
    pictures: dict[str, dict[str, Tensor]] = {}
    for name, columns in SHEET.items():
        split, inside = data.split(name), {"": [*range(len(data.rows[name]))]}
        if "label" in data.arrays:
            codes = split.column("label")
            known = _some(np.unique(data.arrays["label"]).tolist())
            inside = {
                data.name_of("label", k): (codes == k).nonzero()[:, 0].tolist() for k in known
            }
        wanted = columns * (ROWS if [*inside] == [""] else 1)
        pictures[name] = {
            label: split[[places[i] for i in choose_evenly(len(places), wanted)]]["image"]
            for label, places in inside.items()
        }
    return pictures


def file_pictures(survey: Survey) -> Pictures:
    """Files of a folder, cut and scaled, for a contact sheet; none with a problem."""
    layout = survey.layout
    sound = {h.path for h in survey.headers if not h.problem and h.mode in CONVERTIBLE}
    labels = layout.labels or {split: [""] * len(files) for split, files in layout.splits.items()}
    names = _some(sorted({name for of in labels.values() for name in of}))
    pictures: dict[str, dict[str, Tensor]] = {}
    for split, files in layout.splits.items():
        inside: dict[str, list[Path]] = {name: [] for name in names}
        for file, name in zip(files, labels[split], strict=True):
            if name in inside and file in sound:
                inside[name].append(file)
        wanted = SHEET[split] * (1 if layout.labels else ROWS)
        pictures[split] = {}
        for name, paths in inside.items():
            images = torch.empty(0, 3, SIDE, SIDE, dtype=torch.uint8)
            for i in choose_evenly(len(paths), wanted):
                with suppress(ValueError):  # of one that is cut short, whose header is whole
                    image = torch.from_numpy(read_image(paths[i], SIDE, "RGB").copy())
                    images = torch.cat([images, image[None]])
            pictures[split][name] = images
    return pictures


def contact_sheet(pictures: Pictures, levels: int = 256) -> "Figure":
    """Images of each split side by side, a row for each class; of none, `ROWS` rows.

    What a class has not images enough for stays white.
    """
    groups = []
    for split, classes in pictures.items():
        columns, rows = SHEET[split], list(classes.values())
        if [*classes] == [""]:
            rows = [rows[0][start : start + columns] for start in range(0, columns * ROWS, columns)]
        white = [row.new_full((columns - len(row), *row.shape[1:]), levels - 1) for row in rows]
        images = torch.stack([torch.cat(pair) for pair in zip(rows, white, strict=True)])
        groups.append(Group(images, split))
    names = [shortened(name) for name in pictures["train"]]
    return paper_figure(groups, names if any(names) else (), levels=levels)


def shortened(name: str) -> str:
    """A class name that a line has room for and any terminal can print."""
    name = name.encode(errors="backslashreplace").decode()
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def _some(names: list[Any]) -> list[Any]:
    """`SHEET_ROWS` of the names, spread evenly."""
    return [names[i] for i in choose_evenly(len(names), SHEET_ROWS)]


def _group_counts(data: ImageData, key: str) -> dict[str, int]:
    """How many people or photographs there are: all, of each split, and of several."""
    codes = {split: np.unique(data.arrays[key][rows]) for split, rows in data.rows.items()}
    every, times = np.unique(np.concatenate([*codes.values()]), return_counts=True)
    counts = {split: len(of) for split, of in codes.items()}
    return {"all": len(every), **counts, "in_several_splits": int((times > 1).sum())}
