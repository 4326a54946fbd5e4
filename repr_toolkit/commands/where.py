"""The command that measures whether things stand where h says."""

from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import Settings, add_command, drawing


def where(options: Namespace, settings: Settings) -> None:
    """Measure whether things stand where h says, in samples given the h of held-out images.

    For encoders that read `landmarks`, how far the eyes are from where they should be; for those
    that read `quadrant`, how often the ink is there. Beside it stand the same for another image's h
    (chance) and for the images themselves (what can be reached). Several runs are given the same h
    and noise, and compared to the first image by image. Kept in RUN/analysis/ for the report.
    """
    from repr_toolkit.analyses.placement import ANALYSIS
    from repr_toolkit.analyses.placement.measure import measure_alike
    from repr_toolkit.analyses.placement.picture import picture
    from repr_toolkit.commands.results import keep_and_show, save_picture
    from repr_toolkit.runs.run import Run

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
    if options.out is not None:
        save_picture(lambda: picture(results), options)


def add_commands(subcommands: Any) -> None:
    command = add_command(subcommands, where, "whether things stand where h says", finds_data=True)
    command.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="run directories, of the same data",
        check=checks.finished_run,
    )
    command.add_shared("--split")
    command.add_argument(
        "-n",
        "--images",
        type=PositiveInt,
        help="images of the split whose h is taken, one sample for each (default: all)",
    )
    command.add_drawing(1.0)
    command.add_shared("--json")
    command.add_out("PNG to draw: samples, with crosses where h says", suffixes=(".png",))
    command.add_count("--rows", 8, "images in the picture")
    command.add_count("--columns", 3, "samples of each run for each of them")
