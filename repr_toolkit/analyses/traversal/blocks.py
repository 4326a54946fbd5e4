"""Moves in h: pictures as their h goes along directions, a slider for each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from repr_toolkit.analyses.traversal.table import alpha_text, told_steps
from repr_toolkit.page.blocks import Block, Cell, Folded, Heading, Row, Section, Strip, Table
from repr_toolkit.page.pictures import scale_of, shown, tiled
from repr_toolkit.report.inputs import Analysis, Reported
from repr_toolkit.report.missing import missing
from repr_toolkit.support.tables import per_cent

GAP = 2
OPEN = 4  # strips of a run that are seen at once

Numbers = Mapping[str, Any]


def moves(found: Reported) -> Section:
    """Every run's strips, under its name."""
    kept = found.analyses("moves")
    blocks: list[Block] = []
    for name, analysis in kept.items():
        if len(found.runs) > 1:
            blocks.append(Heading(name))
        blocks += _strips(name, analysis)
        blocks += _judged(analysis.numbers)
    blocks += missing(found, "moves", kept, "what moves in h do")
    lead = (
        "h is moved step by step along a direction, and decoded with the same noise at every "
        "step, so that only h changes."
    )
    alphas = [of["alphas"] for analysis in kept.values() for of in analysis.numbers["directions"]]
    if any(0 in of for of in alphas):
        lead += " At α = 0 stands the image’s own reconstruction."
    return Section("moves", "Moves in h", lead, blocks)


def _strips(name: str, analysis: Analysis) -> list[Block]:
    """A strip for each direction; those after the first `OPEN` are folded away."""
    strips: list[Strip] = []
    arrays, directions = analysis.arrays, analysis.numbers["directions"]
    if "frames" not in arrays:
        return []
    for frames, of in zip(arrays["frames"], directions, strict=True):  # (N, S, C, H, W)
        png, size = tiled(shown(frames, int(arrays["levels"])), gap=GAP)
        count = len(frames)
        labels = [f"α = {alpha_text(alpha)}" for alpha in of["alphas"]]
        title = f"**{of['name']}**; α counts {of['unit']}"
        if analysis.numbers.get("keep_length"):
            title += "; h keeps its length"
        alt = (
            f"{count} image{'s' if count > 1 else ''} of {name}, one a row, as h moves along "
            f"{of['name']} from {labels[0]} to {labels[-1]}{_change(of, analysis.numbers)}."
        )
        strips.append(
            Strip(
                png,
                size,
                labels,
                [alpha_text(alpha) for alpha in of["alphas"]],
                int(np.argmin(np.abs(of["alphas"]))),
                title,
                alt,
                f"α along {of['name']} of {name}",
                gap=GAP,
                scale=scale_of(frames.shape, 56),
            )
        )
    rest = strips[OPEN:]
    if not rest:
        return list(strips)
    title = f"{len(rest)} more direction{'s' if len(rest) > 1 else ''} of {name}"
    return [*strips[:OPEN], Folded(title, rest)]


def _change(of: Numbers, numbers: Numbers) -> str:
    if not of.get("change"):
        return ""
    step, apart = float(np.mean(of["change"])), numbers.get("between_images")
    against = f", where two real images differ by {apart:.3f}" if apart else ""
    return f"; a step changes intensities by {step:.3f} on average{against}"


def _judged(numbers: Numbers) -> list[Block]:
    """What a judge says of the frames of directions that belong to an attribute."""
    judged: Sequence[Numbers] = [of for of in numbers["directions"] if of.get("judged")]
    if not judged:
        return []

    def cell(share: Numbers) -> Cell:
        return Cell(
            per_cent(share["value"]), f"{per_cent(share['low'])} to {per_cent(share['high'])}"
        )

    steps = [told_steps(of["alphas"]) for of in judged]
    columns = _headings([of["alphas"] for of in judged], steps)
    rows = []
    for of, at in zip(judged, steps, strict=True):
        cells = [cell(of["judged"][step]) for step in at]
        if len(cells) < len(columns):
            cells.insert(1, Cell())
        told = ", ".join(alpha_text(of["alphas"][step]) for step in at)
        rows.append(Row(of["name"], cells, "" if columns[0].startswith("α") else f"α = {told}"))
    judges = " and ".join(
        f"a classifier of the {judge['key']} that is right on "
        f"{per_cent(judge['accuracy']['value'])} % of real images"
        for judge in numbers["judges"]
    )
    caption = (
        f"Pictures judged to have the attribute, %, of {numbers['measured_images']} images, "
        f"by {judges}."
    )
    return [Table(caption, columns, rows, corner="Direction")]


def _headings(alphas: Sequence[Sequence[float]], steps: Sequence[Sequence[int]]) -> list[str]:
    """The values of α of the judged steps; what steps they are, where directions differ in them."""
    told = {tuple(of[at] for at in at_steps) for of, at_steps in zip(alphas, steps, strict=True)}
    if len(told) == 1:
        return [f"α = {alpha_text(alpha)}" for alpha in told.pop()]
    between = {of[1] for of in told if len(of) > 2}
    if not between:
        return ["first α", "last α"]
    return ["first α", "α = 0" if between == {0} else "nearest to 0", "last α"]
