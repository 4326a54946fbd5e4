"""Where a report comes from: configurations, and the commands that make all of it again."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from repr_toolkit.report.blocks import Block, Notes, Paragraph, Section, Source
from repr_toolkit.report.found import Reported
from repr_toolkit.runs import Run

GENERAL = (
    "An interval says how much a number would vary with other images of the same kind. It leaves "
    "out how much it would vary with another training run: there is one run a column.",
    "“Exact” likelihoods are those of the discrete images under the model; a bound or an estimate "
    "is called so where it stands.",
)


def origins(found: Reported, command: Sequence[str]) -> Section:
    """The full configurations, and the commands."""
    commands = [training_command(run) for run in found.runs.values()]
    blocks: list[Block] = [
        Source("Train again", "\n".join(commands)),
        Source("Make this report again", shlex.join(command)),
        Paragraph("Everything that each run was trained with, as it stands in its `config.yaml`:"),
    ]
    for name, run in found.runs.items():
        blocks.append(Source(name, run.config_file.read_text("utf-8"), folded=True))
    lead = "A run’s configuration alone rebuilds its model; these commands make everything again."
    return Section("origins", "Configuration and commands", lead, blocks)


def training_command(run: Run) -> str:
    """The command that trains a run again, under another name, since no run is overwritten."""
    name = f"{run.path.resolve().name}_again"
    words = ["repr-toolkit", "train", str(run.config_file), "--name", name]
    return shlex.join([*words, "--runs-dir", str(run.path.parent)])


def report_command(paths: Sequence[str | Path], split: str, out: Path) -> list[str]:
    """The command that writes the report again."""
    return ["repr-toolkit", "report", *map(str, paths), "--split", split, "--out", str(out)]


def notes(found: Reported) -> Section:
    """What every number of the comparison is, in full."""
    items = [*found.compared.notes, *GENERAL]
    if found.unfinished:
        names = ", ".join(found.unfinished)
        items.append(f"Left out, since their training has not ended: {names}.")
    lead = "In full, for those who want to check a number or cite it."
    return Section("notes", "What the numbers are", lead, [Notes(items)])
