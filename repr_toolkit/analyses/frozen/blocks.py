"""Studies of frozen h: how many bits each saves a fresh decoder of one kind and budget."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from repr_toolkit.analyses.information.pieces import (
    bars,
    bound_cell,
    curves,
    interval_of,
    map_pictures,
)
from repr_toolkit.page.blocks import Block, Cell, Heading, Notes, Row, Source, Table
from repr_toolkit.page.cells import bits_cell
from repr_toolkit.report.inputs import Analysis, Reported, read_analysis
from repr_toolkit.support.tables import plain

NAME = "information"
AGAINST = "a decoder without h"

Numbers = Mapping[str, Any]


def read_study(folder: str | Path, found: Reported) -> Analysis:
    """The study that `repr-toolkit information RECIPE SOURCE…` wrote to a folder.

    Raises FileNotFoundError for a folder without one, and ValueError for a file that is damaged, or
    of other images, levels or another split than the report.
    """
    folder = Path(folder)
    study = read_analysis(folder, NAME)
    if study is None or not study.numbers.get("sources"):
        raise FileNotFoundError(
            f"{folder} holds no study of frozen h; name the folder in which "
            "`repr-toolkit information RECIPE SOURCE…` wrote information.json"
        )
    split = study.numbers.get("split", found.split)
    if split != found.split:
        raise ValueError(
            f"{folder} was measured on {split} images and this report is of {found.split} images; "
            f"write it with --split {split}, or measure again by `repr-toolkit information … "
            f"--split {found.split}`"
        )
    for name, run in found.runs.items():
        if not study.is_of(run):
            raise ValueError(
                f"{folder} is of other images, or other levels of them, than {name} was trained "
                "on; name a study that `repr-toolkit information RECIPE "
                f"{run.path}` made with a recipe of those images"
            )
    return study


def study_of(found: Reported) -> Analysis | None:
    """The study of frozen h that was asked for, or else the one that lies with the runs."""
    study = found.study or found.shared_analysis(NAME)
    return study if study is not None and "sources" in study.numbers else None


def frozen(found: Reported) -> list[Block]:
    """The study of frozen h, or how to have one where there are several h to compare."""
    study = study_of(found)
    if study is not None:
        return [Heading("Frozen h, fresh decoders"), *frozen_study(study, list(found.runs))]
    if len(found.encoders) < 2:
        return []
    title = (
        "Not measured here: which frozen h saves a fresh decoder the most bits. To add it, with a "
        "RECIPE of these images:"
    )
    return [Source(title, "\n".join(map(shlex.join, study_commands(found))), folded=True)]


def study_commands(found: Reported) -> list[list[str]]:
    """A study of the h of all runs beside their folder, and the report that shows it."""
    folder, runs = found.folder, [str(run.path) for run in found.runs.values()]
    place = Path("runs") if folder is None else Path(runs[0]).parent.parent
    name = NAME if folder is None else f"{NAME}_{folder.name}"
    split = [] if found.split == "test" else ["--split", found.split]
    encoders = [
        f"{of.replace('/', '_')}={found.runs[of].path}" if "/" in of else str(found.runs[of].path)
        for of in found.encoders
    ]
    study = ["repr-toolkit", NAME, "RECIPE", *encoders, "--name", name, "--runs-dir", str(place)]
    report = ["repr-toolkit", "report", *runs, "--information", str(place / name)]
    return [study + split, report + split]


def frozen_study(study: Analysis, order: Sequence[str] = ()) -> list[Block]:
    """Fresh decoders of one kind and budget, one on each h; ``order`` gives runs their colours."""
    numbers = study.numbers
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
            lambda of: bound_cell(of["lower_bound"]),
        ),
    ]
    caption = (
        f"Bits an image of {numbers['data']}, {numbers['split']} images: one decoder of the same "
        f"kind on each frozen h, {numbers['steps']:,} steps, {len(numbers['seeds'])} seed"
        f"{'s' if len(numbers['seeds']) > 1 else ''}; the one without h needs "
        f"{plain(numbers['null_bits'], 1)} bits. "
        + interval_of([of["usable"] for of in sources], [of["lower_bound"] for of in sources])
    )
    blocks: list[Block] = [Table(caption, names, [row for row in rows if not row.empty])]
    arrays = study.arrays
    if "saved_map" in arrays:
        with_maps = [str(name) for name in arrays["names"]]
        title = "bits that frozen h saves a pixel, against no h"
        maps = (arrays["saved_map"], arrays["shown"], arrays["image"], int(arrays["levels"]))
        blocks += map_pictures(with_maps, *maps, title)
    totals = {of["name"]: of["cumulative"] for of in sources if of.get("cumulative")}
    blocks += curves("frozen-position", totals, AGAINST, order)
    for number, of in enumerate(sources):
        if of.get("masked"):
            caption = f"{of['name']}: bits of each coordinate"
            parts = of["masked"]["coordinates"]
            blocks.append(bars(f"frozen{number}", caption, parts, "bits lost without it"))
    if numbers.get("what"):
        blocks.append(Notes([numbers["what"]]))
    return blocks
