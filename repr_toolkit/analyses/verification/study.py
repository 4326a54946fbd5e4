"""The comparison of a study's encoders that were trained alone: by how they tell people apart."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from repr_toolkit.analyses.verification.measure import (
    Report,
    notes,
    report_run,
    roc_lines,
    with_interval,
)
from repr_toolkit.models.pairs import Floats, Verification, interval_over_people
from repr_toolkit.runs.run import Run
from repr_toolkit.support.console import say
from repr_toolkit.support.files import atomic_write
from repr_toolkit.support.roc import roc_picture
from repr_toolkit.support.tables import aligned, duration

OUTPUTS = ("roc.png", "verification.csv", "verification.md")


def compare_encoders(study_dir: Path, runs: Mapping[str, Path], *, split: str = "test") -> Path:
    """Measure finished runs, by variant name, on a split of their data: the folds, or one for all.

    Writes into ``study_dir`` verification.csv, verification.md, whose path is returned, and
    roc.png; an earlier comparison is replaced. Where all variants have splits of their own, as the
    folds of a cross-validation, the means over them are told too.
    """
    reports: dict[str, Report] = {}
    for number, (name, path) in enumerate(runs.items(), 1):
        say(f"[{number}/{len(runs)}] comparing {name}")
        # Another draw for each fold: the bootstrap of their mean takes them to be independent.
        reports[name] = report_run(Run(path), split, seed=number)
    infos = {name: Run(path).info for name, path in runs.items()}
    prints = [info["data"]["fingerprint"] for info in infos.values()]
    of_folds = len(set(prints)) == len(prints) > 1
    seconds = {name: float(info["seconds"]) for name, info in infos.items()}
    with atomic_write(study_dir / "roc.png") as file:
        roc_picture(roc_lines([*reports.values()])).save(file, "PNG")
    with atomic_write(study_dir / "verification.csv") as file:
        file.write(csv_text(reports, seconds).encode())
    longest = duration(max(seconds.values()))
    devices = " and ".join(sorted({str(info["device"]) for info in infos.values()}))
    told = [means_text([*reports.values()])] if of_folds else []
    told.append(f"Training took at most {longest} a variant, on {devices}.")
    text = (
        f"# {study_dir.resolve().name}: telling people apart, {split} images\n",
        markdown_table(reports, of_folds),
        notes([*reports.values()], told, " (in verification.csv)"),
    )
    path = study_dir / "verification.md"
    with atomic_write(path) as file:
        file.write("\n".join(text).encode())
    return path


def markdown_table(reports: Mapping[str, Report], of_folds: bool) -> str:
    """Two rows of numbers a variant, AUC and 1-NN, with a column for each method.

    A dash stands for a method that a variant's data do not allow, and for its mean.
    """
    first = ["", *(row for name in reports for row in (f"{name}, AUC", f"{name}, 1-NN, %"))]
    columns = [first + (["mean AUC", "mean 1-NN, %"] if of_folds else [])]
    names = dict.fromkeys(next(iter(report.methods)) for report in reports.values())
    results: dict[str, list[Verification | None]]
    results = {" or ".join(names): [report.own for report in reports.values()]}
    for name in _others([*reports.values()]):
        results[name] = [report.methods.get(name) for report in reports.values()]
    for method, found in results.items():
        column = [method]
        for result in found:
            if result is None:
                column += ["–", "–"]
                continue
            low, high = result.one_nn_interval
            column.append(with_interval(result.auc, result.auc_interval, 3))
            column.append(with_interval(100 * result.one_nn, (100 * low, 100 * high), 1))
        whole = [result for result in found if result is not None]
        if of_folds and len(whole) < len(found):
            column += ["–", "–"]
        elif of_folds:
            auc = float(np.mean([result.auc for result in whole]))
            column.append(with_interval(auc, _interval([r.replicates for r in whole], whole), 3))
            column.append(f"{100 * np.mean([result.one_nn for result in whole]):.2f}")
        columns.append(column)
    return aligned(columns)


def means_text(reports: Sequence[Report]) -> str:
    """By how much the mean AUC is above the other methods' that all have, as a sentence."""
    own = [report.own for report in reports]
    parts = []
    for name in _others(reports):
        if not all(name in report.methods for report in reports):
            continue
        gain = float(np.mean([report.gain(name)[0] for report in reports]))
        drawn = [report.own.replicates - report.methods[name].replicates for report in reports]
        text = with_interval(gain, _interval(drawn, own), 3)
        parts.append(f"{text} above {name}" if gain >= 0 else f"{text} beside {name}")
    return f"The mean AUC is {', '.join(parts)}; in brackets 95 %, by a bootstrap over people."


def csv_text(reports: Mapping[str, Report], seconds: Mapping[str, float]) -> str:
    """One line a variant and method, all digits; an empty cell for what could not be measured."""
    lines = []
    for variant, report in reports.items():
        for name, result in report.methods.items():
            line: dict[str, object] = {
                "variant": variant,
                "data": report.data,
                "split": report.split,
                "method": name,
            }
            line |= result.flat_numbers()
            own = name == next(iter(report.methods))
            line["auc_above_pixels"] = report.gain()[0] if own else None
            line["training_seconds"] = seconds[variant] if own else None
            lines.append(line)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*lines[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _others(reports: Sequence[Report]) -> list[str]:
    """The methods beside the variants' own, in order; some may be missing from some reports."""
    return [*dict.fromkeys(name for report in reports for name in [*report.methods][1:])]


def _interval(
    replicates: Sequence[Floats], results: Sequence[Verification]
) -> tuple[float, float] | None:
    """Of the folds' mean; None where one of them has too few people for an interval."""
    fewest = min(result.people for result in results)
    return interval_over_people(np.mean(replicates, axis=0), fewest)
