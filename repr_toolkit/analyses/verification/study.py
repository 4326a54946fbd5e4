"""The comparison of a study's encoders that were trained alone: by how they tell people apart."""

from collections.abc import Mapping, Sequence

import numpy as np

from repr_toolkit.analyses.verification.blocks import notes
from repr_toolkit.analyses.verification.measure import Verifications, measure, roc_lines
from repr_toolkit.models.verification import Verification
from repr_toolkit.page.blocks import Cell, Notes, Row, Table
from repr_toolkit.page.cells import number_cell, share_of
from repr_toolkit.page.intervals import ONE_RUN, interval_notes, numbers_of
from repr_toolkit.page.terminal import as_text
from repr_toolkit.runs.kept import Result
from repr_toolkit.runs.run import Run
from repr_toolkit.support.console import say
from repr_toolkit.support.files import as_bytes, csv_text
from repr_toolkit.support.pictures import png_of
from repr_toolkit.support.roc import roc_picture
from repr_toolkit.support.stats import mean_of
from repr_toolkit.support.tables import duration, number_text, plain

PROTOCOL = 4
"""A number, to be raised whenever the same question comes to have another answer."""


def measure_variants(runs: Mapping[str, Run], split: str = "test", *, chosen: str = "") -> Result:
    """Measure finished runs, by variant name, on a split of their data: the folds, or one for all.

    The arrays are the bytes of the files verification.csv, verification.md and roc.png. Where all
    variants have different data, as the folds of a cross-validation have, the means over them are
    added. `chosen` says how settings were chosen, as a sentence.
    """
    results: dict[str, Verifications] = {}
    for number, (name, run) in enumerate(runs.items(), 1):
        say(f"[{number}/{len(runs)}] comparing {name}")
        results[name] = measure(run, split, seed=number)
    infos = {name: run.info for name, run in runs.items()}
    folds = len({run.trained_on for run in runs.values()}) == len(runs) > 1
    seconds = {name: float(info["seconds"]) for name, info in infos.items()}
    longest = duration(max(seconds.values()))
    devices = " and ".join(sorted({str(info["device"]) for info in infos.values()}))
    numbers = {name: result.as_dict() for name, result in results.items()}
    table = variants_table(results, folds)
    remarks = [
        *([means_text([*results.values()])] if folds else []),
        *([chosen] if chosen else []),
        f"Training took at most {longest} a variant, on {devices}.",
        "Pairs of images, by the cosine of h, of pixels or of components.",
        *notes([*numbers.values()], " (in verification.csv)"),
        *interval_notes(numbers_of([table])),
        ONE_RUN,
    ]
    study = next(iter(runs.values())).path.resolve().parent.name
    title = f"# {study}: telling people apart, {split} images\n\n"
    text = title + as_text([table, Notes(remarks)])
    files = {
        "roc.png": png_of(roc_picture(roc_lines([*results.values()]))),
        "verification.csv": as_bytes(csv_text(csv_rows(results, seconds))),
        "verification.md": as_bytes(text),
    }
    arrays = {name: np.frombuffer(content, np.uint8) for name, content in files.items()}
    return Result({"split": split, "protocol": PROTOCOL, "chosen": chosen}, numbers, arrays)


def variants_table(results: Mapping[str, Verifications], folds: bool) -> Table:
    """Two rows of numbers a variant, AUC and 1-NN, with a column for each method.

    With `folds` the means over the variants follow. A dash stands for a method that a variant's
    data do not allow, and for its mean.
    """
    others = _baselines([*results.values()])
    columns: dict[str, list[list[Verification | None]]] = {
        f"{name}, ": [[result.first], *([result.methods.get(other)] for other in others)]
        for name, result in results.items()
    }
    if folds:
        every = zip(*columns.values(), strict=True)
        columns["mean "] = [[method for [method] in column] for column in every]
    rows: list[Row] = []
    for prefix, measured in columns.items():
        aucs, one_nns = zip(*map(_cells, measured), strict=True)
        rows += [Row(f"{prefix}AUC", aucs), Row(f"{prefix}1-NN, %", one_nns)]
    firsts = dict.fromkeys(next(iter(result.methods)) for result in results.values())
    return Table("", [" or ".join(firsts), *others], rows)


def _cells(methods: Sequence[Verification | None]) -> tuple[Cell, Cell]:
    """AUC and 1-NN of a method, or their means over several folds; dashes where one lacks it."""
    measured = [method for method in methods if method is not None]
    if len(measured) < len(methods):
        return Cell(), Cell()
    if len(measured) == 1:
        return number_cell(measured[0].auc.number, digits=3), share_of(measured[0].one_nn)
    auc = mean_of([method.auc for method in measured]).number
    one_nn = float(np.mean([method.one_nn.value for method in measured]))
    return number_cell(auc, digits=3), Cell(plain(100 * one_nn))


def means_text(results: Sequence[Verifications]) -> str:
    """By how much the mean AUC is above that of each method that all have, as a sentence."""
    parts, kinds = [], []
    for name in _baselines(results):
        if not all(name in result.methods for result in results):
            continue
        gain = mean_of([result.first.auc for result in results]).less(
            mean_of([result.methods[name].auc for result in results])
        )
        above = "above" if gain.value >= 0 else "beside"
        part = f"{number_text(gain, digits=3)} {above} {name}"
        parts.append(part if gain.low is not None else f"{part} ({gain.how})")
        kinds += [gain.how] if gain.low is not None else []
    of = f"; in brackets 95 %, {' or '.join(dict.fromkeys(kinds))}" if kinds else ""
    return f"The mean AUC is {', '.join(parts)}{of}."


def csv_rows(
    results: Mapping[str, Verifications], seconds: Mapping[str, float]
) -> list[dict[str, object]]:
    """One row a variant and method, all digits; None for what could not be measured."""
    return [
        {
            "variant": variant,
            "data": result.data,
            "split": result.split,
            "method": name,
            **method.flat_numbers(),
            "auc_above_pixels": result.gain().value if method is result.first else None,
            "training_seconds": seconds[variant] if method is result.first else None,
        }
        for variant, result in results.items()
        for name, method in result.methods.items()
    ]


def _baselines(results: Sequence[Verifications]) -> list[str]:
    """The methods beside the variants' own, in order; a result may lack some."""
    return [*dict.fromkeys(name for result in results for name in [*result.methods][1:])]
