"""The commands that move h: `traverse` and `edit` along directions, `interpolate` to another."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt, PositiveFloat

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import Command, Settings, add_command, drawing
from repr_toolkit.support.console import engine_log_shown

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

INSTEAD = "give numbers of images of a split instead of files"

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
    encoded = encode_pictures(run, model, options.pictures, options.weights, instead=INSTEAD)
    return {"pictures": encoded}


def interpolate(options: Namespace, settings: Settings) -> None:
    """Draw rows of pictures from one picture's h to another's, or from z to z for a flow.

    A row has one noise, so that only h moves; its ends are the two pictures themselves. For a run
    on face embeddings they are photographs of people. Where noise changes nothing there is one row.
    A PICTURE is an image file, or the number of an image of the split.
    """
    import torch

    from repr_toolkit.commands.common import draws_of, encode_pictures, numbers_of
    from repr_toolkit.commands.results import save_rows
    from repr_toolkit.models.encode import encode_batch
    from repr_toolkit.runs.run import Run, load_with_decoder
    from repr_toolkit.sampling.draw import sample
    from repr_toolkit.sampling.paths import path, smoothness

    run, named = Run(options.run), [options.a, options.b]
    model = load_with_decoder(run)
    if numbers := numbers_of(named):
        data = run.load_data()
        data.require_images(options.split, numbers)
        batch = data.split(options.split)[numbers]
        ends, (a, b) = batch["image"], encode_batch(model, batch)
    else:
        ends, (a, b) = encode_pictures(run, model, named, options.weights, instead=INSTEAD)
    levels = model.decoder.levels
    with engine_log_shown():
        h = path(a, b, options.steps, options.way)
        steps = sample(model, h, n=draws_of(model, options.rows, options), **drawing(options))
    images = steps.transpose(0, 1)  # (rows, steps, C, H, W)
    left, right = (end.expand(len(images), 1, *end.shape) for end in ends)
    rows = torch.cat([left, images, right], dim=1)
    if len(images) > 1:
        adjacent, other_noise = smoothness(images, levels)
        print(
            f"neighbours in a row differ by {adjacent.mean():.4f}, the same h under other "
            f"noise by {other_noise.mean():.4f} (mean absolute intensities of [0, 1]); "
            f"closer in {(adjacent < other_noise).sum()} of {len(images)} rows"
        )
    columns = [f"{step / (options.steps - 1):.2f}" for step in range(options.steps)]
    names = [f"noise {number}" for number in range(1, len(rows) + 1)]
    columns = [*(Path(end).name for end in named[:1]), *columns, Path(named[1]).name]
    save_rows(rows, levels, options, column_names=columns, row_names=names)


def _add_run_and_directions(command: Command, pictures: str, help: str, **along: Any) -> None:
    """The run, any or some pictures by `pictures` "*" or "+", and `--along`."""
    command.add_shared("run")
    command.add_argument(
        "pictures",
        nargs=pictures,
        metavar="PICTURE",
        help="image files, or numbers of images",
        check=checks.picture_or_number,
    )
    command.add_argument(
        "--along", nargs="+", metavar="DIRECTION", words=direction, help=help, **along
    )


def _add_options(command: Command, *, out: str | None, alpha: list[float] | None) -> None:
    """What `traverse` and `edit` take beside these."""
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
    default = "(default: the first principal directions and the means of labels)"
    _add_run_and_directions(command, "*", default)
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
    _add_run_and_directions(command, "+", "such as mean:smile", required=True)
    _add_options(command, out="edit.png", alpha=[-1.0, 0.0, 1.0])

    command = add_command(
        subcommands, interpolate, "draw the way from one picture to another", finds_data=True
    )
    command.add_shared("run")
    for name, what in {"a": "where the path begins", "b": "where it ends"}.items():
        metavar = f"PICTURE_{name.upper()}"
        command.add_argument(name, metavar=metavar, help=what, check=checks.picture_or_number)
    command.add_count("--steps", 9, "pictures in a row")
    command.add_count("--rows", 4, "rows, each of another noise")
    command.add_shared("--split")
    command.add_argument(
        "--way",
        choices=("linear", "spherical"),
        default="linear",
        help="the straight line, or one that keeps the length of h, 1 for face embeddings",
    )
    command.add_shared("--weights")
    command.add_drawing()
    command.add_out(default="interpolate.png")
