"""What h tells of an image in bits: of each run by its own decoder, of frozen h by fresh ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from repr_toolkit.analyses.frozen.blocks import frozen
from repr_toolkit.analyses.information.pieces import (
    bars,
    bound_cell,
    covers,
    curves,
    interval_of,
    map_pictures,
)
from repr_toolkit.page.blocks import Block, Cell, Paragraph, Row, Section, Table
from repr_toolkit.page.cells import bits_cell, spanned
from repr_toolkit.report.inputs import Analysis, Reported
from repr_toolkit.report.missing import missing
from repr_toolkit.support.tables import per_cent, plain

KINDS = {
    "without": ("a decoder without h", "bits that own h saves to it: usable information"),
    "hidden": ("all of h hidden", "bits that own h saves to the same decoder"),
    "shuffled": ("h of another image", "bits that it costs more than own h"),
    "mean_h": ("the mean of all h", "bits that it costs more than own h"),
}

Numbers = Mapping[str, Any]


def information(found: Reported) -> Section:
    """The table of bits, their maps, and what single parts of h are worth."""
    kept = found.analyses("information")
    blocks: list[Block] = []
    if kept:
        names = list(kept)
        numbers = [analysis.numbers for analysis in kept.values()]
        blocks += [_table(names, numbers), *_maps(kept), *_by_position(kept, list(found.runs))]
        blocks += _parts(kept, list(found.runs))
    blocks += missing(found, "information", kept, "the bits in h")
    blocks += frozen(found)
    lead = (
        "How many bits of an image h saves its decoder, and where in the image. The decoder is "
        "given less than the image’s own h, and the bits that it then needs more are counted."
    )
    return Section("information", "Information in h", lead, blocks)


def _table(names: Sequence[str], numbers: Sequence[Numbers]) -> Table:
    rows = [
        Row(
            "own h",
            [Cell(plain(of["bits"], 1), of["likelihood"]) for of in numbers],
            "bits of an image given its h",
            "Bits an image",
        )
    ]
    for kind, (title, about) in KINDS.items():
        cells = [bits_cell(of["saves"].get(kind), digits=1) for of in numbers]
        rows.append(Row(title, cells, about, "Bits an image"))
        if kind == "shuffled":
            shares = [of["saves"].get(kind, {}).get("share_of_images") for of in numbers]
            told = [Cell() if share is None else Cell(per_cent(share)) for share in shares]
            rows.append(Row("images that it costs bits, %", told, "", "Bits an image"))
    for key, title in (("lower_bound", "I(x; h) ≥"), ("label_lower_bound", "I(x; y) ≥")):
        cells = [bound_cell(of.get(key)) for of in numbers]
        about = "lower bound of the mutual information"
        rows.append(Row(title, cells, about, "Lower bounds, bits"))
    intervals = interval_of(
        [saved for of in numbers for saved in of["saves"].values()],
        [of.get(key) for of in numbers for key in ("lower_bound", "label_lower_bound")],
    )
    caption = (
        f"{spanned(of['images'] for of in numbers)} {numbers[0]['split']} images. {intervals} A "
        "bound at its ceiling says no more than the ceiling."
    )
    return Table(caption, names, [row for row in rows if not row.empty])


def _maps(kept: Mapping[str, Analysis]) -> list[Block]:
    """All runs' maps of the same images on one scale; a row of pictures for each set of images."""
    blocks: list[Block] = []
    groups: dict[tuple[str, bytes], list[str]] = {}
    for name, analysis in kept.items():
        kind = _kind(analysis)
        if kind is not None:
            images = np.ascontiguousarray(analysis.arrays["image"]).tobytes()
            groups.setdefault((kind, images), []).append(name)
    for (kind, _), names in groups.items():
        arrays = [kept[name].arrays for name in names]
        title = f"bits that own h saves a pixel, against {KINDS[kind][0]}"
        means = np.stack([of[f"saved_{kind}"] for of in arrays])
        single = np.stack([of[f"shown_{kind}"] for of in arrays])
        of_first = arrays[0]
        blocks += map_pictures(
            names, means, single, of_first["image"], int(of_first["levels"]), title
        )
    return blocks


def _kind(analysis: Analysis) -> str | None:
    """What the maps are held against: the first of `KINDS` of which there are any."""
    return next((kind for kind in KINDS if f"saved_{kind}" in analysis.arrays), None)


def _by_position(kept: Mapping[str, Analysis], order: Sequence[str]) -> list[Block]:
    """Bits saved by the time that a pixel is coded, against what all runs were held against."""
    saves = {name: analysis.numbers["saves"] for name, analysis in kept.items()}
    saves = {name: of for name, of in saves.items() if any("cumulative" in v for v in of.values())}
    kind = next((kind for kind in KINDS if saves and all(kind in of for of in saves.values())), "")
    if not kind:
        return []
    totals = {name: of[kind]["cumulative"] for name, of in saves.items()}
    return curves("position", totals, KINDS[kind][0], order)


def _parts(kept: Mapping[str, Analysis], order: Sequence[str]) -> list[Block]:
    """A chart of bars for each run: the coordinates or directions of h by what they are worth."""
    blocks: list[Block] = []
    drawn: list[Numbers] = []
    for number, (name, analysis) in enumerate(kept.items()):
        masked = analysis.numbers.get("masked")
        sensitivity = analysis.numbers["sensitivity"]
        parts = masked["coordinates"] if masked else sensitivity["parts"]
        if not parts:
            continue
        drawn += parts
        what = "bits of each coordinate" if masked else "sensitivity to each part of h"
        axis = "bits lost without it" if masked else "bits, if it is another image’s"
        colour = order.index(name)
        blocks.append(bars(f"parts{number}", f"{name}: {what}", parts, axis, colour))
    if blocks:
        blocks.append(
            Paragraph(
                "Sensitivity is what it costs to exchange one number of h, or one principal "
                "direction, with another image’s. It is no information: the h that are put "
                "together so need not be any image’s. A line is a bar’s 95 % interval: "
                f"{covers(drawn)}."
            )
        )
    return blocks
