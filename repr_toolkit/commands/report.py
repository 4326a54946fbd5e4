"""The command that writes the report of runs."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import Settings, add_command


def report(options: Namespace, settings: Settings) -> None:
    """Write all that is known of runs to one HTML file, which needs no network.

    A table of all runs side by side, reconstructions, what h tells and leaves open, training
    curves, configurations. A run's analyses are those that their commands, such as `probe` and
    `verify`, kept in RUN/analysis/. Which frozen h saves a fresh decoder the most bits is measured
    by `frozen RECIPE RUN…`, and stands in the report with --frozen.
    """
    from repr_toolkit.report import write_report

    written = write_report(
        options.runs,
        options.out,
        split=options.split,
        overwrite=options.overwrite,
        measure=options.all,
        wandb=options.wandb,
        frozen=options.frozen,
        analyses=options.analysis,
        command=options.typed,
    )
    print(written)


def _check_out(options: Namespace, settings: Settings) -> None:
    from repr_toolkit.page.html import refuse_others

    if options.out is not None:
        refuse_others(Path(options.out), overwrite=options.overwrite)


def add_commands(subcommands: Any) -> None:
    command = add_command(
        subcommands, report, "one HTML page of everything about runs", finds_data=True
    )
    command.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="run directories, or folders of runs such as studies",
        check=checks.runs,
    )
    command.add_argument(
        "--out", help="HTML file to write (default: report.html in the run's or runs' folder)"
    )
    command.checks.append(_check_out)
    command.add_shared("--split")
    command.add_argument(
        "--all",
        action="store_true",
        help="first make the analyses that runs lack, some minutes for each run on a CPU",
    )
    command.add_argument(
        "--frozen",
        metavar="STUDY",
        help="folder that `frozen RECIPE RUN…` wrote, such as runs/frozen_NAME: show its "
        "study of frozen h, which must be of the runs' own images, with them",
    )
    command.add_argument(
        "--analysis",
        nargs="+",
        default=[],
        metavar="MODULE",
        help="import paths of modules with an analysis of your own, which get a section too",
    )
    command.add_shared(
        "--wandb",
        help="log the page, its tables and pictures to Weights & Biases too (WANDB_MODE=offline "
        "works)",
    )
    command.add_argument(
        "--overwrite",
        action="store_true",
        help="replace --out even if it is not a report (a report is replaced anyway)",
    )
