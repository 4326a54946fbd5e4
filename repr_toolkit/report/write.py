"""The report of runs: what is known of them, as one page."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from repr_toolkit.page.blocks import Section
from repr_toolkit.page.html import refuse_others, render
from repr_toolkit.page.wandb import log_sections
from repr_toolkit.report.frozen import read_study
from repr_toolkit.report.inputs import Reported, find_runs
from repr_toolkit.report.missing import measure_all
from repr_toolkit.report.sections import all_sections
from repr_toolkit.support.console import legible
from repr_toolkit.support.files import write_text
from repr_toolkit.support.speech import either


def write_report(
    paths: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    split: str = "test",
    overwrite: bool = False,
    measure: bool = False,
    wandb: bool = False,
    frozen: str | Path | None = None,
    analyses: Sequence[str] = (),
    command: str = "",
) -> Path:
    """Write the report of runs, or of the runs in folders, as one HTML file; return its path.

    `out` is by default report.html in the run's folder, or in the one that the runs have in
    common. A report is replaced by a newer one; any other file only with `overwrite`. What has to
    be measured first is measured on `split`; with `measure` every analysis that a run lacks is made
    too. `frozen` is the folder of a study of frozen h, of the same images, to show with them.
    `analyses` are import paths of modules with an `ANALYSIS` of one's own. `wandb` logs the page,
    its tables and its pictures to Weights & Biases as well. `command` is what was typed, which the
    page shows.

    Raises FileNotFoundError for what is no finished run and no folder of any, FileExistsError for a
    file that is no report, and ValueError for runs that have no folder in common without `out`,
    for runs of different data, and for a split that the data lacks; and as `read_study` does.
    """
    reported = replace(find_runs(paths, split), further=analyses)
    if out is None and reported.folder is None:
        raise ValueError(
            "the runs have no folder in common to write to; name the file by "
            + either("--out", "out")
        )
    out = Path(out) if out is not None else _default(paths, reported) / "report.html"
    refuse_others(out, overwrite=overwrite)
    if frozen is not None:
        reported = replace(reported, study=read_study(frozen, reported))
    if measure:
        measure_all(reported)
        reported = replace(reported)  # which reads anew what is kept
    if not command:
        words = ["repr-toolkit", "report", *map(str, paths), "--split", split, "--out", str(out)]
        words += ["--frozen", str(frozen)] if frozen is not None else []
        words += ["--analysis", *analyses] if analyses else []
        command = shlex.join(words + ["--all"] * measure + ["--wandb"] * wandb)
    sections = all_sections(reported, command)
    runs = [*reported.runs]
    folder = reported.folder.name if reported.folder else f"{len(runs)} runs"
    page = render(runs[0] if len(runs) == 1 else folder, facts_of(reported), sections)
    text = legible(page)  # names of files may hold bytes that are none
    write_text(out, text)
    if wandb:
        _log(reported, sections, text)
    return out


def _log(reported: Reported, sections: Sequence[Section], page: str) -> None:
    """Log to the W&B run of the one run's training, or to one of its own beside several."""
    runs = list(reported.runs.values())
    folder = reported.folder or runs[0].path
    if len(runs) == 1:
        log_sections(sections, folder, id_file=runs[0].wandb_id_file, page=page)
    else:
        log_sections(sections, folder, group=folder.resolve().name, name="report", page=page)


def _default(paths: Sequence[str | Path], reported: Reported) -> Path:
    """The common folder, as the user wrote it where one path alone says it."""
    assert reported.folder
    one = Path(paths[0])
    return one if len(paths) == 1 and one.resolve() == reported.folder else reported.folder


def facts_of(reported: Reported) -> dict[str, str]:
    """What stands at the head of the page."""
    comparison = reported.comparison
    name, run = next(iter(reported.runs.items()))
    info, decoder = run.info, reported.configs[name]["model"].get("decoder")
    shape = decoder["init_args"]["image_shape"] if decoder else info["image_shape"]
    channels, height, width = shape
    return {
        "Data": info["data"]["name"],
        "Images": f"{height} × {width}, {'grey' if channels == 1 else 'colour'}, "
        f"{info['levels']} levels",
        **({"Held out": f"{comparison['images']:,} {reported.split} images"} if comparison else {}),
        "Runs": str(len(reported.runs)),
        "Written": f"{date.today().day} {date.today():%B %Y}",
    }
