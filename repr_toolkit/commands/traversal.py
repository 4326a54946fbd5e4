"""The commands that move h along directions: `traverse`, and `edit` of given pictures."""

import re
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt, PositiveFloat

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import Command, Settings, add_command, drawing

if TYPE_CHECKING:
    from repr_toolkit.runs.run import Run

ALONG = """\
A direction is one of the following, where h is z for a flow without encoder:
  coordinate:3     one coordinate of h
  principal:0      a principal direction of the training images' h, 0 the widest
  probe:7          that of a logistic regression for a class, or for an attribute of the data
  mean:7           from the mean h without the class or attribute to the mean h with it
α counts standard deviations of the training images' h along it, for mean the way between the
means. An attribute is the name of a label or identity (its code, where codes have no names), or a
key of the data (KEY[i] is a column of one) that has two values, or KEY=VALUE; or brightness, or
pose by the data's landmarks, above the median training image's. A PICTURE is an image file, or the
number of an image of the split.
"""

direction = re.compile(r"\w+:.+").fullmatch
"""Whether a word of the command line is a direction."""


def traverse(options: Namespace, settings: Settings) -> None:
    """Move the h of images of a split, or of pictures, step by step along directions.

    A row has one noise, so that only h moves; where α is 0 stands the reconstruction. Prints how
    far the pictures of --measure images of the split move and, for a class or an attribute, how
    many a classifier of real images judges to have it at each α. Kept in RUN/analysis/ for the
    report, unless pictures are given.
    """
    if options.pictures and options.out is None:
        options.out = "traverse.png"
    names = ("steps", "span", "images")
    _traverse(options, measured=options.measure, **{name: options[name] for name in names})


def edit(options: Namespace, settings: Settings) -> None:
    """Draw pictures with their h moved along directions by given amounts.

    A smile more, a smile less: a row has one noise; α = 0 gives the reconstruction. It is
    `traverse` of these pictures, without measurements.
    """
    _traverse(options, measured=0)


def _traverse(options: Namespace, **what: Any) -> None:
    from repr_toolkit.analyses.traversal import ANALYSIS, measure
    from repr_toolkit.analyses.traversal.picture import picture
    from repr_toolkit.commands.results import keep_and_show, require_pictures, save_picture
    from repr_toolkit.runs.run import Run
    from repr_toolkit.support.console import engine_log_shown

    require_pictures(options)
    run = Run(options.run)
    if options.pictures:
        what |= _pictures(run, options)
    with engine_log_shown(not options.json):
        result = measure(
            run,
            options.split,
            along=options.along,
            alphas=options.alpha,
            keep_length=None if options.length is None else options.length == "keep",
            **drawing(options),
            **what,
        )
    # The report shows images of the split, chosen with no eye on the result.
    keep_and_show(ANALYSIS, {run: result}, options, keep=not options.pictures)
    if options.out is not None:
        save_picture(lambda: picture(result), options, result.arrays())


def _pictures(run: "Run", options: Namespace) -> dict[str, Any]:
    """The pictures of the command line, as arguments of `measure`."""
    from repr_toolkit.commands.common import encode_pictures, numbers_of
    from repr_toolkit.runs.run import load_with_decoder

    if numbers := numbers_of(options.pictures):
        return {"images": numbers}
    model = load_with_decoder(run)
    instead = "give numbers of images of a split instead of files"
    encoded = encode_pictures(run, model, options.pictures, options.weights, instead=instead)
    return {"pictures": encoded}


def _add_options(command: Command, *, out: str | None, alpha: list[float] | None) -> None:
    """What both commands take."""
    command.add_argument(
        "--alpha",
        type=float,
        nargs="+",
        default=alpha,
        help="how far, each a picture" + ("" if alpha else ", in place of --steps and --span"),
    )
    command.add_shared("--split")
    command.add_argument(
        "--length",
        choices=("keep", "free"),
        help="whether a move keeps the length of h (default: where all training images' h have "
        "one length, as face embeddings do)",
    )
    command.add_shared("--weights", "--json")
    command.add_drawing(seed="of noise and judges")
    command.add_out(default=out)


def add_commands(subcommands: Any) -> None:
    command = add_command(
        subcommands, traverse, "how pictures change as h moves", ALONG, finds_data=True
    )
    command.add_shared("run")
    command.add_argument(
        "pictures",
        nargs="*",
        metavar="PICTURE",
        help="image files, or numbers of images",
        check=checks.picture_or_number,
    )
    command.add_argument(
        "--along",
        nargs="+",
        metavar="DIRECTION",
        words=direction,
        help="(default: the first principal directions and the means of labels)",
    )
    command.add_count("--images", 3, "of the split to show, without pictures")
    command.add_count("--steps", 9, "pictures in a row")
    command.add_argument(
        "--span", type=PositiveFloat, help="α goes from −span to span (default: 3, for mean 1)"
    )
    command.add_argument(
        "--measure", type=NonNegativeInt, default=64, help="images of the split to measure; or 0"
    )
    _add_options(command, out=None, alpha=None)

    command = add_command(
        subcommands, edit, "draw pictures with an attribute changed", ALONG, finds_data=True
    )
    command.add_shared("run")
    command.add_argument(
        "pictures",
        nargs="+",
        metavar="PICTURE",
        help="image files, or numbers of images",
        check=checks.picture_or_number,
    )
    command.add_argument(
        "--along",
        nargs="+",
        metavar="DIRECTION",
        words=direction,
        required=True,
        help="such as mean:smile",
    )
    _add_options(command, out="edit.png", alpha=[-1.0, 0.0, 1.0])
