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
    notes = [
        f"Left out of {name}: {'; '.join(reasons)}."
        for name, (_, reasons) in reported.chosen[analysis.name].items()
        if reasons
    ]
    blocks: list[Block] = [Notes(notes)] if notes else []
    lacking = runs_lacking(reported, analysis)
    if lacking:
        which = "" if len(lacking) == len(reported.runs) else f" of {', '.join(lacking)}"
        command = command_of(reported, analysis, next(iter(lacking.values())))
        others = " Likewise for the other runs." if len(lacking) > 1 else ""
        blocks.append(Missing(f"Not measured yet: {analysis.tells}{which}.", command, others))
    return blocks


def runs_lacking(reported: Reported, analysis: Analysis) -> dict[str, Run]:
    """The runs that an analysis could be made of and that keep none to show."""
    chosen = reported.chosen[analysis.name]
    return {
        name: run
        for name, run in reported.runs.items()
        if chosen[name][0] is None and analysis.obstacle(run) is None
    }


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
        for name, run in runs_lacking(reported, analysis).items():
            say(f"{name}: {analysis.name}")
            try:
                result = analysis.measure(run, analysis.only_split or reported.split)
            except (OSError, ValueError) as error:
                say(f"  left out: {error}")
            else:
                command = command_of(reported, analysis, run)
                keep(run, analysis.name, result, command, analysis.protocol)
