"""The command that measures whether things stand where h says."""

from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt

from repr_toolkit.commands.options import (
    Settings,
    add_engine,
    add_json,
    add_out,
    add_seed,
    add_split,
    add_temperature,
    drawing,
    make_parser,
)


def where(options: Namespace, settings: Settings) -> None:
    """Keep with the runs how near to where h says things stand in samples, and print it."""
    from repr_toolkit.analyses.placement import ANALYSIS
    from repr_toolkit.analyses.placement.measure import measure_alike
    from repr_toolkit.analyses.placement.picture import picture
    from repr_toolkit.commands.results import keep_and_show, required_picture, save_figure
    from repr_toolkit.runs.run import Run

    out = required_picture(options)
    runs = [Run(path) for path in options.runs]
    results = measure_alike(
        runs,
        options.split,
        images=options.images,
        rows=options.rows,
        columns=options.columns,
        **drawing(options),
    )
    keep_and_show(ANALYSIS, dict(zip(runs, results, strict=True)), options)
    if out is not None:
        save_figure(picture(results), out, options)


def add_commands(subcommands: Any) -> None:
    """Add the parsers of this module's commands."""
    command = make_parser(
        "Measure whether things stand where h says, in samples given the h of held-out images:\n"
        "for encoders that read `landmarks`, how far the eyes are from where they should be; for\n"
        "those that read `quadrant`, how often the ink is there. Beside it stand the same for\n"
        "another image's h (chance) and for the images themselves (what can be reached). Several\n"
        "runs are given the same h and noise, and compared to the first image by image. Kept in\n"
        "RUN/analysis/ for the report."
    )
    command.add_argument("runs", nargs="+", metavar="RUN", help="run directories, of the same data")
    add_split(command)
    command.add_argument(
        "-n",
        "--images",
        type=PositiveInt,
        help="images of the split whose h is taken, one sample for each (default: all)",
    )
    add_seed(command, "of the noise")
    add_temperature(command, 1.0)
    add_engine(command)
    add_json(command)
    add_out(command, "PNG to draw: samples, with crosses where h says")
    command.add_argument("--rows", type=PositiveInt, default=8, help="images in the picture")
    command.add_argument(
        "--columns", type=PositiveInt, default=3, help="samples of each run for each of them"
    )
    subcommands.add_subcommand("where", command, help="whether things stand where h says")
