"""The section of a study of frozen h: the study of the runs' own images, or how to have one."""

import shlex
from pathlib import Path

from repr_toolkit.analyses.frozen.blocks import LEAD, TITLE, blocks
from repr_toolkit.page.blocks import Section, Source
from repr_toolkit.report.inputs import Reported
from repr_toolkit.runs.kept import Kept, kept_in


def read_study(folder: str | Path, reported: Reported) -> Kept:
    """The newest result of the report's split that `repr-toolkit frozen RECIPE SOURCE…` kept.

    Raises FileNotFoundError for a folder without any, and ValueError for a file that is damaged, or
    for results of other images, levels or another split than the report.
    """
    folder = Path(folder)
    studies = kept_in(folder, "frozen")
    if not studies:
        raise FileNotFoundError(
            f"{folder} holds no study of frozen h; name the folder in which "
            "`repr-toolkit frozen RECIPE SOURCE…` kept one"
        )
    of_split = [study for study in studies if study.asked["split"] == reported.split]
    if not of_split:
        split = studies[0].asked["split"]
        raise ValueError(
            f"{folder} was measured on {split} images and this report is of {reported.split} "
            f"images; write it with --split {split}, or measure again by `repr-toolkit frozen … "
            f"--split {reported.split}`"
        )
    study = of_split[0]
    of_study = study.numbers["fingerprint"], study.numbers["levels"]
    for name, run in reported.runs.items():
        if run.trained_on != of_study:
            raise ValueError(
                f"{folder} is of other images, or other levels of them, than {name} was trained "
                "on; name a study that `repr-toolkit frozen RECIPE "
                f"{run.path}` made with a recipe of those images"
            )
    return study


def study_of(reported: Reported) -> Kept | None:
    """The study that was asked for, or else the newest of the split in the folder of the runs."""
    if reported.study is not None or reported.folder is None:
        return reported.study
    studies = kept_in(reported.folder, "frozen")
    return next((s for s in studies if s.asked["split"] == reported.split), None)


def frozen(reported: Reported) -> Section | None:
    """The study, or how to have one where there are several h to compare."""
    study = study_of(reported)
    if study is not None:
        return Section("frozen", TITLE, LEAD, blocks({"study": study}, list(reported.runs)))
    if len(reported.encoders) < 2:
        return None
    title = "Not measured here. To add it, with a RECIPE of these images:"
    commands = "\n".join(map(shlex.join, study_commands(reported)))
    return Section("frozen", TITLE, LEAD, [Source(title, commands, folded=True)])


def study_commands(reported: Reported) -> list[list[str]]:
    """A study of the h of all runs beside their folder, and the report that shows it."""
    folder, runs = reported.folder, reported.runs
    first = next(iter(runs.values())).path
    place = Path("runs") if folder is None else first.parent.parent
    name = "frozen" if folder is None else f"frozen_{folder.name}"
    split = [] if reported.split == "test" else ["--split", reported.split]
    encoders = [
        f"{encoder.replace('/', '_')}={runs[encoder].path}" if "/" in encoder
        else str(runs[encoder].path)
        for encoder in reported.encoders
    ]  # fmt: skip
    study = ["repr-toolkit", "frozen", "RECIPE", *encoders, "--name", name]
    report = ["repr-toolkit", "report", *(str(run.path) for run in runs.values())]
    return [
        [*study, "--runs-dir", str(place), *split],
        [*report, "--frozen", str(place / name), *split],
    ]
