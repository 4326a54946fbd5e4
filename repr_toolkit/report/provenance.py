"""Where a report comes from: configurations, and the commands that make all of it again."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from repr_toolkit.page.blocks import Block, Notes, Paragraph, Section, Source
from repr_toolkit.report.frozen import study_of
from repr_toolkit.report.inputs import Reported
from repr_toolkit.runs.run import Run

GENERAL = (
    "An interval says how much a number would vary with other images of the same kind. How much it "
    "would vary with another training run is left out, unless the interval is said to be over "
    "training seeds; one over something else, such as orders of labels, says so where it stands.",
    "“Exact” likelihoods are those of the discrete images under the model; a bound or an estimate "
    "is called so where it stands.",
)
SOURCE = re.compile(r"((?:\w[\w.-]*=)?(?:untrained:)?)(.*/.*)")
"""A path among a command's words, after the name or the kind that a source may have."""


def origins(reported: Reported, command: Sequence[str]) -> Section:
    """The full configurations, and the commands; `command` is the one that writes the report."""
    again = [*analysis_commands(reported), shlex.join(command)]
    trained = [training_command(run) for run in reported.runs.values()]
    title = "Measure again, and write this report" if again[1:] else "Write this report again"
    blocks: list[Block] = [
        Source(title, "\n".join(again)),
        Source("Train again, under new names", "\n".join(trained)),
        Paragraph("Everything that each run was trained with, as it stands in its `config.yaml`:"),
    ]
    for name, run in reported.runs.items():
        blocks.append(Source(name, run.config_file.read_text("utf-8"), folded=True))
    lead = (
        "A run’s configuration alone rebuilds its model. The first commands make the analyses and "
        "this page again; training again makes a new run beside each, since none is overwritten."
    )
    return Section("origins", "Configuration and commands", lead, blocks)


def training_command(run: Run) -> str:
    """The command that trains a run again, under another name, since no run is overwritten."""
    name = f"{run.path.resolve().name}_again"
    words = ["repr-toolkit", "train", str(run.config_file), "--name", name]
    return shlex.join([*words, "--runs-dir", str(run.path.parent)])


def analysis_commands(reported: Reported) -> list[str]:
    """The commands of all analyses on the page, as they were typed, each once."""
    commands: dict[str, None] = {}
    for kept in (reported.kept(analysis) for analysis in reported.analyses_shown):
        for result in kept.values():
            commands[shlex.join(where_runs_are(shlex.split(result.command), reported))] = None
    study = study_of(reported)
    if study is not None:
        commands[study.command] = None
    return [*commands]


def where_runs_are(words: Sequence[str], reported: Reported) -> list[str]:
    """A command's words in which each run of the report, by its folder's name, has its path of now.

    Left as they are where several paths end in that name: folders may have been moved, and commands
    given in another one.
    """
    places: dict[str, list[str]] = {}
    for run in reported.runs.values():
        places.setdefault(run.path.resolve().name, []).append(str(run.path))
    moved = {}
    for name, now in places.items():
        # NAME=RUN and untrained:RUN, too; a word without a slash may be something else.
        paths = {m[2] for m in map(SOURCE.fullmatch, words) if m and Path(m[2]).name == name}
        if len(paths) == len(now) == 1:
            moved[paths.pop()] = now[0]
    matches = [(word, SOURCE.fullmatch(word)) for word in words]
    return [m[1] + moved.get(m[2], m[2]) if m else word for word, m in matches]


def report_command(
    paths: Sequence[str | Path],
    split: str,
    out: Path,
    *,
    measure: bool = False,
    wandb: bool = False,
    frozen: str | Path | None = None,
) -> list[str]:
    """The command that writes the report again."""
    words = ["repr-toolkit", "report", *map(str, paths), "--split", split, "--out", str(out)]
    words += ["--frozen", str(frozen)] if frozen is not None else []
    return words + ["--all"] * measure + ["--wandb"] * wandb


def notes(reported: Reported) -> Section:
    """What every number of the comparison is, in full."""
    items = [*reported.comparison.notes, *GENERAL]
    if reported.unfinished:
        names = ", ".join(reported.unfinished)
        items.append(f"Left out, since their training has not ended: {names}.")
    lead = "In full, for those who want to check a number or cite it."
    return Section("notes", "What the numbers are", lead, [Notes(items)])
