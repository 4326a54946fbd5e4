"""What h tells of labels and attributes: every probe under one protocol, with its baselines."""

from collections.abc import Mapping, Sequence
from typing import Any

from repr_toolkit.report.blocks import Block, Cell, Heading, Notes, Row, Section, Table
from repr_toolkit.report.cells import interval_cell, per_cent, plain
from repr_toolkit.report.found import Analysis, Reported
from repr_toolkit.report.missing import missing

PROBES = {
    "logistic": ("logistic regression", "a linear classifier"),
    "ridge": ("ridge regression", "a linear fit"),
    "knn": ("nearest neighbours", "a vote of the closest training images"),
    "mlp": ("small network", "one hidden layer"),
}

Numbers = Mapping[str, Any]


def probes(found: Reported) -> Section:
    """A table for each target of each run; runs of one data set are columns of one table."""
    kept = found.analyses("probe")
    blocks: list[Block] = []
    shared = found.shared_analysis("probe")
    if shared is not None:
        blocks += _tables({"": shared})
    blocks += _tables(kept)
    blocks += missing(found, "probe", kept, "what probes read from h")
    lead = (
        "How well simple classifiers, trained on h alone, name what is on images that they were "
        "not trained on. A probe of an untrained encoder and one of the pixels show what reading "
        "h is worth."
    )
    return Section("probes", "Probes", lead, blocks)


def _tables(kept: Mapping[str, Analysis]) -> list[Block]:
    blocks: list[Block] = []
    targets = dict.fromkeys(
        target["name"] for analysis in kept.values() for target in analysis.numbers["targets"]
    )
    for name in targets:
        if len(targets) > 1:
            blocks.append(Heading(name))
        of = [
            target
            for analysis in kept.values()
            for target in analysis.numbers["targets"]
            if target["name"] == name
        ]
        blocks.append(_scores(of))
        blocks += _codes(of)
    blocks += _protocol(kept)
    return blocks


def _columns(of: Sequence[Numbers]) -> list[str]:
    """The representations that were probed, each once: the runs' own, untrained ones, pixels."""
    names = dict.fromkeys(reading["representation"] for t in of for reading in t["readings"])
    return sorted(names, key=lambda name: (name == "pixels", "untrained" in name))


def _reading(of: Sequence[Numbers], representation: str, probe: str) -> Numbers | None:
    for target in of:
        for reading in target["readings"]:
            if (reading["representation"], reading["probe"]) == (representation, probe):
                found: Numbers = reading
                return found
    return None


def _scores(of: Sequence[Numbers]) -> Table:
    first, columns = of[0], _columns(of)
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
        cells = [score(_reading(of, column, probe)) for column in columns]
        rows.append(Row(title, cells, about, measure.capitalize()))
        controls = [(_reading(of, column, probe) or {}).get("control") for column in columns]
        told = [_control(control) for control in controls]
        rows.append(Row("… selectivity", told, "more than on random labels", measure.capitalize()))
    base = score(first["baseline"]["score"])
    titles = {"majority": "always the most frequent", "mean": "always the mean"}
    title = titles.get(first["baseline"]["name"], first["baseline"]["name"])
    rows.append(Row(title, [base] * len(columns), "knows nothing of h", measure.capitalize()))
    counts = first["images"]
    caption = (
        f"Read from h: {first['name']}. Fitted on {counts['train']:,} images, settings chosen on "
        f"{counts['val']:,}, scored on {counts['test']:,}; in small print the 95 % interval."
    )
    return Table(caption, columns, [row for row in rows if not row.empty], corner="Probe")


def _control(control: Numbers | None) -> Cell:
    if not control or control.get("selectivity") is None:
        return Cell()
    return Cell(per_cent(control["selectivity"]), f"random labels {per_cent(control['accuracy'])}")


def _codes(of: Sequence[Numbers]) -> list[Block]:
    """How many bits the labels take, sent to somebody who has h."""
    columns = _columns(of)
    readings = [_reading(of, column, "mdl") for column in columns]
    told = [(column, r) for column, r in zip(columns, readings, strict=True) if r and "bits" in r]
    if not told:
        return []
    rows = [
        Row(
            "bits to send the labels",
            [interval_cell(r["bits"], r.get("interval"), 0) for _, r in told],
            "fewer: h tells the label sooner and surer",
        ),
        Row(
            "compression",
            [Cell(plain(r["compression"])) for _, r in told],
            "against a code that knows nothing; 1 is no help",
        ),
        Row("without h", [Cell(plain(r["uniform_bits"], 0)) for _, r in told], "bits"),
    ]
    caption = f"The length of an online code of the training images’ {of[0]['name']}, given h."
    return [Table(caption, [column for column, _ in told], rows)]


def _protocol(kept: Mapping[str, Analysis]) -> list[Block]:
    """What was fixed before anything was seen."""
    for analysis in kept.values():
        protocol = analysis.numbers.get("protocol")
        if not protocol:
            continue
        covers = protocol.get("interval", {}).get("covers", "")
        notes = [f"h is standardised: {protocol['standardisation']}."]
        if covers:
            notes.append(f"An interval covers {covers}.")
        skipped = {skip["name"]: skip["why"] for skip in analysis.numbers.get("skipped", ())}
        notes += [f"Not probed: {name}, since {why}." for name, why in skipped.items()]
        return [Notes(notes)]
    return []
