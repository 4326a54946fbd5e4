"""What has not been measured yet: how to say so, and how to make up for it."""

import shlex
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from repr_toolkit.analyses.base import Analysis
from repr_toolkit.page.blocks import Block, Missing, Notes
from repr_toolkit.report.inputs import Reported
from repr_toolkit.runs.kept import keep
from repr_toolkit.runs.run import Run
from repr_toolkit.support.console import say

COMMANDS = {
    "information": "information",
}
"""The command that keeps each analysis with its run."""


def missing(found: Reported, analysis: str, kept: Collection[str], what: str) -> list[Block]:
    """A line for the runs that could have an analysis, since they have an encoder, and lack it.

    ``what`` says what it would tell of them. What is kept of other data than a run's is told.
    """
    lacking = [name for name in found.encoders if name not in kept]
    if not lacking:
        return []
    first = found.runs[lacking[0]]
    words = ["repr-toolkit", COMMANDS[analysis], str(first.path)]
    if found.split != "test":
        words += ["--split", found.split]
    if any(_file(found.runs[name], analysis).is_file() for name in lacking):
        words.append("--keep")  # what is kept answers another question
    command = shlex.join(words)
    of = "" if len(lacking) == len(found.encoders) else f" of {', '.join(lacking)}"
    others = ", and likewise for the other runs" if len(lacking) > 1 else ""
    foreign = [name for name in found.of_other_data(analysis) if name in lacking]
    other = f" What is kept of {', '.join(foreign)} is of other data." if foreign else ""
    return [Missing(f"Not measured yet: {what}{of}.{other}", command, others)]


def _file(run: Run, analysis: str) -> Path:
    return run.path / "analysis" / f"{analysis}.json"


def not_measured(reported: Reported, analysis: Analysis) -> list[Block]:
    """What is left out of what is kept, and the command for the runs that lack the analysis."""
    kept = reported.kept(analysis)
    notes = [
        f"Left out of {name}: {'; '.join(reasons)}."
        for name, reasons in reported.left_out(analysis).items()
    ]
    blocks: list[Block] = [Notes(notes)] if notes else []
    lacking = [
        name
        for name, run in reported.runs.items()
        if name not in kept and analysis.obstacle(run) is None
    ]
    if lacking:
        which = "" if len(lacking) == len(reported.runs) else f" of {', '.join(lacking)}"
        command = command_of(analysis, reported.runs[lacking[0]], reported.split_of(analysis))
        others = ", and likewise for the other runs" if lacking[1:] else ""
        blocks.append(Missing(f"Not measured yet: {analysis.tells}{which}.", command, others))
    return blocks


def command_of(analysis: Analysis, run: Run, split: str) -> str:
    """The command that measures an analysis of a run, with its own default options."""
    if not analysis.command:
        return shlex.join(["repr-toolkit", "report", str(run.path), "--all"])
    words = ["repr-toolkit", analysis.command, str(run.path)]
    if not analysis.only_split and split != "test":
        words += ["--split", split]
    return shlex.join(words)


def measure_all(reported: Reported) -> None:
    """Make every analysis that a run lacks and could have, with its command's own options.

    One that cannot be made, as probes of data without labels, is told and left out.
    """
    for analysis in reported.analyses_shown:
        split, kept = reported.split_of(analysis), reported.kept(analysis)
        for name, run in reported.runs.items():
            if name in kept or analysis.obstacle(run) is not None:
                continue
            say(f"{name}: {analysis.name}")
            try:
                result = analysis.measure(run, split)
            except ValueError as error:
                say(f"  left out: {error}")
            else:
                keep(run, analysis.name, result, command_of(analysis, run, split))


def measure_missing(found: Reported) -> None:
    """Make every analysis that a run lacks and could have, with its command's own settings.

    It takes the place of one of other data. Where one of another split is kept, that is told, and
    it stays; and so is one that cannot be made, as probes of data without labels.
    """
    for analysis, measure in MEASURES.items():
        kept = found.analyses(analysis)
        of_another_split = found.of_another_split(analysis)
        for name in found.encoders:
            if name in of_another_split:
                file = _file(found.runs[name], analysis)
                say(f"{name}: {analysis} left out: {file} is of another split, and stays as it is")
            elif name not in kept:
                say(f"{name}: {analysis}")
                try:
                    measure(found.runs[name], found.split)
                except ValueError as error:
                    say(f"  left out: {error}")


def _information(run: Run, split: str) -> None:
    from repr_toolkit.analyses.information.measure import own_information

    own_information(run.path, split, progress=True).save(run.path, keep=True)


MEASURES: Mapping[str, Callable[[Run, str], None]] = {
    "information": _information,
}
