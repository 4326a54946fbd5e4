"""The table of what probes have found, representations side by side, for a terminal and a log."""

from collections.abc import Callable, Sequence

from repr_toolkit.analyses.probing.result import Probing, Reading, TargetResult
from repr_toolkit.analyses.probing.scores import Scored
from repr_toolkit.support.tables import NONE, WIDTH, aligned, notes_text

TITLES = {"logistic": "logistic", "ridge": "ridge", "knn": "k-NN", "mlp": "MLP"}
Cell = Callable[[Reading], str]


def table(found: Probing) -> str:
    """One row a target and probe, one column a representation; Markdown, at most 100 columns.

    What does not fit stands in further tables below, each with the rows' names.
    """
    labels, rows = [""], [[*found.representations, "no h"]]
    for target in found.targets:
        for label, cells in _rows(target, [*found.representations]):
            labels.append(label)
            rows.append(cells)
    columns = [list(column) for column in zip(*rows, strict=True)]
    blocks: list[list[list[str]]] = [[]]
    used = start = max(map(len, labels)) + 4
    for column in columns:
        width = max(map(len, column)) + 3
        if used + width > WIDTH and blocks[-1]:
            blocks.append([])
            used = start
        blocks[-1].append(column)
        used += width
    return "\n".join(aligned([labels, *block]) for block in blocks)


def _rows(target: TargetResult, names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The rows of one target: the representations' cells, then that of no h."""
    unit = "%" if target.kind == "classification" else "R²"
    rows = []

    def add(label: str, probe: str, cell: Cell, without_h: str = NONE) -> None:
        readings = [target.reading(name, probe) for name in names]
        cells = [NONE if reading is None else cell(reading) for reading in readings]
        if set(cells) != {NONE}:
            rows.append((label, [*cells, without_h]))

    value = target.baseline.score.value
    baseline = f"{100 * value:.1f}" if unit == "%" else f"{value:.3f}".replace("-", "−")
    for probe in dict.fromkeys(reading.probe for reading in target.readings):
        if probe == "mdl":
            bits = target.baseline.bits
            told = NONE if bits is None else f"{bits:,.0f}"
            add(f"{target.name}: code, bits", probe, _bits, told)
            add("  compression, ×", probe, _compression)
            continue
        title = f"{target.name}: {TITLES[probe]}, {unit}"
        add(title, probe, lambda reading: _score(reading.score, target.kind), baseline)
        add("  random labels, %", probe, _random)
        add("  selectivity, points", probe, _selectivity)
    return rows


def _score(score: Scored | None, kind: str) -> str:
    if score is None:
        return NONE
    scale, digits = (100, 1) if kind == "classification" else (1, 3)
    value, low, high = (f"{scale * v:.{digits}f}" for v in (score.value, *score.interval))
    dash = " to " if low.startswith("-") else "–"
    return f"{value} ({low}{dash}{high})".replace("-", "−")


def _random(reading: Reading) -> str:
    if reading.control is None:
        return NONE
    text = f"{100 * reading.control.accuracy:.1f}"
    return f"{text} (train)" if reading.control.types == "none" else text


def _selectivity(reading: Reading) -> str:
    if reading.control is None or reading.control.selectivity is None:
        return NONE
    return f"{100 * reading.control.selectivity:.1f}".replace("-", "−")


def _bits(reading: Reading) -> str:
    if reading.code is None:
        return NONE
    interval = reading.code.interval
    ends = "" if interval is None else f" ({interval[0]:,.0f}–{interval[1]:,.0f})"
    return f"{reading.code.total:,.0f}{ends}"


def _compression(reading: Reading) -> str:
    return NONE if reading.code is None else f"{reading.code.compression:.2f}"


def notes(found: Probing, left_out: Sequence[str] = ()) -> str:
    """What the table's numbers are, and what baselines are left out, as a Markdown list."""
    kinds = {target.kind for target in found.targets}
    images = found.targets[0].images
    seed = found.protocol["seed"]
    texts = [
        "Each probe is fitted to standardised h of the training images, its hyper-parameters are "
        "chosen on the validation images, and it is scored on the test images "
        f"({images['train']:,}, {images['val']:,} and {images['test']:,}); seed {seed}. "
        "Intervals are 95 % over test images and leave out fits and seeds: "
        + " and ".join(
            text
            for kind, text in {
                "classification": "Wilson's for accuracy",
                "regression": "bootstrap for R² (1 is perfect, 0 the mean)",
            }.items()
            if kind in kinds
        )
        + ". Without h: "
        + " and ".join(
            {
                "classification": "the most frequent class",
                "regression": "the mean of the training images",
            }[kind]
            for kind in sorted(kinds)
        )
        + "."
    ]
    texts += _control_notes(found)
    codes = [r.code for target in found.targets for r in target.readings if r.code is not None]
    if codes:
        orders = len(codes[0].bits)
        uniform = ", ".join(
            f"{target.name} {next(r.code for r in target.readings if r.code).uniform:,.0f}"
            for target in found.targets
            if any(r.code for r in target.readings)
        )
        over = "in one order" if orders == 1 else f"the mean of {orders} orders, 95 % over these"
        texts.append(
            "Code: bits to send the training labels to somebody who has h, by the online code of "
            f"logistic regressions (arXiv:2003.12298), {over}; without h, one by one by their "
            f"frequencies. Compression is over the uniform code (bits: {uniform})."
        )
    for target in found.targets:
        if any(target.dropped.values()):
            counts = ", ".join(f"{n:,} of {split}" for split, n in target.dropped.items())
            texts.append(f"{target.name}: images without a finite value are left out ({counts}).")
        if target.unseen:
            texts.append(
                f"{target.name}: {target.unseen:,} of {target.images['test']:,} test images have "
                "a value that no training image has; they count as errors."
            )
    texts += [f"{skip.name} is not probed: {skip.why}." for skip in found.skipped]
    texts += [f"Left out: {text}." for text in left_out]
    return notes_text(texts)


def _control_notes(found: Probing) -> list[str]:
    """How the control tasks were made, and of which representations they tell less."""
    types: dict[str, list[str]] = {}
    for target in found.targets:
        for reading in target.readings:
            if reading.control is not None:
                types.setdefault(reading.control.types, []).append(reading.representation)
    if not types:
        return []
    ways = {
        "identity": "each person's is the same in the training images, which are fitted, and in "
        "the test images",
        "view": "each training image's is the same in its copy shifted by a pixel, which is tested",
        "none": "nothing recurs, so that the accuracy is on the training images themselves and "
        "there is no selectivity",
    }
    told = "; ".join(
        f"{ways[kind]} (for {' and '.join(dict.fromkeys(names))})" if len(types) > 1 else ways[kind]
        for kind, names in types.items()
    )
    return [
        "Random labels: the same probe with the same hyper-parameters on labels that mean nothing "
        f"(arXiv:1909.03368): {told}. Selectivity is the accuracy minus that one, "
        "in percentage points, without an interval of its own."
    ]
