"""A study of frozen h as blocks: the bits that each saves a decoder of one kind and budget."""

from collections.abc import Mapping, Sequence
from typing import Any

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
    saved_cell,
    verdict_cell,
)
from repr_toolkit.analyses.information.usable import LEAST_SEEDS
from repr_toolkit.page.blocks import Block, Cell, Chart, Notes, Row, Table
from repr_toolkit.page.cells import Numbers
from repr_toolkit.page.charts import Series, line_chart
from repr_toolkit.page.intervals import interval_notes, numbers_of
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.choose import OTHER_H
from repr_toolkit.support.nats import nats_for_a_bit
from repr_toolkit.support.tables import plain

TITLE = "Frozen h, fresh decoders"
LEAD = (
    "Which h saves a decoder the most bits, whatever made it: decoders of one kind are trained on "
    "each frozen h, and on h = 0 of the same dimension, with the same images and steps."
)
AGAINST = "a decoder given h = 0"


def blocks(kept: Mapping[str, Kept], order: Sequence[str] = ()) -> list[Block]:
    """The tables, maps and charts of studies; `order` says which colours the names of runs have."""
    return [block for study in kept.values() for block in _blocks(study, order)]


def _blocks(study: Kept, order: Sequence[str]) -> list[Block]:
    numbers, arrays = study.numbers, study.arrays
    sources = {source["name"]: source for source in numbers["sources"]}
    blocks: list[Block] = [_table(numbers, sources), *_learning(sources, order)]
    if "saved_map" in arrays:
        names = [str(name) for name in arrays["names"]]
        title = "bits that frozen h saves a pixel, against h = 0"
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
    blocks += masked_blocks(masked, noise_floor(numbers))
    notes = _notes(numbers, bool(masked), "saved_map" in arrays)
    return [*blocks, Notes([*notes, *interval_notes(numbers_of(blocks))])]


def _in_other_units(bits: float, numbers: Numbers) -> str:
    """Bits of an image a sub-pixel, and where it has two levels as nats."""
    bits /= numbers["dims"]
    nats = nats_for_a_bit(numbers["dims"], numbers["levels"])
    return f"{plain(bits, 4)} a dim" + (f"; {plain(bits * nats, 1)} nats" if nats else "")


def _table(numbers: Numbers, sources: Mapping[str, Numbers]) -> Table:
    every = list(sources.values())
    nulls = {null["dim"]: float(np.mean(null["bits_of_seeds"])) for null in numbers["nulls"]}
    of_null = [nulls[source["dim"]] for source in every]

    best = next((name for name, source in sources.items() if not source["control"]), "the best")
    rows = [
        Row("m", [Cell(f"{source['dim']:,}") for source in every], "numbers in h"),
        Row(
            "h = 0",
            [Cell(plain(bits, 1), _in_other_units(bits, numbers)) for bits in of_null],
            "bits of an image given m zeros: the null",
        ),
        Row(
            "own h",
            [
                Cell(plain(source["bits"], 1), _in_other_units(source["bits"], numbers))
                for source in every
            ],
            "bits of an image given its h",
        ),
        Row("bits saved", [saved_cell(source["usable"]) for source in every], USABLE),
        Row(
            "verdict",
            [verdict_cell(s["usable"], "saves bits", "saves none") for s in every],
            "on bits saved, those given h = 0 less those given own h: where the t interval over "
            f"{LEAST_SEEDS} pairs of trainings or more excludes 0",
        ),
        Row(
            "minus the best",
            [bits_cell(s["minus_best"]) for s in every],
            f"bits saved less those that {best} saves, image by image",
        ),
        Row(
            "verdict, to the best",
            [verdict_cell(s["minus_best"], "saves more", "saves fewer") for s in every],
            f"on bits saved less those that {best} saves, by pairs of trainings, as above",
        ),
        Row(
            "rise at the end",
            [_rise(source["curve"]) for source in every],
            "bits saved more after the last quarter of training, on validation images",
        ),
        Row(
            "h of another image",
            [bits_cell(source["shuffled_costs"]) for source in every],
            "bits that it costs more than own h",
        ),
    ]
    bounds = [source["lower_bound"] for source in every]
    rows.append(bound_row("x; h", bounds, numbers["split"]))
    seeds = len(numbers["seeds"])
    upper = "" if numbers["likelihood"] == "exact" else f" ({numbers['likelihood']})"
    caption = (
        f"Bits an image{upper}, of {numbers['images']:,} {numbers['split']} images of "
        f"{numbers['data']}, {numbers['levels']} levels: decoders of one kind on each frozen h, "
        f"{numbers['steps']:,} steps, {seeds} seed{'s' if seeds > 1 else ''}. "
        f"{noise_floor(numbers)} {_control(numbers)}"
    )
    columns = [f"{name} (control)" if s["control"] else name for name, s in sources.items()]
    return Table(caption, columns, [row for row in rows if not row.empty])


def noise_floor(numbers: Numbers) -> str:
    """How far nulls lie apart, which have nothing in h to differ by."""
    every = [bits for null in numbers["nulls"] for bits in null["bits_of_seeds"]]
    if len(every) < 2:
        return "Noise floor: unknown, as there is one null."
    each = "; ".join(
        f"m = {null['dim']}: {', '.join(plain(bits, 1) for bits in null['bits_of_seeds'])}"
        for null in numbers["nulls"]
    )
    spread = plain(max(every) - min(every), 1)
    return f"Noise floor: decoders given h = 0 lie {spread} bits apart ({each})."


def _control(numbers: Numbers) -> str:
    """What the positive control saves, and what it is worth at least."""
    for source in numbers["sources"]:
        if source["control"]:
            saved, worth = source["usable"]["bits"]["value"], numbers["control_worth"]
            said = f"Positive control: {source['name']}, the {source['made_by']}, saves "
            if worth is None:
                return f"{said}{plain(saved, 1)} bits."
            return (
                f"{said}{plain(saved, 1)} bits; whoever makes use of all of it saves at least "
                f"{plain(worth, 1)}."
            )
    return "No positive control was trained."


def _rise(curve: Numbers | None) -> Cell:
    if curve is None or curve["rise"] is None:
        return Cell()
    return Cell(plain(curve["rise"], 1), "still rises" if curve["rising"] else "")


def mean_curve(source: Numbers) -> tuple[list[float], list[float]]:
    """The steps of a source's learning curve, and the bits saved at each, the mean over seeds."""
    curve = source["curve"]
    return [*map(float, curve["steps"])], np.mean(curve["of_seeds"], 0).tolist()


def _learning(sources: Mapping[str, Numbers], order: Sequence[str]) -> list[Block]:
    """Bits saved on validation images over the steps of training, if they were measured."""
    places = list(dict.fromkeys([*order, *sources]))
    series = [
        Series(name, *mean_curve(source), places.index(name), dots=True)
        for name, source in sources.items()
        if source["curve"]
    ]
    if not series:
        return []
    ends = "; ".join(f"{line.name} ends at {line.y[-1]:.1f}" for line in series)
    alt = f"Bits saved on validation images over the steps of training: {ends}."
    svg = line_chart("frozen-learning", alt, series, x="step", y="bits saved")
    return [Chart(svg, f"Bits saved on validation images, against {AGAINST}, mean over seeds")]


def _notes(numbers: Numbers, masked: bool, maps: bool) -> list[str]:
    """What a reader has to know of the numbers."""
    bound = numbers["sources"][0]["lower_bound"]
    notes = [
        numbers["what"],
        f"Every decoder was trained for {numbers['steps']:,} steps (seeds "
        f"{', '.join(map(str, numbers['seeds']))}) on h that is frozen and standardised by "
        "training images. Where the curve of a source still rises it is worth more to a decoder "
        "that is trained for longer, and an order of sources may change.",
        "verdict: Student’s interval over pairs of trainings, in brackets, says whether other "
        f"trainings would find the same on these images. Fewer than {LEAST_SEEDS} pairs allow "
        "none, whatever the interval over images.",
        "Positive control: the exact means of blocks of pixels. Who knows a mean and all pixels "
        "but one knows that one, so these means are worth at least what the null pays for the last "
        "pixel of each block. A decoder that saves less does not make use of all of its h, and the "
        "other columns may be worth more than they show, too.",
        f"h of another image: {OTHER_H} At or below 0 the decoder makes nothing of h.",
    ]
    note = bound_note(numbers["split"], [bound])
    if bound:
        note = f"{note} Here it is of the first seed, and at most {plain(bound['ceiling'])} bits."
    notes.append(note)
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
    nulls = {null["dim"]: null["bits_of_seeds"] for null in numbers["nulls"]}
    lines = []
    for source in numbers["sources"]:
        line: dict[str, Any] = {
            "source": source["name"],
            "control": source["control"],
            "dim": source["dim"],
            **{key: numbers[key] for key in ("data", "split", "levels", "images")},
            "seeds": len(numbers["seeds"]),
            "bits": source["bits"],
            "null_bits": float(np.mean(nulls[source["dim"]])),
        }
        for column, key, kind in (
            ("usable_bits", "usable", "bits"),
            ("usable_over_seeds", "usable", "over_seeds"),
            ("minus_best", "minus_best", "bits"),
            ("minus_best_over_seeds", "minus_best", "over_seeds"),
            ("shuffled_costs", "shuffled_costs", "bits"),
            ("lower_bound", "lower_bound", "bits"),
        ):
            bits = (source[key] or {}).get(kind) or {}
            line[column] = bits.get("value")
            line[f"{column}_low"], line[f"{column}_high"] = bits.get("low"), bits.get("high")
        curve = source["curve"] or {}
        line["rise"], line["rising"] = curve.get("rise"), curve.get("rising")
        line["lower_bound_ceiling"] = (source["lower_bound"] or {}).get("ceiling")
        line["made_by"] = source["made_by"]
        lines.append(line)
    return lines
