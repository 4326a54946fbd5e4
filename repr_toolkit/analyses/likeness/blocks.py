"""Whether portraits keep the person: how faces match the people, and a few portraits."""

from collections.abc import Mapping

from repr_toolkit.analyses.likeness.matching import PIXELS, SAME
from repr_toolkit.page.blocks import Block, Notes, Picture, Row, Table
from repr_toolkit.page.cells import Numbers, number_cell, spanned
from repr_toolkit.page.pictures import scale_of, shown, tiled
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.stats import Number
from repr_toolkit.support.tables import number_text


def blocks(kept: Mapping[str, Kept]) -> list[Block]:
    """The table of all runs' faces, and a picture of each run's portraits."""
    results = {name: result.numbers for name, result in kept.items()}
    return [
        _table(results),
        *_closer(results),
        Notes(_notes(results)),
        *(_portraits(name, result) for name, result in kept.items() if result.arrays),
    ]


def _table(results: Mapping[str, Numbers]) -> Table:
    people = spanned(result["people"] for result in results.values())
    columns = {
        "AUC": ("match", "auc"),
        f"rank 1 of {people}": ("match", "rank_1"),
        "AUC, hard": ("match", "auc_hard"),
        "second, AUC": ("second", "auc"),
        "second, hard": ("second", "auc_hard"),
    }
    rows = [
        Row(
            row["faces"],
            [number_cell((row[by] or {}).get(key), digits=3) for by, key in columns.values()],
            group=f"{'' if results.keys() == {name} else f'{name}, '}against {gallery_of(row)}",
        )
        for name, result in results.items()
        for row in result["rows"]
    ]
    first = next(iter(results.values()))
    caption = (
        f"Faces matched with {people} people of the {first['split']} split; in brackets the 95 % "
        "interval."
    )
    return Table(caption, list(columns), rows, corner="faces")


def _closer(results: Mapping[str, Numbers]) -> list[Table]:
    """How much closer portraits are to the person than a training face, if it was measured."""
    rows = [
        Row(
            row["faces"],
            [number_cell(row[by], 100) for by in ("match", "second")],
            group=f"{'' if results.keys() == {name} else f'{name}, '}against {row['gallery']}",
            intervals=True,
        )
        for name, result in results.items()
        for row in result.get("closer", ())
    ]
    caption = (
        "Closer to the person than the most similar training face: of how many more of 100 other "
        "people a portrait is less like than of its own person, than that face is; paired by "
        "person, with the 95 % interval over people."
    )
    return [Table(caption, ["by the first", "by the second"], rows, corner="faces")] if rows else []


def gallery_of(row: Numbers) -> str:
    """What faces were matched with; kept results that do not say it had the same photograph."""
    gallery: str = row.get("gallery", SAME)
    return gallery


def _notes(results: Mapping[str, Numbers]) -> list[str]:
    """What the numbers are, and how near the portraits are to training images."""
    judges = " or ".join(dict.fromkeys(result.get("judge", PIXELS) for result in results.values()))
    copies = {name: result["copies"] for name, result in results.items() if "copies" in result}
    return [
        "AUC: the chance that a face is more similar to its person than another face is to another "
        "person. rank 1: the share of faces whose most similar person is their own. hard: against "
        f"the ten most similar other people only. second: by {judges}, which had no part in "
        "the portraits.",
        "Portraits are drawn from one photograph of each person. Matched with that same one they "
        "are alike in pose, light and blur too; how like the person they are, another photograph "
        "tells.",
        "Real faces say what the numbers of portraits mean: the most similar training face is what "
        "a model that only repeats its training images could show at best.",
        "Intervals are over people, who take their faces along: of the AUC by the jackknife.",
        *(_of_copies(name, **of_faces) for name, of_faces in copies.items()),
    ]


def _of_copies(name: str, portraits: Numbers, real: Numbers) -> str:
    """Whether portraits are nearer to training images than to as many of other people."""

    def nearer(faces: Numbers) -> str:
        return f"{faces['training']:.4f} and {faces['others']:.4f}, nearer by " + number_text(
            Number(**faces["nearer"])
        )

    return (
        f"{name}: the mean distance to the nearest of {portraits['images']:,} training images, and "
        "to the nearest of as many images of other people, which nobody was trained on, is "
        f"{nearer(portraits)} of portraits, and {nearer(real)} of the people's real images. "
        "Distances are root mean squares of intensities in [0, 1], at the best of shifts by up to "
        "two pixels. A model that repeats training images draws portraits nearer to them than to "
        "the others, by more than real images are; where portraits are not, this finds no copies, "
        "which is no proof that there are none."
    )


def _portraits(name: str, result: Kept) -> Picture:
    pictures = result.arrays["pictures"]  # (people, n + 3, C, H, W)
    people, columns = pictures.shape[:2]
    png, size = tiled(shown(pictures, int(result.arrays["levels"])))
    return Picture(
        png,
        size,
        f"{name}: {people} rows of small pictures, each a person: the photograph, {columns - 3} "
        "portraits drawn from its embedding, the training image nearest to the first portrait in "
        "pixels, and the training face nearest to the photograph in embedding.",
        f"**{name}**: portraits of people of the split, and the nearest training images.",
        scale=scale_of(pictures.shape, 56),
        pixelated=True,
        columns=["photograph", *["portrait"] * (columns - 3), "by pixels", "by embedding"],
    )
