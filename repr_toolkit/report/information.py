"""What h tells of an image in bits: of each run by its own decoder, of frozen h by fresh ones."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from repr_toolkit.report.blocks import (
    Block,
    Cell,
    Chart,
    Heading,
    Notes,
    Paragraph,
    Picture,
    Row,
    Section,
    Table,
)
from repr_toolkit.report.cells import bits_cell, per_cent, plain, spanned
from repr_toolkit.report.charts import Series, bar_chart, line_chart
from repr_toolkit.report.found import Analysis, Reported
from repr_toolkit.report.missing import missing
from repr_toolkit.report.pictures import (
    end_of,
    overlay,
    scale_of,
    shown,
    signed_bar,
    tiled,
)

KINDS = {
    "without": ("a decoder without h", "bits that own h saves to it: usable information"),
    "hidden": ("all of h hidden", "bits that own h saves to the same decoder"),
    "shuffled": ("h of another image", "bits that it costs more than own h"),
    "mean_h": ("the mean of all h", "bits that it costs more than own h"),
}
PARTS = 16  # bars of a chart
POINTS = 160  # of a curve

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
    frozen = found.shared_analysis("information")
    if frozen is not None and "sources" in frozen.numbers:
        blocks += [Heading("Frozen h, fresh decoders"), *frozen_study(frozen)]
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
        cells = [_bound(of.get(key)) for of in numbers]
        about = "lower bound of the mutual information"
        rows.append(Row(title, cells, about, "Lower bounds, bits"))
    caption = (
        f"{spanned(of['images'] for of in numbers)} {numbers[0]['split']} images; in "
        "small print the 95 % interval over images. A bound at its ceiling says no more than the "
        "ceiling."
    )
    return Table(caption, names, [row for row in rows if not row.empty])


def _bound(of: Numbers | None) -> Cell:
    cell = bits_cell(of)
    if of is None or not of.get("saturated"):
        return cell
    return Cell(cell.text, f"at its ceiling, {plain(of['ceiling'])}")


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


def map_pictures(
    names: Sequence[str], means: Any, single: Any, images: Any, levels: int, title: str
) -> list[Block]:
    """Mean maps (runs, C, H, W) side by side, and those of images (runs, n, C, H, W) below them.

    Each run has a scale of colours of its own, once for its mean map and once for those of images:
    on a common one the map of a run that saves less would show nothing.
    """
    mean_ends = [end_of(of[None]) for of in means]
    mean_image = np.rint(images.mean(0)).astype(np.uint8)
    drawn = [
        overlay(of[None], mean_image[None], levels, end)
        for of, end in zip(means, mean_ends, strict=True)
    ]
    png, size = tiled(np.concatenate(drawn, axis=1), gap=2)
    average = Picture(
        png,
        size,
        f"Maps of {title}, averaged over the images, by {', '.join(names)}; the most is in "
        f"{'; '.join(_place(of) for of in means)}.",
        f"The mean map of each model: {title}.",
        scale=scale_of(images.shape, 140),
        pixelated=True,
        bar=signed_bar(None, "bits a pixel, to the ± over each map"),
        columns=_with_ends(names, mean_ends),
    )
    rows = [shown(images[None], levels)]
    ends = [end_of(of) for of in single]
    rows += [overlay(of, images, levels, end) for of, end in zip(single, ends, strict=True)]
    png, size = tiled(np.concatenate(rows))
    each = Picture(
        png,
        size,
        f"Top row: {len(images)} images. Below, one row each for {', '.join(names)}: the same "
        f"images in pale grey under maps of {title}.",
        "Single images: the map lies over the image, and is clear where h makes no difference.",
        scale=scale_of(images.shape),
        pixelated=True,
        bar=signed_bar(None, "bits a pixel, to the ± beside each row"),
        rows=["image", *_with_ends(names, ends)],
    )
    return [average, each]


def _with_ends(names: Sequence[str], ends: Sequence[float]) -> list[str]:
    """Names with the end of each one's scale of colours."""
    return [f"{name} (±{end:.2g})" for name, end in zip(names, ends, strict=True)]


def _place(saved: Any) -> str:
    """Where a mean map (C, H, W) has the most, in words."""
    of_pixels = saved.sum(0)
    row, column = np.unravel_index(int(of_pixels.argmax()), of_pixels.shape)
    parts = []
    for at, length, names in (
        (row, of_pixels.shape[0], ("upper", "middle", "lower")),
        (column, of_pixels.shape[1], ("left", "centre", "right")),
    ):
        parts.append(names[min(2, int(3 * at / length))])
    return f"the {' '.join(parts)}"


def _by_position(kept: Mapping[str, Analysis], order: Sequence[str]) -> list[Block]:
    """Bits saved by the time that a pixel is coded."""
    series: list[Series] = []
    against = ""
    for name, analysis in kept.items():
        saves = analysis.numbers["saves"]
        kind = next((k for k in KINDS if "cumulative" in saves.get(k, {})), None)
        if kind is None or against not in ("", kind):
            continue
        against = kind
        total = saves[kind]["cumulative"]
        at = np.unique(np.linspace(0, len(total) - 1, POINTS).round().astype(int))
        x, y = [float(i + 1) for i in at], [float(total[i]) for i in at]
        series.append(Series(name, x, y, order.index(name)))
    if not series:
        return []
    ends = "; ".join(f"{line.name} ends at {line.y[-1]:.1f}" for line in series)
    alt = f"Bits saved so far over the pixels coded: {ends}."
    svg = line_chart("position", alt, series, x="pixels coded, row by row", y="bits saved so far")
    caption = f"When h saves its bits, against {KINDS[against][0]}"
    return [Chart(svg, caption)]


def _parts(kept: Mapping[str, Analysis], order: Sequence[str]) -> list[Block]:
    """A chart of bars for each run: the coordinates or directions of h by what they are worth."""
    blocks: list[Block] = []
    for number, (name, analysis) in enumerate(kept.items()):
        masked = analysis.numbers.get("masked")
        sensitivity = analysis.numbers["sensitivity"]
        parts = masked["coordinates"] if masked else sensitivity["parts"]
        if not parts:
            continue
        what = "bits of each coordinate" if masked else "sensitivity to each part of h"
        axis = "bits lost without it" if masked else "bits, if it is another image’s"
        colour = order.index(name)
        blocks.append(bars(f"parts{number}", f"{name}: {what}", parts, axis, colour))
    if blocks:
        blocks.append(
            Paragraph(
                "Sensitivity is what it costs to exchange one number of h, or one principal "
                "direction, with another image’s. It is no information: the h that are put "
                "together so need not be any image’s."
            )
        )
    return blocks


def bars(prefix: str, caption: str, parts: Sequence[Numbers], axis: str, colour: int = 0) -> Chart:
    """Parts of h by their bits, the first `PARTS` of them."""
    first = parts[:PARTS]
    values = [part["bits"] for part in first]
    limits = [(part["low"], part["high"]) for part in first]
    more = f", the first {PARTS} of {len(parts)}" if len(parts) > PARTS else ""
    alt = f"{caption}, in bits: " + ", ".join(
        f"{part['name']} {plain(part['bits'])}" for part in first
    )
    names = [part["name"] for part in first]
    return Chart(
        bar_chart(prefix, alt, names, values, limits, x=axis, colour=colour), caption + more
    )


def frozen_study(frozen: Analysis) -> list[Block]:
    """A study of frozen h: fresh decoders of one kind and budget, one on each."""
    numbers = frozen.numbers
    sources: Sequence[Numbers] = numbers["sources"]
    names = [of["name"] for of in sources]

    def row(label: str, about: str, cell: Callable[[Numbers], Cell]) -> Row:
        return Row(label, [cell(of) for of in sources], about)

    rows = [
        row("m", "numbers in h", lambda of: Cell(f"{of['dim']:,}")),
        row(
            "bits saved",
            "to a decoder without h: usable information",
            lambda of: bits_cell(of["usable"], digits=1),
        ),
        row("minus the best", "paired by image", lambda of: bits_cell(of["minus_best"], digits=1)),
        row(
            "h of another image",
            "bits that it costs more than own h",
            lambda of: bits_cell(of["shuffled_costs"], digits=1),
        ),
        row(
            "I(x; h) ≥",
            "lower bound of the mutual information",
            lambda of: _bound(of["lower_bound"]),
        ),
    ]
    caption = (
        f"Bits an image of {numbers['data']}, {numbers['split']} images: one decoder of the same "
        f"kind on each frozen h, {numbers['steps']:,} steps, {len(numbers['seeds'])} seed"
        f"{'s' if len(numbers['seeds']) > 1 else ''}; the one without h needs "
        f"{plain(numbers['null_bits'], 1)} bits."
    )
    blocks: list[Block] = [Table(caption, names, [row for row in rows if not row.empty])]
    arrays = frozen.arrays
    if "saved_map" in arrays:
        with_maps = [str(name) for name in arrays["names"]]
        title = "bits that frozen h saves a pixel, against no h"
        maps = (arrays["saved_map"], arrays["shown"], arrays["image"], int(arrays["levels"]))
        blocks += map_pictures(with_maps, *maps, title)
    for number, of in enumerate(sources):
        if of.get("masked"):
            caption = f"{of['name']}: bits of each coordinate"
            parts = of["masked"]["coordinates"]
            blocks.append(bars(f"frozen{number}", caption, parts, "bits lost without it"))
    if numbers.get("what"):
        blocks.append(Notes([numbers["what"]]))
    return blocks
