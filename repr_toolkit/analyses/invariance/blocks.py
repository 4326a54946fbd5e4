"""What h leaves open and what it fixes: samples of one h, judged, encoded again, and neighbours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from repr_toolkit.page.blocks import Block, Cell, Notes, Picture, Row, Table
from repr_toolkit.page.cells import number_cell, share_of, spanned, with_chance
from repr_toolkit.page.pictures import heat, heat_bar, scale_of, shown, tiled
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.tables import plain

SAMPLES, NEAREST = 4, 3  # that a picture shows of each image

Numbers = Mapping[str, Any]


def blocks(kept: Mapping[str, Kept]) -> list[Block]:
    """The table of agreement, re-encoding and neighbours, and pictures of what varies."""
    numbers = {name: result.numbers for name, result in kept.items()}
    return [
        _table(list(numbers), list(numbers.values())),
        Notes(_notes(numbers)),
        *_deviations(kept),
        *_nearest(kept),
    ]


def _table(names: Sequence[str], results: Sequence[Numbers]) -> Table:
    keys = [result["judge"]["key"] for result in results if result["judge"]]
    key = " or ".join(dict.fromkeys(keys)) or "label"
    k = spanned([result["neighbours"]["k"] for result in results if result["neighbours"]] or [0])
    groups = {
        "agreement": f"Samples judged by a classifier of the {key}, %",
        "judge": f"Samples judged by a classifier of the {key}, %",
        "reencoding": "Samples encoded again",
        "neighbours": f"The {k} nearest training images, %",
    }
    best = "how often the classifier is right: the most to hope for"
    numbers = (
        ("judged as their image is", "", "agreement", "with_source", "with_source_chance"),
        ("pairs judged alike", "two samples of one h", "agreement", "among", "among_chance"),
        ("the images themselves", "those whose h is taken", "agreement", "originals", ""),
        ("real images", best, "judge", "accuracy", "chance"),
        ("nearest h is their own, %", "", "reencoding", "nearest_is_own", "chance"),
        (
            "distance to own h",
            "1 is that to other images’ h",
            "reencoding",
            "relative_distance",
            "",
        ),
        (
            "by h, also by pixels",
            "among the nearest by both",
            "neighbours",
            "overlap",
            "overlap_chance",
        ),
        (f"same {key}, by h", "", "neighbours", "by_h", "agreement_chance"),
        (f"same {key}, by pixels", "", "neighbours", "by_pixels", "agreement_chance"),
    )
    still = "× 10³, intensities in [0, 1]; 0 if samples cannot differ"
    rows = [
        Row(label, [Cell(plain(1000 * r[name], 1)) for r in results], about, "Samples of one h")
        for label, name, about in (
            ("variance of a pixel", "variance", still),
            ("among real images", "data_variance", "× 10³, the same of unrelated images"),
        )
    ]
    rows += [
        Row(label, [_cell(result, part, name, chance) for result in results], about, groups[part])
        for label, about, part, name, chance in numbers
    ]
    temperatures = dict.fromkeys(f"{result['temperature']:g}" for result in results)
    caption = (
        f"{spanned(result['images'] for result in results)} {results[0]['split']} images, "
        f"{spanned(result['samples'] for result in results)} samples of each h at temperature "
        f"{' or '.join(temperatures)}. In brackets the 95 % interval, and what chance gives."
    )
    return Table(caption, names, [row for row in rows if not row.empty])


def _notes(numbers: Mapping[str, Numbers]) -> list[str]:
    """What could not be measured, and what the intervals are."""
    reasons: dict[str, list[str]] = {}
    for name, result in numbers.items():
        for part, why in result["missing"].items():
            reasons.setdefault(f"no {part}: {why}", []).append(name)
    still = [name for name, result in numbers.items() if result["samples"] == 1]
    if still:
        why = "one sample of each h, since at temperature 0 they cannot differ"
        reasons[why] = still
    return [
        *(f"{', '.join(names)}: {reason}." for reason, names in reasons.items()),
        "Intervals take one image's samples or neighbours together, and leave out the spread "
        "between trainings of the judge. Chance is the same held against other images; of real "
        "images, the share of the most frequent code.",
    ]


def _cell(result: Numbers, part: str, name: str, chance: str) -> Cell:
    """A share in per cent, beside that of its key `chance`, if there is one; or the distance."""
    numbers = result[part] or {}
    if not numbers.get(name) or (name == "among" and result["samples"] < 2):
        return Cell()
    if name == "relative_distance":
        return number_cell(numbers[name])
    share = share_of(numbers[name])
    return with_chance(share, numbers[chance]) if chance in numbers else share


def _deviations(kept: Mapping[str, Kept]) -> list[Block]:
    """Of each run a few images, samples of their h, and how much each pixel varies among them."""
    varying = {
        name: result.arrays
        for name, result in kept.items()
        if "variance" in result.arrays and result.arrays["variance"].any()
    }
    if not varying:
        return []
    deviation = {name: np.sqrt(arrays["variance"].mean(1)) for name, arrays in varying.items()}
    end = max(float(np.quantile(values, 0.995)) for values in deviation.values())
    if end == 0:  # so few pixels vary
        end = max(float(values.max()) for values in deviation.values())
    blocks: list[Block] = []
    for name, arrays in varying.items():
        count, levels = min(SAMPLES, arrays["sample"].shape[1]), int(arrays["levels"])
        rows = [shown(arrays["image"][None], levels)]
        rows += [shown(arrays["sample"][:, number][None], levels) for number in range(count)]
        rows.append(heat(deviation[name], end))
        png, size = tiled(np.concatenate(rows))
        blocks.append(
            Picture(
                png,
                size,
                f"{name}: top row, {len(arrays['image'])} images; below, {count} samples of each "
                "one’s h; last row, the standard deviation of each pixel among the samples, "
                f"at the most {np.max(deviation[name]):.2f}.",
                f"**{name}**: images, samples of their h, and where the samples differ.",
                scale=scale_of(arrays["image"].shape, 56),
                pixelated=True,
                bar=heat_bar(end, "standard deviation of a pixel among samples"),
                rows=["image", *["sample"] * count, "s.d."],
            )
        )
    return blocks


def _nearest(kept: Mapping[str, Kept]) -> list[Block]:
    """The training images nearest to a few held-out ones, by each run's h and by pixels."""
    blocks: list[Block] = []
    with_near = {
        name: result.arrays for name, result in kept.items() if "nearest_h" in result.arrays
    }
    groups: dict[bytes, list[str]] = {}
    for name, arrays in with_near.items():
        groups.setdefault(np.ascontiguousarray(arrays["image"]).tobytes(), []).append(name)
    for names in groups.values():
        first = with_near[names[0]]
        levels, count = int(first["levels"]), min(NEAREST, first["nearest_h"].shape[1])
        rows, labels = [shown(first["image"][None], levels)], ["image"]
        finds = [(f"by {name}", with_near[name]["nearest_h"]) for name in names]
        for label, images in [*finds, ("by pixels", first["nearest_pixels"])]:
            rows += [shown(images[:, rank][None], levels) for rank in range(count)]
            labels += [label, *[""] * (count - 1)]
        png, size = tiled(np.concatenate(rows))
        sources = ", ".join([*(f"the h of {name}" for name in names), "pixels"])
        blocks.append(
            Picture(
                png,
                size,
                f"Top row: {len(first['image'])} held-out images. Below, {count} rows each: the "
                f"training images nearest to them by {sources}.",
                f"The {count} nearest training images, the nearest first.",
                scale=scale_of(first["image"].shape, 56),
                pixelated=True,
                rows=labels,
            )
        )
    return blocks
