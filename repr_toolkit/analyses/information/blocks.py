"""What h tells of an image in bits, by each run's own decoder."""

from collections.abc import Mapping

import numpy as np

from repr_toolkit.analyses.information.pieces import (
    MASKED_NOTE,
    USABLE,
    bars,
    bits_cell,
    bound_note,
    bound_row,
    curves,
    map_pictures,
    masked_blocks,
    parts_table,
    saved_cell,
)
from repr_toolkit.page.blocks import Block, Cell, Notes, Row, Table
from repr_toolkit.page.cells import Numbers, nats_cell, number_cell, spanned, with_remark
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.choose import OTHER_H
from repr_toolkit.support.tables import per_cent, plain

KINDS = {
    "without": ("a decoder without h", f"bits that own h saves to it: {USABLE}"),
    "hidden": ("all of h hidden", "bits that own h saves to the same decoder"),
    "shuffled": ("h of another image", "bits that it costs more than own h"),
    "mean_h": ("the mean of all h", "bits that it costs more than own h"),
}
"""What own h is held against: its key in the numbers' `saves`, its name, and what is counted."""


def blocks(kept: Mapping[str, Kept]) -> list[Block]:
    """The table of bits, their maps, what single parts of h are worth, and what all this is."""
    numbers = {name: result.numbers for name, result in kept.items()}
    return [
        _table(numbers),
        *_maps(kept),
        *_by_position(numbers),
        *_parts(numbers),
        Notes(_notes(numbers)),
    ]


def _table(numbers: Mapping[str, Numbers]) -> Table:
    results = list(numbers.values())
    needs, bounds = "Bits an image", "Lower bounds, bits"
    rows = [
        Row("m", [Cell(f"{result['h_dim']:,}") for result in results], "numbers in h", needs),
        Row(
            "effective m",
            [Cell(plain(result.get("effective_dimension"), 1)) for result in results],
            "directions in which h varies, as if alike in each",
            needs,
        ),
        Row(
            "own h",
            [Cell(plain(result["bits"], 1), result["likelihood"]) for result in results],
            "bits of an image given its h",
            needs,
        ),
        Row(
            "own h, bits/dim",
            [number_cell(result["bits_per_dim"]) for result in results],
            "the same a sub-pixel",
            needs,
        ),
        Row(
            "own h, nats",
            [nats_cell(result["bits_per_dim"], result) for result in results],
            "of an image of two levels given its h",
            needs,
        ),
    ]
    for kind, (title, about) in KINDS.items():
        cells = [_saved(result["saves"].get(kind), kind == "without") for result in results]
        rows.append(Row(title, cells, about, needs))
    for key, of in (("lower_bound", "x; h"), ("label_lower_bound", "x; label")):
        of_runs = [result[key] for result in results]
        rows.append(bound_row(of, of_runs, results[0]["split"], bounds))
        ends = [result[key] and plain(result[key]["ceiling"]) for result in results]
        cells = [Cell(end) if end else Cell() for end in ends]
        rows.append(Row("at most", cells, "what this bound can say", bounds))
    caption = (
        f"{spanned(result['images'] for result in results)} {results[0]['split']} images, "
        f"{spanned(result['levels'] for result in results)} levels."
    )
    return Table(caption, list(numbers), [row for row in rows if not row.empty])


def _saved(saved: Numbers | None, usable: bool) -> Cell:
    """Bits that own h saves, usable ones or not, and the share of images on which it saves any."""
    if saved is None:
        return Cell()
    cell = saved_cell(saved) if usable else bits_cell(saved)
    return with_remark(cell, f"on {per_cent(saved['share_of_images'])} % of images")


def _maps(kept: Mapping[str, Kept]) -> list[Block]:
    """All runs' maps of the same images on one scale; a row of pictures for each set of images."""
    blocks: list[Block] = []
    groups: dict[tuple[str, bytes], list[str]] = {}
    for name, result in kept.items():
        kind = next((kind for kind in KINDS if f"saved_{kind}" in result.arrays), None)
        if kind is not None:
            images = np.ascontiguousarray(result.arrays["image"]).tobytes()
            groups.setdefault((kind, images), []).append(name)
    for (kind, _), names in groups.items():
        arrays = [kept[name].arrays for name in names]
        title = f"bits that own h saves a pixel, against {KINDS[kind][0]}"
        means = np.stack([maps[f"saved_{kind}"] for maps in arrays])
        single = np.stack([maps[f"shown_{kind}"] for maps in arrays])
        image, levels = arrays[0]["image"], int(arrays[0]["levels"])
        blocks += map_pictures(names, means, single, image, levels, title)
    return blocks


def _by_position(numbers: Mapping[str, Numbers]) -> list[Block]:
    """Bits saved by the time that a pixel is coded, against what all runs were held against."""
    saves = {name: result["saves"] for name, result in numbers.items()}
    saves = {n: kinds for n, kinds in saves.items() if "cumulative" in kinds["mean_h"]}
    kind = next(k for k in KINDS if all(k in kinds for kinds in saves.values()))
    totals = {name: kinds[kind]["cumulative"] for name, kinds in saves.items()}
    return curves("position", totals, KINDS[kind][0])


def _parts(numbers: Mapping[str, Numbers]) -> list[Block]:
    """Of each run a chart of its parts of h by what they are worth, and tables of the first."""
    blocks: list[Block] = []
    for number, (name, result) in enumerate(numbers.items()):
        masked = result["masked"]
        parts = masked["coordinates"] if masked else result["sensitivity"]["parts"]
        what = "bits of each coordinate" if masked else "sensitivity to each part of h"
        axis = "bits lost without it" if masked else "bits, if it is another image’s"
        blocks.append(bars(f"parts{number}", f"{name}: {what}", parts, axis, number))
    sensitive = {name: result["sensitivity"]["parts"] for name, result in numbers.items()}
    caption = (
        "Sensitivity: bits that an image costs more if one number of h, or one principal "
        "direction, is another image’s."
    )
    blocks.append(parts_table(caption, sensitive))
    return blocks + masked_blocks({name: result["masked"] for name, result in numbers.items()})


def _notes(numbers: Mapping[str, Numbers]) -> list[str]:
    """What the numbers are, and what they are not."""
    kinds = {kind for result in numbers.values() for kind in result["saves"]}
    notes = [
        "What own h saves is counted by one decoder and paired by image. Against another image’s "
        "h or the mean h it is a **control, not information**: the decoder never learnt to code "
        f"without its h, and the wrong h misleads it. It must be above 0. {OTHER_H}",
    ]
    if "without" in kinds:
        notes.append(
            "Against a decoder without h it is *usable* information of this decoder family at this "
            "budget, CE(x) − CE(x|h), if both decoders are of it (Xu et al. 2020, "
            "arXiv:2002.10689); no bound of the mutual information, which for a deterministic "
            "encoder is H(h) and says nothing. **One pair of trainings allows no verdict**: two "
            "trainings of one decoder may lie further apart than the interval says, which is over "
            "images; `repr-toolkit frozen` trains three pairs and shows how far. The fair null is "
            "given h = 0 of the same dimension (`repr_toolkit.encoders.Constant`): an "
            "unconditional one lacks the maps that tell positions apart, too."
        )
    for name, result in numbers.items():
        if unlike := result.get("without_unlike"):
            notes.append(
                f"{name} and its decoder without h differ in {', '.join(unlike)} besides: what "
                "that is worth is counted for h, or against it."
            )
    notes += [
        bound_note(
            next(iter(numbers.values()))["split"],
            [r[key] for r in numbers.values() for key in ("lower_bound", "label_lower_bound")],
        ),
        "Sensitivity is to single parts of h. The h that are put together so need not be any "
        "image’s, so it is no information.",
    ]
    if any(result["masked"] for result in numbers.values()):
        notes.append(MASKED_NOTE)
    return notes
