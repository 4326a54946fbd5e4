"""How near to where h says things stand in samples: a table, and pictures with crosses."""

import json
from collections.abc import Mapping

import torch

from repr_toolkit.analyses.placement.marks import SCALE, image_names, with_crosses
from repr_toolkit.analyses.placement.measure import paired
from repr_toolkit.page.blocks import Block, Cell, Notes, Picture, Row, Table
from repr_toolkit.page.cells import number_cell
from repr_toolkit.page.pictures import scale_of, shown, tiled
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.choose import OTHER_H

NOTES = (
    f"Another image’s h: {OTHER_H} Samples that do not hear h are as near to it as to own h. The "
    "images themselves show the best that can be expected.",
    "Runs in one table were given the same h and noise, and their differences are paired by image.",
)


def blocks(kept: Mapping[str, Kept]) -> list[Block]:
    """A table for the runs that were measured alike, and a picture for each run."""
    alike: dict[str, dict[str, Kept]] = {}
    for name, result in kept.items():
        asked = {name: value for name, value in result.asked.items() if name != "minus"}
        about = [asked, *(result.numbers[fact] for fact in ("fingerprint", "key"))]
        alike.setdefault(json.dumps(about, sort_keys=True), {})[name] = result
    pictures = [_picture(name, result) for name, result in kept.items() if result.arrays]
    return [*map(_table, alike.values()), Notes(NOTES), *pictures]


def _table(results: Mapping[str, Kept]) -> Table:
    (first, one), *others = results.items()
    numbers, scale, digits = one.numbers, *((100, 1) if one.numbers["share"] else (1, 3))

    rows = [
        Row(
            label,
            [number_cell(result.numbers.get(key), scale, digits) for result in results.values()],
            about,
        )
        for label, key, about in (
            ("own h", "own_h", "samples against where their h says"),
            ("another image’s h", "other_h", "the same samples, against where another h says"),
            ("the images themselves", "real", "read from the images that h was made of"),
        )
    ]
    if others and all(result.arrays for result in results.values()):
        of_first = one.arrays["own_h"]
        groups = (one.arrays["group"], numbers["groups"]) if "group" in one.arrays else None
        minus = [
            paired(result.arrays["own_h"], of_first, groups, numbers["share"])
            for _, result in others
        ]
        cells = [Cell(), *(number_cell(difference, scale, digits) for difference in minus)]
        rows.insert(
            1, Row(f"own h, minus {first}", cells, f"own h less own h of {first}, image by image")
        )
    unit = numbers["measure"] + (", %" if numbers["share"] else "")
    caption = (
        f"{unit[0].upper()}{unit[1:]}: {numbers['images']:,} {numbers['split']} images of "
        f"{numbers['data']}, a sample of the h of each at temperature {numbers['temperature']:g}. "
        "Beside a number its 95 % interval."
    )
    return Table(caption, list(results), rows)


def _picture(name: str, result: Kept) -> Picture:
    """Held-out images and below each samples of its h, with crosses where h says."""
    arrays = {key: torch.from_numpy(result.arrays[key]) for key in ("image", "sample", "marks")}
    cells = torch.cat([arrays["image"][:, None], arrays["sample"]], 1)
    count, lines = cells.shape[:2]
    levels = int(result.arrays["levels"])
    index = result.arrays.get("index")  # which results of earlier versions lack
    crossed = with_crosses(cells, arrays["marks"].float(), levels=levels).transpose(0, 1)
    png, size = tiled(shown(crossed.numpy(), 256), gap=SCALE)
    return Picture(
        png,
        size,
        f"{name}: top row, {count} held-out images; below, {lines - 1} samples of the h of each; "
        "crosses stand where h says.",
        f"**{name}**: images, samples of their h, and crosses where h says.",
        scale=scale_of(cells.shape) / SCALE,
        columns=image_names(result.numbers["split"], index.tolist()) if index is not None else [],
        rows=["image", *["sample"] * (lines - 1)],
    )
