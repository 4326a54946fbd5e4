"""The command that says what samples of one h have in common."""

from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt

from repr_toolkit.commands.options import (
    Settings,
    add_engine,
    add_json,
    add_out,
    add_run,
    add_seed,
    add_split,
    add_temperature,
    drawing,
    make_parser,
)


def invariance(options: Namespace, settings: Settings) -> None:
    """Keep with the run what is alike among samples of one h, and print it; draw it where asked."""
    from repr_toolkit.analyses.invariance import ANALYSIS, measure
    from repr_toolkit.commands.results import keep_and_show, required_picture, save_figure
    from repr_toolkit.runs.run import Run
    from repr_toolkit.support.console import engine_log_shown

    out = required_picture(options)
    run = Run(options.run)
    with engine_log_shown(not options.json):
        result = measure(
            run,
            options.split,
            images=options.images,
            samples=options.n,
            key=options.by,
            k=options.neighbours,
            rows=options.rows,
            **drawing(options),
        )
    keep_and_show(ANALYSIS, {run: result}, options)
    if out is not None:
        save_figure(result.picture(), out, options)


def add_commands(subcommands: Any) -> None:
    """Add the parsers of this module's commands."""
    command = make_parser(
        "Draw several samples from the h of each of some held-out images, and say what is alike\n"
        "among them, which h has fixed, and what differs, which it leaves open: the variance of\n"
        "pixels; how often a classifier that was trained on real images judges samples to be what\n"
        "their image is; whether the encoder, given the samples, finds the h again; and whether\n"
        "the nearest images by h are those by pixels. Kept in RUN/analysis/ for the report."
    )
    add_run(command)
    add_split(command)
    command.add_argument("--images", type=PositiveInt, default=64, help="images whose h is taken")
    command.add_argument("-n", type=PositiveInt, default=16, help="samples of each h")
    command.add_argument(
        "--by",
        metavar="KEY",
        help="what to judge: label, identity or any other key, or column KEY[i], of whole numbers "
        "(default: the label or the identity, where there are any)",
    )
    command.add_argument(
        "--neighbours", type=PositiveInt, default=5, help="nearest training images that count"
    )
    add_seed(command, "of noise and judge")
    add_temperature(command)
    add_engine(command)
    add_json(command)
    add_out(command, "PNG to draw: images, samples, what varies, and the nearest images")
    command.add_argument("--rows", type=PositiveInt, default=10, help="images in the picture")
    subcommands.add_subcommand("invariance", command, help="what samples of one h have in common")
