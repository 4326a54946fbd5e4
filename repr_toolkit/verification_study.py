"""The comparison of a study's encoders that were trained alone: by how they tell people apart."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from repr_toolkit.comparison_table import aligned
from repr_toolkit.processes import say
from repr_toolkit.progress import duration
from repr_toolkit.roc import roc_picture
from repr_toolkit.runs import Run, atomic_write
from repr_toolkit.verification import Floats
from repr_toolkit.verification_report import Report, notes, report_run, roc_lines, with_interval

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
    """Two rows of numbers a variant, AUC and 1-NN, with a column for each method."""
    methods = [*next(iter(reports.values())).methods]
    first = ["", *(row for name in reports for row in (f"{name}, AUC", f"{name}, 1-NN, %"))]
    columns = [first + (["mean AUC", "mean 1-NN, %"] if of_folds else [])]
    for place, method in enumerate(methods):
        results = [[*report.methods.values()][place] for report in reports.values()]
        column = [method]
        for result in results:
            low, high = result.one_nn_interval
            column.append(with_interval(result.auc, result.auc_interval, 3))
            column.append(with_interval(100 * result.one_nn, (100 * low, 100 * high), 1))
        if of_folds:
            mean = np.mean([result.replicates for result in results], axis=0)
            auc = float(np.mean([result.auc for result in results]))
            column.append(with_interval(auc, _bounds(mean), 3))
            column.append(f"{100 * np.mean([result.one_nn for result in results]):.2f}")
        columns.append(column)
    return aligned(columns)


def means_text(reports: Sequence[Report]) -> str:
    """By how much the mean AUC is above the other methods', as a sentence."""
    parts = []
    for place, name in enumerate(reports[0].methods):
        if place == 0:
            continue
        gain = float(np.mean([report.gain(name)[0] for report in reports]))
        drawn = [report.own.replicates - report.methods[name].replicates for report in reports]
        text = with_interval(gain, _bounds(np.mean(drawn, axis=0)), 3)
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
            for key, value in result.numbers().items():
                if key == "tar":
                    line |= {f"tar_at_{rate}": share for rate, share in value.items()}
                elif isinstance(value, tuple):
                    line |= {f"{key}_low": value[0], f"{key}_high": value[1]}
                else:
                    line[key] = value
            own = name == next(iter(report.methods))
            line["auc_above_pixels"] = report.gain()[0] if own else None
            line["training_seconds"] = seconds[variant] if own else None
            lines.append(line)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*lines[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _bounds(replicates: Floats) -> tuple[float, float]:
    low, high = np.quantile(replicates, [0.025, 0.975])
    return float(low), float(high)
