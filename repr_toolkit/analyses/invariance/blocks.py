"""What h leaves open and what it fixes: samples of one h, judged, encoded again, and neighbours."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from repr_toolkit.page.blocks import Block, Cell, Picture, Row, Section, Table
from repr_toolkit.page.cells import per_cent, plain, share_cell, spanned
from repr_toolkit.page.pictures import heat, heat_bar, scale_of, shown, tiled
from repr_toolkit.report.inputs import Analysis, Reported
from repr_toolkit.report.missing import missing

SAMPLES, NEAREST = 4, 3  # that a picture shows of each image

Numbers = Mapping[str, Any]


def invariance(found: Reported) -> Section:
    """The table of agreement, re-encoding and neighbours, and pictures of what varies."""
    kept = found.analyses("invariance")
    blocks: list[Block] = []
    if kept:
        blocks.append(_table(list(kept), [analysis.numbers for analysis in kept.values()]))
        blocks += _deviations(kept)
        blocks += _nearest(kept)
    blocks += missing(found, "invariance", kept, "what h leaves open")
    lead = (
        "Several pictures are drawn from one h. What they share, h has fixed; what differs among "
        "them, it leaves open."
    )
    return Section("invariance", "What h fixes, and what it leaves open", lead, blocks)


def _table(names: Sequence[str], numbers: Sequence[Numbers]) -> Table:
    keys = [of["judge"]["key"] for of in numbers if of.get("judge")]
    key = " or ".join(dict.fromkeys(keys)) or "label"
    k = spanned([of["neighbours"]["k"] for of in numbers if of.get("neighbours")] or [0])
    drawn, judged = "Samples of one h", f"Samples judged by a classifier of the {key}, %"
    coded, near = "Samples encoded again", f"The {k} nearest training images, %"

    def row(label: str, group: str, about: str, cell: Callable[[Numbers], Cell]) -> Row:
        return Row(label, [cell(of) for of in numbers], about, group)

    rows = [
        row(
            "variance of a pixel",
            drawn,
            "× 10³, intensities in [0, 1]; 0 if samples cannot differ",
            lambda of: Cell(plain(1000 * of["variance"], 1)),
        ),
        row(
            "among real images",
            drawn,
            "the same of unrelated images",
            lambda of: Cell(plain(1000 * of["data_variance"], 1)),
        ),
        row("what the image is", judged, "", _agreement("with_source")),
        row(
            "pairs judged alike",
            judged,
            "two samples of one h",
            lambda of: Cell() if of["samples"] < 2 else _agreement("among")(of),
        ),
        row(
            "real images",
            judged,
            "how often the classifier is right: the most to hope for",
            lambda of: _share(of["judge"] and of["judge"]["accuracy"]),
        ),
        row(
            "nearest h is their own, %",
            coded,
            "",
            lambda of: _against(of.get("reencoding"), "nearest_is_own", "chance"),
        ),
        row(
            "distance to own h",
            coded,
            "1 is that to other images’ h",
            lambda of: (
                Cell()
                if not of.get("reencoding")
                else Cell(plain(of["reencoding"]["relative_distance"]["mean"]))
            ),
        ),
        row(
            "by h, also by pixels",
            near,
            "found by both",
            lambda of: _against(of.get("neighbours"), "overlap", "overlap_chance"),
        ),
        row(
            f"same {key}, by h",
            near,
            "",
            lambda of: _against(of.get("neighbours"), "by_h", "agreement_chance"),
        ),
        row(
            f"same {key}, by pixels",
            near,
            "",
            lambda of: _against(of.get("neighbours"), "by_pixels", "agreement_chance"),
        ),
    ]
    caption = (
        f"{spanned(of['images'] for of in numbers)} {numbers[0]['split']} images, "
        f"{spanned(of['samples'] for of in numbers)} samples of each h. In small print "
        "the 95 % interval, and what chance would give."
    )
    return Table(caption, names, [row for row in rows if not row.empty])


def _agreement(key: str) -> Callable[[Numbers], Cell]:
    return lambda of: _against(of.get("agreement"), key, f"{key}_chance")


def _share(share: Numbers | None) -> Cell:
    return Cell() if not share else share_cell(share["share"], share["low"], share["high"])


def _against(of: Numbers | None, key: str, chance: str) -> Cell:
    """A share, and below it its interval and what chance would give."""
    if not of or not of.get(key):
        return Cell()
    cell = _share(of[key])
    by_chance = of.get(chance)
    told = "" if by_chance is None else f"; chance {per_cent(by_chance)}"
    return Cell(cell.text, cell.detail + told)


def _deviations(kept: Mapping[str, Analysis]) -> list[Block]:
    """Of each run a few images, samples of their h, and how much each pixel varies among them."""
    varying = {
        name: analysis.arrays
        for name, analysis in kept.items()
        if "variance" in analysis.arrays and analysis.arrays["variance"].any()
    }
    if not varying:
        return []
    deviation = {name: np.sqrt(of["variance"].mean(1)) for name, of in varying.items()}
    end = max(float(np.quantile(of, 0.995)) for of in deviation.values())
    if end == 0:  # so few pixels vary
        end = max(float(of.max()) for of in deviation.values())
    blocks: list[Block] = []
    for name, of in varying.items():
        count, levels = min(SAMPLES, of["sample"].shape[1]), int(of["levels"])
        rows = [shown(of["image"][None], levels)]
        rows += [shown(of["sample"][:, number][None], levels) for number in range(count)]
        rows.append(heat(deviation[name], end))
        png, size = tiled(np.concatenate(rows))
        blocks.append(
            Picture(
                png,
                size,
                f"{name}: top row, {len(of['image'])} images; below, {count} samples of each "
                "one’s h; last row, the standard deviation of each pixel among the samples, "
                f"at the most {np.max(deviation[name]):.2f}.",
                f"**{name}**: images, samples of their h, and where the samples differ.",
                scale=scale_of(of["image"].shape, 56),
                pixelated=True,
                bar=heat_bar(end, "standard deviation of a pixel among samples"),
                rows=["image", *["sample"] * count, "s.d."],
            )
        )
    return blocks


def _nearest(kept: Mapping[str, Analysis]) -> list[Block]:
    """The training images nearest to a few held-out ones, by each run's h and by pixels."""
    blocks: list[Block] = []
    with_near = {name: of.arrays for name, of in kept.items() if "nearest_h" in of.arrays}
    groups: dict[bytes, list[str]] = {}
    for name, of in with_near.items():
        groups.setdefault(np.ascontiguousarray(of["image"]).tobytes(), []).append(name)
    for names in groups.values():
        first = with_near[names[0]]
        levels, count = int(first["levels"]), min(NEAREST, first["nearest_h"].shape[1])
        rows, labels = [shown(first["image"][None], levels)], ["image"]
        finds = [(f"by {name}", with_near[name]["nearest_h"]) for name in names]
        for label, images in [*finds, ("by pixels", first["nearest_pixels"])]:
            rows += [shown(images[:, rank][None], levels) for rank in range(count)]
            labels += [label, *[""] * (count - 1)]
        png, size = tiled(np.concatenate(rows))
        told = ", ".join([*(f"the h of {name}" for name in names), "pixels"])
        blocks.append(
            Picture(
                png,
                size,
                f"Top row: {len(first['image'])} held-out images. Below, {count} rows each: the "
                f"training images nearest to them by {told}.",
                f"The {count} nearest training images, the nearest first.",
                scale=scale_of(first["image"].shape, 56),
                pixelated=True,
                rows=labels,
            )
        )
    return blocks
