"""Strips of pictures as h moves along directions, and how far and where to they move."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from repr_toolkit.analyses.probing.classifiers import beyond
from repr_toolkit.analyses.traversal.directions import DEVIATIONS, DIFFERENCE, alpha_text
from repr_toolkit.page.blocks import Block, Cell, Folded, Heading, Notes, Row, Strip, Table
from repr_toolkit.page.cells import share_of
from repr_toolkit.page.pictures import scale_of, shown, tiled
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.stats import Number
from repr_toolkit.support.tables import number_text, plain

GAP = 2  # pixels between two frames of a strip
OPEN = 4  # strips of a run that are seen at once
UNITS = {
    DEVIATIONS: "α counts standard deviations of the training images’ h along the direction.",
    DIFFERENCE: "Along `mean` α = 1 is the way from the mean h without the class or attribute to "
    "the mean h with it.",
}
"""What α counts, by `Direction.unit`."""

Numbers = Mapping[str, Any]


def blocks(kept: Mapping[str, Kept]) -> list[Block]:
    """Each run's strips and tables, and what their numbers mean."""
    blocks: list[Block] = []
    for name, result in kept.items():
        if kept.keys() - {name}:
            blocks.append(Heading(name))
        blocks += [*_strips(name, result), _changes(name, result.numbers)]
        blocks += _judged(name, result.numbers)
    return [*blocks, Notes(_notes([result.numbers for result in kept.values()]))]


def _strips(name: str, result: Kept) -> list[Block]:
    """A strip for each direction; those after the first `OPEN` are folded away."""
    strips: list[Strip] = []
    arrays, numbers = result.arrays, result.numbers
    if "frames" not in arrays:
        return []
    for frames, along in zip(arrays["frames"], numbers["directions"], strict=True):
        png, size = tiled(shown(frames, int(arrays["levels"])), gap=GAP)  # (N, S, C, H, W)
        count, alphas = len(frames), along["alphas"]
        labels = [f"α = {alpha_text(alpha)}" for alpha in alphas]
        title = f"**{along['name']}**; α counts {along['unit']}"
        title += "; h keeps its length" if numbers["keep_length"] else ""
        alt = (
            f"{count} image{'s' if count > 1 else ''} of {name}, one a row, as h moves along "
            f"{along['name']} from {labels[0]} to {labels[-1]}."
        )
        strips.append(
            Strip(
                png,
                size,
                labels,
                [alpha_text(alpha) for alpha in alphas],
                int(np.argmin(np.abs(alphas))),
                title,
                alt,
                f"α along {along['name']} of {name}",
                gap=GAP,
                scale=scale_of(frames.shape, 56),
            )
        )
    rest = strips[OPEN:]
    title = f"{len(rest)} more direction{'s' if len(rest) > 1 else ''} of {name}"
    return [*strips[:OPEN], *([Folded(title, rest)] if rest else [])]


def _changes(name: str, numbers: Numbers) -> Table:
    """How far each direction goes in h, and how far the pictures go with it."""
    rows = []
    for along in numbers["directions"]:
        first, last = (alpha_text(along["alphas"][end]) for end in (0, -1))
        change = Cell(plain(float(np.mean(along["change"])), 4)) if along["change"] else Cell()
        cells = [Cell(f"{first} … {last}"), Cell(plain(along["scale"], 3)), change]
        rows.append(Row(along["name"], cells, f"α counts {along['unit']}"))
    caption = f"{name}: directions in the h of {numbers['train_images']:,} training images of "
    caption += numbers["data"] + ("; h keeps its length." if numbers["keep_length"] else ".")
    if numbers["measured_images"]:
        caption += (
            f" How far {numbers['measured_images']:,} {numbers['split']} images change from a "
            "step to the next, in intensities of [0, 1]"
        )
        apart = numbers["between_images"]
        caption += "." if apart is None else f"; two real images differ by {plain(apart, 4)}."
    return Table(caption, ["α", "scale", "change a step"], rows, corner="Direction")


def _judged(name: str, numbers: Numbers) -> list[Block]:
    """How many pictures a judge takes for the class or the attribute that h moves to.

    A table for all directions that are shown at the same α.
    """
    rows: dict[tuple[str, ...], list[Row]] = {}
    for along in numbers["directions"]:
        if along["judged"]:
            places = _shown_steps(along["alphas"])
            columns = tuple(f"α = {alpha_text(along['alphas'][place])}" for place in places)
            cells = [share_of(along["judged"][place]) for place in places]
            rows.setdefault(columns, []).append(Row(along["name"], cells))
    judges = " and ".join(
        f"a classifier of {judge['key']}, trained on {judge['train_images']:,} real images and "
        f"right on {number_text(Number.from_dict(judge['accuracy']), 100, 1)} % of "
        f"{judge['test_images']:,} real {judge['split']} images"
        for judge in numbers["judges"]
    )
    caption = (
        f"{name}: pictures judged to have the attribute, %, with 95 % interval, of "
        f"{numbers['measured_images']:,} images, by {judges}."
    )
    return [Table(caption, columns, alike, corner="Direction") for columns, alike in rows.items()]


def _notes(results: Sequence[Numbers]) -> list[str]:
    """What α counts, and what its intervals are."""
    directions = [along for numbers in results for along in numbers["directions"]]
    used = {along["unit"] for along in directions}
    notes = [text for unit, text in UNITS.items() if unit in used]
    notes += beyond(
        f"{along['name']} ({', '.join(along['at_end'])})"
        for along in directions
        if along.get("at_end")
    )
    if any(0 in along["alphas"] for along in directions):
        notes.append("At α = 0 stands the image’s own reconstruction.")
    if any(along["judged"] for along in directions):
        notes.append("Intervals leave out the spread between trainings of the judge.")
    return notes


def _shown_steps(alphas: Sequence[float]) -> list[int]:
    """The places of the first α, of the one nearest to 0 (the lower of two), and of the last.

    The second only where it is neither of the others.

    >>> _shown_steps([-3, -1.5, 0, 1.5, 3]), _shown_steps([-3, -1, 1, 3]), _shown_steps([-1, 1])
    ([0, 2, 4], [0, 1, 3], [0, 1])
    """
    nearest = min(range(len(alphas)), key=lambda place: abs(alphas[place]))
    return [0, *({nearest} - {0, len(alphas) - 1}), len(alphas) - 1]
