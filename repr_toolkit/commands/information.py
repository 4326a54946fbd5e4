"""The command that counts the bits in the h of a run, by its own decoder."""

from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt

from repr_toolkit.commands.options import (
    Settings,
    add_json,
    add_out,
    add_run,
    add_seed,
    add_split,
    make_parser,
)


def information(options: Namespace, settings: Settings) -> None:
    """Keep with the run how many bits its h saves its decoder, and print it; draw it if asked."""
    from repr_toolkit.analyses.information import ANALYSIS, measure
    from repr_toolkit.commands.results import keep_and_show, required_picture, save_figure
    from repr_toolkit.runs.run import Run

    out = required_picture(options)
    run = Run(options.run)
    result = measure(
        run,
        options.split,
        without=options.without,
        along=options.along,
        parts=options.parts,
        part_images=options.part_images,
        candidates=options.candidates,
        bound_images=options.bound_images,
        seed=options.seed,
        batch_size=options.batch_size,
        progress=not options.json,
    )
    keep_and_show(ANALYSIS, {run: result}, options)
    if out is not None:
        save_figure(result.picture(), out, options)


def add_commands(subcommands: Any) -> None:
    """Add the parsers of this module's commands."""
    command = make_parser(
        "Count the bits that h carries about images, by a run's own decoder: given own h, another\n"
        "image's and the mean; a lower bound of the mutual information; where in the image, and\n"
        "for which parts of h. Kept in RUN/analysis/ for the report. `frozen` compares encoders\n"
        "of any origin, by fresh decoders of one kind and budget."
    )
    add_run(command)
    add_split(command)
    command.add_argument("--without", metavar="RUN", help="run without this h, on the same images")
    command.add_argument("--along", help="what of h is resampled: coordinates or principal")
    command.add_argument("--parts", type=PositiveInt, default=32, help="how many of them")
    command.add_argument("--part-images", type=PositiveInt, default=128, help="on how many images")
    add_candidates(command)
    command.add_argument(
        "--bound-images", type=PositiveInt, default=512, help="images of the lower bound"
    )
    command.add_argument("--batch-size", type=PositiveInt, default=256, help="images at a time")
    add_seed(command, "of all that is drawn")
    add_json(command)
    add_out(command, "PNG of the maps to draw")
    subcommands.add_subcommand("information", command, help="bits that h carries about images")


def add_candidates(command: Any) -> None:
    """The candidates of the lower bound."""
    command.add_argument(
        "--candidates", type=PositiveInt, default=16, help="h among which the bound finds own h"
    )
