"""The command that says what samples of one h have in common."""

from typing import Any

from jsonargparse import Namespace

from repr_toolkit.commands.options import Settings, add_command, drawing


def invariance(options: Namespace, settings: Settings) -> None:
    """Say what several samples from the h of an image have in common, and what differs.

    What is alike among them h has fixed, what differs it leaves open: the variance of pixels; how
    often a classifier that was trained on real images judges samples to be what their image is;
    whether the encoder, given the samples, finds the h again; and whether the nearest images by h
    are those by pixels. Kept in RUN/analysis/ for the report.
    """
    from repr_toolkit.analyses.invariance import ANALYSIS, measure
    from repr_toolkit.analyses.invariance.picture import picture
    from repr_toolkit.commands.results import keep_and_show, save_picture
    from repr_toolkit.runs.run import Run
    from repr_toolkit.support.console import engine_log_shown

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
    if options.out is not None:
        save_picture(lambda: picture(result), options)


def add_commands(subcommands: Any) -> None:
    command = add_command(
        subcommands, invariance, "what samples of one h have in common", finds_data=True
    )
    command.add_shared("run", "--split")
    command.add_count("--images", 64, "images whose h is taken")
    command.add_count("-n", 16, "samples of each h")
    command.add_argument(
        "--by",
        metavar="KEY",
        help="what to judge: label, identity or any other key, or column KEY[i], of whole numbers "
        "(default: the label or the identity, where there are any)",
    )
    command.add_count("--neighbours", 5, "nearest training images that count")
    command.add_drawing(seed="of noise and judge")
    command.add_shared("--json")
    what = "PNG to draw: images, samples, what varies, and the nearest images"
    command.add_out(what, suffixes=(".png",))
    command.add_count("--rows", 10, "images in the picture")
