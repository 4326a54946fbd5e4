"""A study of frozen h as blocks: the bits that each saves a decoder of one kind and budget."""

from collections.abc import Mapping, Sequence
from typing import Any

from repr_toolkit.analyses.information.pieces import (
    BOUND_NOTE,
    MASKED_NOTE,
    bars,
    bits_cell,
    bound_cell,
    curves,
    intervals,
    map_pictures,
    masked_blocks,
)
from repr_toolkit.page.blocks import Block, Cell, Notes, Row, Table
from repr_toolkit.page.cells import Numbers
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.choose import OTHER_H
from repr_toolkit.support.tables import plain

TITLE = "Frozen h, fresh decoders"
LEAD = (
    "Which h saves a decoder the most bits, whatever made it: one decoder of the same kind is "
    "trained on each frozen h, and one on none, with the same images and steps."
)
AGAINST = "a decoder without h"


def blocks(kept: Mapping[str, Kept], order: Sequence[str] = ()) -> list[Block]:
    """The tables, maps and charts of studies; `order` says which colours the names of runs have."""
    return [block for study in kept.values() for block in _blocks(study, order)]


def _blocks(study: Kept, order: Sequence[str]) -> list[Block]:
    numbers, arrays = study.numbers, study.arrays
    sources = {source["name"]: source for source in numbers["sources"]}
    blocks: list[Block] = [_table(numbers, sources)]
    if "saved_map" in arrays:
        names = [str(name) for name in arrays["names"]]
        title = "bits that frozen h saves a pixel, against no h"
        maps = (arrays["saved_map"], arrays["shown"], arrays["image"], int(arrays["levels"]))
        blocks += map_pictures(names, *maps, title)
    totals = {name: source["cumulative"] for name, source in sources.items()}
    totals = {name: total for name, total in totals.items() if total}
    blocks += curves("frozen-position", totals, AGAINST, order)
    masked = {name: source["masked"] for name, source in sources.items() if source["masked"]}
    for number, (name, network) in enumerate(masked.items()):
        caption = f"{name}: bits of each coordinate"
        parts = network["coordinates"]
        blocks.append(bars(f"frozen{number}", caption, parts, "bits lost without it"))
    blocks += masked_blocks(masked)
    return [*blocks, Notes(_notes(numbers, bool(masked), "saved_map" in arrays))]


def _table(numbers: Numbers, sources: Mapping[str, Numbers]) -> Table:
    every = list(sources.values())
    rows = [
        Row("m", [Cell(f"{source['dim']:,}") for source in every], "numbers in h"),
        Row(
            "needs",
            [Cell(plain(source["bits"], 1)) for source in every],
            "bits of an image given its h",
        ),
    ]
    for label, key, about in (
        ("bits saved", "usable", "to a decoder without h: usable information"),
        ("minus the best", "minus_best", "paired by image"),
        ("h of another image", "shuffled_costs", "bits that it costs more than own h"),
    ):
        rows.append(Row(label, [bits_cell(source[key]) for source in every], about))
    bounds = [source["lower_bound"] for source in every]
    rows.append(
        Row("I(x; h) ≥", [*map(bound_cell, bounds)], "lower bound of the mutual information")
    )
    at_most = "" if numbers["likelihood"] == "exact" else "at most "
    null, seeds = numbers["null_bits"], len(numbers["seeds"])
    each = ", ".join(plain(bits) for bits in numbers["null_bits_of_seeds"])
    caption = (
        f"Bits an image, of {numbers['images']:,} {numbers['split']} images of {numbers['data']}, "
        f"{numbers['levels']} levels: one decoder of the same kind on each frozen h, "
        f"{numbers['steps']:,} steps, {seeds} seed{'s' if seeds > 1 else ''}. The one without h "
        f"needs {at_most}{plain(null, 1)} bits, {plain(null / numbers['dims'], 4)} bits/dim"
        f"{f' (by seed: {each})' if seeds > 1 else ''}. "
        + intervals([source["usable"] for source in every], bounds)
    )
    return Table(caption, list(sources), [row for row in rows if not row.empty])


def _notes(numbers: Numbers, masked: bool, maps: bool) -> list[str]:
    """What a reader has to know of the numbers."""
    ceiling = plain(numbers["sources"][0]["lower_bound"]["ceiling"])
    notes = [
        numbers["what"],
        f"Every decoder was trained for {numbers['steps']:,} steps (seeds "
        f"{', '.join(map(str, numbers['seeds']))}) on h that is frozen and standardised by "
        "training images. Where one has not learnt what it could (its bits differ between seeds by "
        "more than chance, or are above a known entropy), train longer: what the decoder without h "
        "alone misses would be counted for h.",
        f"h of another image: {OTHER_H} At or below 0 the decoder makes nothing of h.",
        f"{BOUND_NOTE} Here it is of the first seed, and at most {ceiling} bits.",
    ]
    if masked:
        notes.append(MASKED_NOTE)
    if maps:
        notes.append(
            "Maps: bits saved at each pixel (summed over channels), given the pixels before it in "
            "the decoder’s order; violet where h saves bits, orange where it costs some. What h "
            "repeats of pixels that are known by then saves nothing."
        )
    notes.append(
        "frozen.json in the study’s folder has all numbers, of all seeds, each source minus each "
        "other too; frozen.npz has the maps, and the bits of every image."
    )
    return notes


def rows(study: Kept) -> list[dict[str, Any]]:
    """A line a source for CSV, all digits."""
    numbers = study.numbers
    lines = []
    for source in numbers["sources"]:
        line: dict[str, Any] = {
            "source": source["name"],
            "dim": source["dim"],
            **{key: numbers[key] for key in ("data", "split", "levels", "images")},
            "seeds": len(numbers["seeds"]),
            "bits": source["bits"],
            "null_bits": numbers["null_bits"],
        }
        for column, key in (
            ("usable_bits", "usable"),
            ("minus_best", "minus_best"),
            ("shuffled_costs", "shuffled_costs"),
            ("lower_bound", "lower_bound"),
        ):
            bits = source[key]["bits"] if source[key] else {}
            line[column] = bits.get("value")
            line[f"{column}_low"], line[f"{column}_high"] = bits.get("low"), bits.get("high")
        line["lower_bound_ceiling"] = source["lower_bound"]["ceiling"]
        line["made_by"] = source["made_by"]
        lines.append(line)
    return lines
