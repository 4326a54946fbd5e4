"""What h tells of labels and attributes: every probe under one protocol, with its baselines."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from repr_toolkit.analyses.probing.classifiers import PROBES, beyond, ends
from repr_toolkit.analyses.probing.mdl import over_orders
from repr_toolkit.analyses.probing.scores import Values, better
from repr_toolkit.page.blocks import Block, Cell, Heading, Notes, Paragraph, Row, Table
from repr_toolkit.page.cells import Numbers, number_cell, share_of, with_p
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.tables import NONE, per_cent, plain

WITHOUT_H = {"majority": "always the most frequent", "mean": "always the mean"}
RECURRING = {
    "identity": "each person has one, the same in the training images, which are fitted, and in "
    "the test images",
    "view": "each training image has one, the same in its copy shifted by a pixel, which is tested",
    "none": "nothing recurs, so that the accuracy is that on the training images themselves, and "
    "there is no selectivity",
}

Columns = Mapping[str, Mapping[str, Numbers]]  # readings by probe, by column


def blocks(kept: Mapping[str, Kept]) -> list[Block]:
    """A table for each target and protocol; runs that were probed alike are columns of one."""
    probed = [
        Probed(run, result.numbers, with_missed(target, number, result.arrays))
        for run, result in kept.items()
        for number, target in enumerate(result.numbers["targets"])
    ]
    targets = dict.fromkeys(one.target["name"] for one in probed)
    groups = _alike(probed)
    notes = [_notes(group) for group in groups]
    parted = len(groups) > len(targets)
    often = Counter(note for said in notes for note in said)
    enough = len(groups) if parted else min(2, len(groups))
    common = [note for note, times in often.items() if times >= enough]
    shown: list[Block] = []
    if parted:
        shown.append(
            Paragraph(
                "The runs were not all probed alike: images, seed or probes differ. Those that "
                "were share a table; numbers of different tables cannot be compared."
            )
        )
    for group, said in zip(groups, notes, strict=True):
        runs = ", ".join(dict.fromkeys(one.run for one in group if one.run)) if parted else ""
        name = group[0].target["name"] if len(targets) > 1 else ""
        if runs or name:
            shown.append(Heading(": ".join(filter(None, [runs, name]))))
        shown.append(_table(group[0], _columns(group)))
        particular = [note for note in said if note not in common]
        shown += [Notes(particular)] if particular else []
    return [*shown, Notes(common)] if common else shown


def with_missed(target: Numbers, number: int, arrays: Mapping[str, Values]) -> Numbers:
    """A target whose readings have what they `missed` of each image, where that was kept."""
    codes = arrays.get(f"group_{number}")
    readings = [
        {**reading, "missed": arrays.get(f"missed_{number}_{place}")}
        for place, reading in enumerate(target["readings"])
    ]
    groups = None if codes is None else (codes, target["groups"])
    return {
        **target,
        "readings": readings,
        "squares": arrays.get(f"squares_{number}"),
        "groups": groups,
    }


@dataclass(frozen=True)
class Probed:
    """What was read of one target with one run: all its numbers, and those of the target."""

    run: str
    numbers: Numbers
    target: Numbers

    @property
    def protocol(self) -> str:
        """What is equal of targets whose readings may stand in one table, under one caption."""
        keys = ("data", "fingerprint", "levels", "protocol")
        of_target = ("name", "kind", "classes", "images", "baseline")
        parts = [self.numbers.get(key) for key in keys]
        return json.dumps([parts, [self.target.get(key) for key in of_target]], sort_keys=True)


def _alike(probed: Sequence[Probed]) -> list[list[Probed]]:
    """Those that may share a table, together; a target's tables follow each other."""
    names = [*dict.fromkeys(one.target["name"] for one in probed)]
    groups: dict[str, list[Probed]] = {}
    for one in sorted(probed, key=lambda one: names.index(one.target["name"])):
        groups.setdefault(one.protocol, []).append(one)
    return [*groups.values()]


def _columns(group: Sequence[Probed]) -> Columns:
    """By column the readings of a representation by probe: the runs' h, untrained ones, pixels.

    One that was probed with several runs is one column. Two of one name but of different makers
    have their run's name beside theirs.
    """
    readings: dict[tuple[str, str], dict[str, Numbers]] = {}
    runs: dict[tuple[str, str], str] = {}
    for one in group:
        made_by = {r["name"]: r["made_by"] for r in one.numbers["representations"]}
        for reading in one.target["readings"]:
            which = (reading["representation"], made_by[reading["representation"]])
            readings.setdefault(which, {}).setdefault(reading["probe"], reading)
            runs.setdefault(which, one.run)
    order = sorted(readings, key=lambda which: (which[0] == "pixels", "untrained" in which[0]))
    names = [name for name, _ in order]
    return {
        which[0] if names.count(which[0]) == 1 else f"{which[0]} ({runs[which]})": readings[which]
        for which in order
    }


def _table(one: Probed, columns: Columns) -> Table:
    """The scores of one target and the lengths of its code."""
    target, counts = one.target, one.target["images"]
    rows = [*_scores(target, columns), *_codes(one, columns)]
    caption = (
        f"{target['name']}, read from h. Probes are fitted on {counts['train']:,} training images, "
        f"their settings chosen on {counts['val']:,} validation images, and scored on "
        f"{counts['test']:,} test images; seed {one.numbers['protocol']['seed']}. Beside a number "
        "its 95 % interval."
    )
    return Table(caption, [*columns], [row for row in rows if not row.empty], corner="Probe")


def _scores(target: Numbers, columns: Columns) -> list[Row]:
    shares = target["kind"] == "classification"
    group = "Accuracy, %" if shares else "R²"
    cell = share_of if shares else partial(number_cell, digits=3)
    first = next(iter(columns))
    rows = []
    for name, probe in PROBES.items():
        readings = [by_probe.get(name, {}) for by_probe in columns.values()]
        scores = [cell(reading.get("score")) for reading in readings]
        rows.append(Row(probe.title, scores, probe.about, group))
        rows.append(
            Row(
                f"… minus {first}",
                _minus(target, readings),
                f"this score less that of {first}",
                group,
            )
        )
        controls = [_control(reading.get("control")) for reading in readings]
        rows.append(Row("… selectivity", controls, "more than on random labels", group))
    alone = [cell(target["baseline"]["score"])] * len(columns)
    return [*rows, Row(WITHOUT_H[target["baseline"]["name"]], alone, "knows nothing of h", group)]


def _minus(target: Numbers, readings: Sequence[Numbers]) -> list[Cell]:
    """How much better than the first column each other is, on the same images."""
    first, *others = [reading.get("missed") for reading in readings]
    cells = [Cell()]
    for missed in others:
        if missed is None or first is None:
            cells.append(Cell())
            continue
        number = better(missed, first, target["squares"], target["groups"])
        shares = target["squares"] is None
        cells.append(with_p(share_of(number) if shares else number_cell(number, digits=3), number))
    return cells


def _control(control: Numbers | None) -> Cell:
    """How much more than on random labels; where nothing recurs, the accuracy on those alone."""
    if not control:
        return Cell()
    accuracy = per_cent(control["accuracy"]["value"])
    if control["selectivity"] is None:
        return Cell(NONE, f"random labels, training {accuracy}")
    return Cell(per_cent(control["selectivity"]), f"random labels {accuracy}")


def _codes(one: Probed, columns: Columns) -> list[Row]:
    """How many bits the labels take, sent to somebody who has h."""
    codes = [readings.get("mdl", {}).get("code") or {} for readings in columns.values()]
    first = codes[0]

    def row(label: str, key: str, about: str) -> Row:
        cells = [number_cell(code.get(key), digits=0) for code in codes]
        return Row(label, cells, about, "Code of the labels, bits")

    minus = [Cell(), *(_fewer(first, code) for code in codes[1:])]
    uniform = [code.get("uniform_bits") for code in codes]
    ratios = [code.get("compression_against_uniform") for code in codes]
    group = "Code of the labels, bits"
    return [
        row("given h", "bits", "fewer: h tells the label sooner and surer"),
        row("without h", "null_bits", "the same code with an intercept alone"),
        row("bits saved", "bits_saved", "by h; 0 or below: it tells nothing"),
        Row(f"… minus {next(iter(columns))}", minus, "bits fewer, in the same orders", group),
        Row("uniform code", [Cell(plain(bits, 0)) for bits in uniform], "knows nothing", group),
        Row("against uniform, ×", [Cell(plain(by)) for by in ratios], "unequal classes too", group),
    ]


def _fewer(first: Numbers, code: Numbers) -> Cell:
    """How many bits fewer a code takes than the first, order by order."""
    if not first or not code:
        return Cell()
    pairs = zip(first["bits_of_portions"], code["bits_of_portions"], strict=True)
    return number_cell(over_orders([sum(one) - sum(other) for one, other in pairs]), digits=0)


def _notes(group: Sequence[Probed]) -> list[str]:
    """What was fixed before anything was seen, and what could not be probed."""
    protocol, target = group[0].numbers["protocol"], group[0].target
    notes = [
        f"h is standardised: {protocol['standardisation']}.",
        "R² is 1 for perfect values, 0 for the mean. Intervals cover "
        f"{protocol['interval']['covers']}.",
        *_control_notes(group),
    ]
    notes += _networks(group)
    readings = [reading for one in group for reading in one.target["readings"]]
    if len(_columns(group)) > 1 and any(r.get("missed") is not None for r in readings):
        notes.append(
            "… minus: the score less that of the first column by the same probe, on the same test "
            "images, image by image. Of accuracies of independent images p is that of "
            "McNemar’s exact test; of R², and of images that belong together, it is that of the "
            "interval’s Student’s t. Of codes: the bits fewer, order by order."
        )
    notes += beyond(text for one in group for text in _at_ends(one))
    if any("code" in reading for one in group for reading in one.target["readings"]):
        code = protocol["mdl"]
        orders = len(code["orders"])
        length = (
            "in one order, and so without an interval"
            if orders == 1
            else f"the mean of {orders} orders, with an interval that {code['interval']}"
        )
        notes.append(
            "The code (arXiv:2003.12298) sends the training labels to somebody who has h, by "
            f"logistic regressions of the labels already sent; {length}."
        )
    if any(target["dropped"].values()):
        counts = ", ".join(f"{n:,} of {split}" for split, n in target["dropped"].items())
        notes.append(f"{target['name']}: images without a finite value are left out ({counts}).")
    if target["unseen"]:
        notes.append(
            f"{target['name']}: {target['unseen']:,} of {target['images']['test']:,} "
            "test images have a value that no training image has; they count as errors."
        )
    skipped = {s["name"]: s["why"] for one in group for s in one.numbers["skipped"]}
    notes += [f"Not probed: {name}, since {why}." for name, why in skipped.items()]
    left_out = {source: why for one in group for source, why in one.numbers["left_out"].items()}
    return notes + [f"Left out: {source}: {why}." for source, why in left_out.items()]


def _networks(group: Sequence[Probed]) -> list[str]:
    """Where the weights of each network are from, and how its images were processed."""
    known = {r["name"]: r for one in group for r in one.numbers["representations"]}
    networks = {name: r for name, r in known.items() if r.get("input")}
    notes = []
    for name, r in networks.items():
        weights = f"weights {r['weights']}; " if r.get("weights") else ""
        notes.append(f"{name}: {weights}{r['input']}.")
    return notes


def _at_ends(one: Probed) -> Iterator[str]:
    """The probes whose settings are at an end, each with these."""
    protocol = one.numbers["protocol"]
    for reading in one.target["readings"]:
        name = reading["representation"]
        if "code" in reading:
            chosen = [{"C": c} for order in reading["code"]["C_of_portions"] for c in order if c]
            count = sum(bool(ends(settings, protocol["mdl"]["grid"])) for settings in chosen)
            if count:
                yield f"C in {count} of {len(chosen)} portions of the code given {name}"
            continue
        probe = reading["probe"]
        at_ends = ends(reading["settings"], protocol["probes"][probe]["grid"])
        if at_ends:
            yield f"{PROBES[probe].title} of {name} ({', '.join(at_ends)})"


def _control_notes(group: Sequence[Probed]) -> list[str]:
    """How the control tasks were made, and of which representations they tell less."""
    types: dict[str, dict[str, None]] = {}
    for one in group:
        for reading in one.target["readings"]:
            if control := reading.get("control"):
                types.setdefault(control["types"], {})[reading["representation"]] = None
    if not types:
        return []
    ways = "; ".join(
        RECURRING[kind] + (f" (for {' and '.join(names)})" if len(types) > 1 else "")
        for kind, names in types.items()
    )
    return [
        "Random labels (arXiv:1909.03368): the same probe with the same settings on labels that "
        f"mean nothing: {ways}. Selectivity is the accuracy minus that one, in percentage points, "
        "without an interval of its own."
    ]
