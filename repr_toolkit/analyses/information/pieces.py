"""Bits of h as pictures, charts and cells, alike for a run's own decoder and for fresh ones."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from repr_toolkit.page.blocks import Block, Cell, Chart, Picture
from repr_toolkit.page.cells import bits_cell
from repr_toolkit.page.charts import Series, bar_chart, line_chart
from repr_toolkit.page.pictures import end_of, overlay, scale_of, shown, signed_bar, tiled
from repr_toolkit.support.tables import plain

PARTS = 16  # bars of a chart
POINTS = 160  # of a curve

Numbers = Mapping[str, Any]


def interval_of(bits: Iterable[Numbers], bounds: Iterable[Numbers | None] = ()) -> str:
    """What the intervals of bits and of lower bounds cover, in a table's small print."""
    told = f"In small print the 95 % interval: {covers(bits)}."
    of_bounds = covers(bound for bound in bounds if bound)
    return f"{told} Of lower bounds: {of_bounds}." if of_bounds else told


def covers(bits: Iterable[Numbers]) -> str:
    """What intervals take into account and what they leave out, as it is kept with them."""
    said = dict.fromkeys(str(of.get("interval", "over images")) for of in bits)
    return " or ".join(text.removeprefix("95 %, ") for text in said)


def bound_cell(of: Numbers | None) -> Cell:
    """A lower bound, which says so where it is at its ceiling."""
    cell = bits_cell(of)
    if of is None or not of.get("saturated"):
        return cell
    return Cell(cell.text, f"at its ceiling, {plain(of['ceiling'])}")


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


def curves(
    prefix: str, totals: Mapping[str, Sequence[float]], against: str, order: Sequence[str]
) -> list[Block]:
    """Bits saved by the time that a pixel is coded; ``order`` says which colours names have."""
    if not totals:
        return []
    places = [*order, *(name for name in totals if name not in order)]
    series: list[Series] = []
    for name, total in totals.items():
        at = np.unique(np.linspace(0, len(total) - 1, POINTS).round().astype(int))
        x, y = [float(i + 1) for i in at], [float(total[i]) for i in at]
        series.append(Series(name, x, y, places.index(name)))
    ends = "; ".join(f"{line.name} ends at {line.y[-1]:.1f}" for line in series)
    alt = f"Bits saved so far over the pixels coded: {ends}."
    svg = line_chart(prefix, alt, series, x="pixels coded, row by row", y="bits saved so far")
    return [Chart(svg, f"When h saves its bits, against {against}")]


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
