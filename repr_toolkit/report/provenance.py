"""Where a report comes from: configurations, and the commands that make all of it again."""

import shlex
from itertools import chain

from repr_toolkit.page.blocks import Block, Notes, Paragraph, Section, Source
from repr_toolkit.report.frozen import choose_study
from repr_toolkit.report.inputs import Reported
from repr_toolkit.runs.run import Run
from repr_toolkit.support.reading import read_text

GENERAL = (
    "An interval says how much a number would vary with other images of the same kind. How much it "
    "would vary with another training run is left out, unless the interval is said to be over "
    "training seeds; one over something else, such as orders of labels, says so where it stands.",
    "“Exact” likelihoods are those of the discrete images under the model; a bound or an estimate "
    "is called so where it stands.",
)


def origins(reported: Reported, command: str) -> Section:
    """The full configurations, and the commands; `command` is the one that writes the report."""
    again = [*analysis_commands(reported), command]
    trained = [training_command(run) for run in reported.runs.values()]
    title = "Measure again, and write this report" if again[1:] else "Write this report again"
    blocks: list[Block] = [
        Source(title, "\n".join(again)),
        Source("Train again, under new names", "\n".join(trained)),
        Paragraph("Everything that each run was trained with, as it stands in its `config.yaml`:"),
    ]
    for name, run in reported.runs.items():
        blocks.append(Source(name, read_text(run.config_file), folded=True))
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
    kept = [reported.kept(analysis).values() for analysis in reported.analyses_shown]
    study, _ = choose_study(reported)
    results = [*chain.from_iterable(kept), *([study] if study else [])]
    return [*dict.fromkeys(result.command for result in results)]


def notes(reported: Reported) -> Section:
    """What every number of the comparison is, in full."""
    comparison = reported.comparison
    items = [*(comparison["notes"] if comparison else ()), *GENERAL]
    if reported.unfinished:
        names = ", ".join(reported.unfinished)
        items.append(f"Left out, since their training has not ended: {names}.")
    lead = "In full, for those who want to check a number or cite it."
    return Section("notes", "What the numbers are", lead, [Notes(items)])
