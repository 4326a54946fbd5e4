"""The command that says whether portraits keep the person."""

from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeFloat

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import Settings, add_command


def likeness(options: Namespace, settings: Settings) -> None:
    """Say whether a run's portraits keep the person.

    Portraits of held-out people are embedded again and matched with the people, by another
    photograph of each than the one they are drawn from, and by the same: AUC, and the share whose
    most similar person is their own. Real faces, put through the same, say what the numbers mean.
    Hard: against the ten most similar other people only. Second: by another embedder, fitted on
    training pixels, or the FaceNet of --judge. Kept in RUN/analysis/ for the report.
    """
    from torch import from_numpy

    from repr_toolkit.analyses.likeness import ANALYSIS, measure
    from repr_toolkit.commands.common import numbered
    from repr_toolkit.commands.results import keep_and_show, save_rows
    from repr_toolkit.runs.run import Run

    run = Run(options.run)
    result = measure(
        run,
        options.split,
        people=options.people,
        n=options.n,
        temperatures=options.temperatures,
        weights=options.weights,
        judge=options.judge,
        shown=options.shown,
        seed=options.seed,
        progress=not options.json,
    )
    keep_and_show(ANALYSIS, {run: result}, options)
    if options.out is not None:
        pictures, levels = result.pictured["pictures"], int(result.pictured["levels"])
        columns = [*numbered("photograph", draws=options.n), "by pixels", "by embedding"]
        save_rows(from_numpy(pictures), levels, options, column_names=columns)


def add_commands(subcommands: Any) -> None:
    command = add_command(
        subcommands, likeness, "say whether portraits keep the person", finds_data=True
    )
    command.add_shared("run", "--split")
    command.add_count("--people", None, "how many (default: all with two photographs)")
    command.add_count("-n", 4, "portraits of each person")
    command.add_argument(
        "--temperatures",
        type=NonNegativeFloat,
        nargs="+",
        default=[1.0],
        metavar="T",
        help="of the distributions drawn from",
    )
    command.add_shared("--seed", help="of noise and intervals")
    command.add_shared("--weights", "--json")
    command.add_argument(
        "--judge",
        metavar="WEIGHTS",
        help="of another FaceNet, a name or a file, to be the second embedder",
        check=checks.weights,
    )
    command.add_out("PNG to write: photograph, portraits, the training images nearest to them")
    command.add_count("--shown", 12, "people in the pictures")
