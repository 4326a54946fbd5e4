"""The command that says what samples of one h have in common."""

import json
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt

from repr_toolkit.commands.common import tell_left
from repr_toolkit.commands.options import Settings, add_keep, add_run, make_parser
from repr_toolkit.support.console import engine_log_shown


def invariance(options: Namespace, settings: Settings) -> None:
    """Print what is alike among samples of one h; keep it with the run; draw it where asked."""
    from repr_toolkit.analyses.invariance.measure import measure_invariance
    from repr_toolkit.analyses.invariance.result import table
    from repr_toolkit.support.files import atomic_write, require_picture
    from repr_toolkit.support.pictures import DPI

    out = None if options.out is None else Path(options.out)
    if out is not None:
        require_picture(out, overwrite=options.overwrite)
    with engine_log_shown(not options.json):
        found = measure_invariance(
            options.run,
            options.split,
            images=options.images,
            samples=options.n,
            key=options.by,
            k=options.neighbours,
            rows=options.rows,
            seed=options.seed,
            temperature=options.temperature,
            engine=options.engine,
            progress=not options.json,
        )
    tell_left(found.save(keep=options.keep), Path(options.run), "invariance")
    print(json.dumps(found.as_dict(), indent=2) if options.json else table(found))
    if out is not None:
        with atomic_write(out) as file:
            found.picture().savefig(file, dpi=DPI, format="png")
        if not options.json:
            print(out)


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
    command.add_argument("--split", default="test", help="train, val or test")
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
    command.add_argument("--seed", type=NonNegativeInt, default=0, help="of noise and judge")
    command.add_argument(
        "--temperature",
        type=NonNegativeFloat,
        help="of the distributions drawn from (default: 1, or 0 for a decoder that reconstructs "
        "by its mean)",
    )
    command.add_argument(
        "--engine", default="auto", help="how to sample; auto is the fastest that works here"
    )
    add_keep(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument(
        "--out", help="PNG to draw: images, samples, what varies, and the nearest images"
    )
    command.add_argument("--rows", type=PositiveInt, default=10, help="images in the picture")
    command.add_argument("--overwrite", action="store_true", help="replace --out if it exists")
    subcommands.add_subcommand("invariance", command, help="what samples of one h have in common")
