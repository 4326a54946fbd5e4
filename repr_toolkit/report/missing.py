"""What has not been measured yet: how to say so, and how to make up for it."""

import shlex

from repr_toolkit.analyses.base import Analysis
from repr_toolkit.page.blocks import Block, Missing, Notes
from repr_toolkit.report.inputs import Reported
from repr_toolkit.runs.kept import keep
from repr_toolkit.runs.run import Run
from repr_toolkit.support.console import say


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
        command = command_of(reported, analysis, reported.runs[lacking[0]])
        others = " Likewise for the other runs." if lacking[1:] else ""
        blocks.append(Missing(f"Not measured yet: {analysis.tells}{which}.", command, others))
    return blocks


def command_of(reported: Reported, analysis: Analysis, run: Run) -> str:
    """The command that measures an analysis of a run, with its own default options."""
    words = ["repr-toolkit", analysis.command or "report", str(run.path)]
    if not analysis.command:
        words += ["--all", "--analysis", *reported.further]
    if not analysis.only_split and reported.split != "test":
        words += ["--split", reported.split]
    return shlex.join(words)


def measure_all(reported: Reported) -> None:
    """Make every analysis that a run lacks and could have, with its command's own options.

    One that cannot be made, such as one whose weights are not on this machine, is named and left
    out.
    """
    for analysis in reported.analyses_shown:
        split, kept = reported.split_of(analysis), reported.kept(analysis)
        for name, run in reported.runs.items():
            if name in kept or analysis.obstacle(run) is not None:
                continue
            say(f"{name}: {analysis.name}")
            try:
                result = analysis.measure(run, split)
            except (OSError, ValueError) as error:
                say(f"  left out: {error}")
            else:
                keep(run, analysis.name, result, command_of(reported, analysis, run))
