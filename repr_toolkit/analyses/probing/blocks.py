"""What h tells of labels and attributes: every probe under one protocol, with its baselines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repr_toolkit.page.blocks import (
    NONE,
    Block,
    Cell,
    Heading,
    Notes,
    Paragraph,
    Row,
    Section,
    Table,
)
from repr_toolkit.page.cells import interval_cell
from repr_toolkit.report.inputs import Analysis, Reported
from repr_toolkit.report.missing import missing
from repr_toolkit.support.tables import per_cent, plain

PROBES = {
    "logistic": ("logistic regression", "a linear classifier"),
    "ridge": ("ridge regression", "a linear fit"),
    "knn": ("nearest neighbours", "a vote of the closest training images"),
    "mlp": ("small network", "one hidden layer"),
}

Numbers = Mapping[str, Any]
Columns = Mapping[str, Mapping[str, Numbers]]  # readings by probe, by column


def probes(found: Reported) -> Section:
    """A table for each target and protocol; runs that were probed alike are columns of one."""
    kept = found.analyses("probe")
    shared = found.shared_analysis("probe")
    blocks = _tables({**({"": shared} if shared is not None else {}), **kept})
    blocks += missing(found, "probe", kept, "what probes read from h")
    lead = (
        "How well simple classifiers, trained on h alone, name what is on images that they were "
        "not trained on. A probe of an untrained encoder and one of the pixels show what reading "
        "h is worth."
    )
    return Section("probes", "Probes", lead, blocks)


def _tables(kept: Mapping[str, Analysis]) -> list[Block]:
    blocks: list[Block] = []
    readings = [
        Target(run, analysis.numbers, target)
        for run, analysis in kept.items()
        for target in analysis.numbers["targets"]
    ]
    targets = dict.fromkeys(of.numbers["name"] for of in readings)
    groups = _alike(readings)
    said = [_protocol(group) for group in groups]
    common = [note for note in said[0] if all(note in notes for notes in said)] if said else []
    apart = len(groups) > len(targets)
    if apart:
        blocks.append(
            Paragraph(
                "The runs were not all probed alike: images, seed or probes differ. Those that "
                "were share a table; numbers of different tables cannot be compared."
            )
        )
    for group, notes in zip(groups, said, strict=True):
        runs = ", ".join(dict.fromkeys(of.run for of in group if of.run)) if apart else ""
        name = group[0].numbers["name"] if len(targets) > 1 else ""
        if runs or name:
            blocks.append(Heading(": ".join(filter(None, [runs, name]))))
        columns = _columns(group)
        blocks += [_scores(group[0], columns), *_codes(group[0], columns)]
        own = [note for note in notes if note not in common]
        blocks += [Notes(own)] if own else []
    return [*blocks, Notes(common)] if common else blocks


@dataclass(frozen=True)
class Target:
    """What was found of a target with one run: the analysis, and its part on the target."""

    run: str
    analysis: Numbers
    numbers: Numbers

    @property
    def protocol(self) -> Numbers:
        """What was fixed before anything was seen."""
        found: Numbers = self.analysis.get("protocol") or {}
        return found

    @property
    def likeness(self) -> str:
        """What is equal of targets whose readings may stand in one table, under one caption."""
        keys = ("data", "fingerprint", "levels", "split", "seed", "protocol")
        of_target = ("name", "kind", "classes", "images", "baseline")
        parts = [self.analysis.get(key) for key in keys]
        return json.dumps([parts, [self.numbers.get(key) for key in of_target]], sort_keys=True)


def _alike(targets: Sequence[Target]) -> list[list[Target]]:
    """Those that may share a table, together; a target's tables follow each other."""
    names = [*dict.fromkeys(of.numbers["name"] for of in targets)]
    groups: dict[str, list[Target]] = {}
    for of in sorted(targets, key=lambda of: names.index(of.numbers["name"])):
        groups.setdefault(of.likeness, []).append(of)
    return [*groups.values()]


def _columns(group: Sequence[Target]) -> Columns:
    """By column the readings of a representation by probe: the runs' own, untrained ones, pixels.

    One that was probed with several runs is one column, and two of one name but of different makers
    are told apart by their runs.
    """
    found: dict[tuple[str, str], dict[str, Numbers]] = {}
    runs: dict[tuple[str, str], str] = {}
    for of in group:
        made_by = {r["name"]: r["made_by"] for r in of.analysis.get("representations", ())}
        for reading in of.numbers["readings"]:
            name = reading["representation"]
            which = (name, made_by.get(name, ""))
            found.setdefault(which, {}).setdefault(reading["probe"], reading)
            runs.setdefault(which, of.run)
    order = sorted(found, key=lambda which: (which[0] == "pixels", "untrained" in which[0]))
    names = [name for name, _ in order]
    return {
        which[0] if names.count(which[0]) == 1 else f"{which[0]} ({runs[which]})": found[which]
        for which in order
    }


def _scores(of: Target, columns: Columns) -> Table:
    first = of.numbers
    per = 100 if first["kind"] == "classification" else 1
    digits = 1 if per == 100 else 3
    measure = "accuracy, %" if per == 100 else first["measure"]

    def score(reading: Numbers | None) -> Cell:
        if reading is None or "value" not in reading:
            return Cell()
        interval = reading.get("interval")
        return interval_cell(
            per * reading["value"], interval and [per * bound for bound in interval], digits
        )

    rows = []
    for probe, (title, about) in PROBES.items():
        readings = [found.get(probe) for found in columns.values()]
        rows.append(Row(title, [*map(score, readings)], about, measure.capitalize()))
        told = [_control((reading or {}).get("control")) for reading in readings]
        rows.append(Row("… selectivity", told, "more than on random labels", measure.capitalize()))
    base = score(first["baseline"]["score"])
    titles = {"majority": "always the most frequent", "mean": "always the mean"}
    title = titles.get(first["baseline"]["name"], first["baseline"]["name"])
    rows.append(Row(title, [base] * len(columns), "knows nothing of h", measure.capitalize()))
    counts = first["images"]
    seed = of.analysis.get("seed")
    caption = (
        f"Read from h: {first['name']}. Fitted on {counts['train']:,} images, settings chosen on "
        f"{counts['val']:,}, scored on {counts['test']:,}{'' if seed is None else f', seed {seed}'}"
        "; in small print the 95 % interval."
    )
    return Table(caption, [*columns], [row for row in rows if not row.empty], corner="Probe")


def _control(control: Numbers | None) -> Cell:
    """How much more than on random labels; where nothing recurs, what was learnt of those alone."""
    if not control:
        return Cell()
    accuracy = per_cent(control["accuracy"])
    if control.get("selectivity") is None:
        return Cell(NONE, f"random labels, training {accuracy}")
    return Cell(per_cent(control["selectivity"]), f"random labels {accuracy}")


def _codes(of: Target, columns: Columns) -> list[Block]:
    """How many bits the labels take, sent to somebody who has h."""
    told = {column: found["mdl"] for column, found in columns.items() if "mdl" in found}
    told = {column: reading for column, reading in told.items() if "bits" in reading}
    if not told:
        return []
    alone = of.numbers["baseline"].get("bits")
    readings = told.values()
    rows = [
        Row(
            "bits to send the labels",
            [interval_cell(r["bits"], r.get("interval"), 0) for r in readings],
            "fewer: h tells the label sooner and surer",
        ),
        Row(
            "knowing the frequencies alone",
            [Cell(plain(alone, 0))] * len(told),
            "bits without h, label by label",
        ),
        Row(
            "uniform code",
            [Cell(plain(r["uniform_bits"], 0)) for r in readings],
            "bits of somebody who knows nothing",
        ),
        Row(
            "compression",
            [Cell(plain(r["compression"])) for r in readings],
            "of the uniform code; 1 is no help",
        ),
    ]
    code = of.protocol.get("mdl", {})
    orders = len(code.get("orders", ()))
    caption = f"The length of an online code of the training images’ {of.numbers['name']}, given h"
    if orders > 1:
        caption += f": the mean of {orders} orders; in small print the interval, {code['interval']}"
    elif orders:
        caption += ", in one order, and so without an interval"
    rows = [row for row in rows if not row.empty]
    return [Table(f"{caption}.", [*told], rows)]


def _protocol(group: Sequence[Target]) -> list[str]:
    """What was fixed before anything was seen, and what could not be probed."""
    of = group[0]
    notes = []
    if "standardisation" in of.protocol:
        notes.append(f"h is standardised: {of.protocol['standardisation']}.")
    covers = of.protocol.get("interval", {}).get("covers", "")
    if covers:
        notes.append(f"The interval of an accuracy or R² covers {covers}.")
    if any(_control_of_nothing(reading) for of in group for reading in of.numbers["readings"]):
        notes.append(
            "Random labels, training: where nothing recurs there are no images to test random "
            "labels on; this is the accuracy on the training images themselves, and there is no "
            "selectivity."
        )
    left = [skip for of in group for skip in of.analysis.get("skipped", ())]
    skipped = {skip["name"]: skip["why"] for skip in left}
    return notes + [f"Not probed: {name}, since {why}." for name, why in skipped.items()]


def _control_of_nothing(reading: Numbers) -> bool:
    control: Numbers | None = reading.get("control")
    return bool(control and control.get("selectivity") is None)
