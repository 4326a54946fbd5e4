"""Bits of h as cells, tables, charts and pictures, alike for a run's own decoder and fresh ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from repr_toolkit.analyses.information.usable import LEAST_SEEDS
from repr_toolkit.page.blocks import Block, Cell, Chart, Picture, Row, Table
from repr_toolkit.page.cells import Numbers, number_cell, with_remark
from repr_toolkit.page.charts import Series, bar_chart, line_chart
from repr_toolkit.page.pictures import end_of, overlay, scale_of, shown, signed_bar, tiled
from repr_toolkit.support.tables import per_cent, plain

PARTS = 16  # bars of a chart
NAMED = 10  # parts of each column of a table
POINTS = 160  # of a curve

USABLE = "usable information of this decoder family at this budget"
TRUE_BOUND = (
    "**a true lower bound of the mutual information** (van den Oord et al. 2018, arXiv:1807.03748)"
)
NO_BOUND = (
    "**no bound of the mutual information here**, since the decoder was fitted to these images"
)
MASKED_NOTE = (
    "Masked: a decoder that was trained with random coordinates of h hidden, against itself. All "
    "of h: with all hidden. A coordinate: CE(x|h without it) − CE(x|h), so that coordinates that "
    "say the same are worth nothing beside each other."
)


def bound_note(split: str, bounds: Iterable[Numbers | None]) -> str:
    """What the lower bounds are on a split, on training images none, or why there is no bound."""
    if not any(bounds):
        return (
            "No lower bound of the mutual information: it takes one image a person, photograph or "
            "other group that images share, and of four groups at least."
        )
    return (
        "A lower bound is E log₂ q(x|h) / mean_j q(x|h_j) over candidates j, own h included (for "
        "labels, over all of them by their frequency), with Student’s interval over groups of "
        f"images that share candidates: {NO_BOUND if split == 'train' else TRUE_BOUND}. It is at "
        "most log₂ of the candidates’ number; at its ceiling it says no more."
    )


def bound_row(of: str, bounds: Sequence[Numbers | None], split: str, group: str = "") -> Row:
    """The row of lower bounds of the information between `of`, such as "x; h"."""
    title, about = f"I({of}) ≥", "lower bound of the mutual information"
    if split == "train":
        title, about = f"I({of}) fitted", "no bound: the decoder was fitted to these images"
    return Row(title, [*map(bound_cell, bounds)], about, group)


def bits_cell(numbers: Numbers | None) -> Cell:
    """The bits of what `as_dict` of `Usable`, `Bound` or `Part` gave."""
    return number_cell(numbers and numbers["bits"])


def saved_cell(usable: Numbers | None) -> Cell:
    """Usable bits, which say so where they are below 0."""
    cell = bits_cell(usable)
    if usable is None or usable["bits"]["value"] >= 0:
        return cell
    return with_remark(cell, "below 0: fit, not information")


def verdict_cell(usable: Numbers | None, more: str, fewer: str) -> Cell:
    """What pairs of trainings say of a difference in words, or why there are none."""
    if usable is None:
        return Cell()
    if usable["sign"] is None:
        return Cell("none", f"{len(usable['of_seeds'])} of at least {LEAST_SEEDS} seeds")
    words = {1: more, 0: "not told apart", -1: fewer}[usable["sign"]]
    return replace(number_cell(usable["over_seeds"]), text=words)


def bound_cell(bound: Numbers | None) -> Cell:
    """A lower bound, which says so where it is at its ceiling."""
    cell = number_cell(bound and bound["bits"], digits=2)
    if bound is None or not bound["saturated"]:
        return cell
    return with_remark(cell, f"at its ceiling, {plain(bound['ceiling'])}")


def masked_blocks(networks: Mapping[str, Numbers | None], remark: str = "") -> list[Block]:
    """What decoders with random coordinates hidden say, if there are any: a column each."""
    columns = {
        name: [{"name": "all of h", **network["against_own_null"]}, *network["coordinates"]]
        for name, network in networks.items()
        if network
    }
    caption = " ".join(
        filter(None, ["Masked: bits that an image costs more if this is hidden.", remark])
    )
    return [parts_table(caption, columns, NAMED + 1)] if columns else []


def parts_table(caption: str, columns: Mapping[str, Sequence[Numbers]], most: int = NAMED) -> Table:
    """Parts of h by their bits: a row for each of the first `most` of any column."""
    by_name = {
        name: {part["name"]: _part_cell(part) for part in parts} for name, parts in columns.items()
    }
    named = dict.fromkeys(part["name"] for parts in columns.values() for part in parts[:most])
    rows = [Row(part, [cells.get(part, Cell()) for cells in by_name.values()]) for part in named]
    left = max(len(cells.keys() - named.keys()) for cells in by_name.values())
    more = f" {left} of fewer bits are in the JSON." if left else ""
    return Table(f"{caption}{more}", [*columns], rows, corner="Part of h")


def _part_cell(part: Numbers) -> Cell:
    share = part.get("share_of_variance")
    cell = bits_cell(part)
    return cell if share is None else with_remark(cell, f"{per_cent(share)} % of the variance")


def map_pictures(
    names: Sequence[str], means: Any, single: Any, images: Any, levels: int, title: str
) -> list[Block]:
    """Mean maps (runs, C, H, W) side by side, and those of images (runs, n, C, H, W) below them.

    Each run has a scale of colours of its own, once for its mean map and once for those of images:
    on a common one the map of a run that saves less would show nothing.
    """
    mean_ends = [end_of(mean[None]) for mean in means]
    mean_image = np.rint(images.mean(0)).astype(np.uint8)
    drawn = [
        overlay(mean[None], mean_image[None], levels, end)
        for mean, end in zip(means, mean_ends, strict=True)
    ]
    png, size = tiled(np.concatenate(drawn, axis=1), gap=2)
    average = Picture(
        png,
        size,
        f"Maps of {title}, averaged over the images, by {', '.join(names)}; the most is in "
        f"{'; '.join(map(_place, means))}.",
        f"The mean map of each model: {title}.",
        scale=scale_of(images.shape, 140),
        pixelated=True,
        bar=signed_bar("bits a pixel, to the ± over each map"),
        columns=_with_ends(names, mean_ends),
    )
    rows = [shown(images[None], levels)]
    ends = [end_of(maps) for maps in single]
    rows += [overlay(maps, images, levels, end) for maps, end in zip(single, ends, strict=True)]
    png, size = tiled(np.concatenate(rows))
    each = Picture(
        png,
        size,
        f"Top row: {len(images)} images. Below, one row each for {', '.join(names)}: the same "
        f"images in pale grey under maps of {title}.",
        "Single images: the map lies over the image, and is clear where h makes no difference.",
        scale=scale_of(images.shape),
        pixelated=True,
        bar=signed_bar("bits a pixel, to the ± beside each row"),
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


def curves(
    prefix: str, totals: Mapping[str, Sequence[float]], against: str, order: Sequence[str] = ()
) -> list[Block]:
    """Bits saved by the time that a pixel is coded; `order` says which colours names have."""
    if not totals:
        return []
    places = list(dict.fromkeys([*order, *totals]))
    series: list[Series] = []
    for name, total in totals.items():
        at = np.unique(np.linspace(0, len(total) - 1, POINTS).round().astype(int))
        x, y = [float(i + 1) for i in at], [float(total[i]) for i in at]
        series.append(Series(name, x, y, places.index(name)))
    ends = "; ".join(f"{line.name} ends at {line.y[-1]:.1f}" for line in series)
    alt = f"Bits saved so far over the pixels coded: {ends}."
    svg = line_chart(prefix, alt, series, x="pixels coded, in their order", y="bits saved so far")
    return [Chart(svg, f"When h saves its bits, against {against}")]


def bars(prefix: str, caption: str, parts: Sequence[Numbers], axis: str, colour: int = 0) -> Chart:
    """Parts of h by their bits, the first `PARTS` of them."""
    names = [part["name"] for part in parts[:PARTS]]
    bits = [part["bits"] for part in parts[:PARTS]]
    values = [number["value"] for number in bits]
    ends = [
        (number.get("low", number["value"]), number.get("high", number["value"])) for number in bits
    ]
    more = f", the first {PARTS} of {len(parts)}" if len(parts) > PARTS else ""
    named = zip(names, values, strict=True)
    alt = f"{caption}, in bits: " + ", ".join(f"{name} {plain(value)}" for name, value in named)
    return Chart(bar_chart(prefix, alt, names, values, ends, x=axis, colour=colour), caption + more)
