"""The commands that move h along a direction and draw what becomes of the pictures."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

from repr_toolkit.commands.common import encode_pictures, name_outputs, tell_left
from repr_toolkit.commands.options import (
    Settings,
    add_drawing_options,
    add_keep,
    add_run,
    add_weights,
    make_parser,
)
from repr_toolkit.support.console import engine_log_shown

if TYPE_CHECKING:
    from torch import Tensor

    from repr_toolkit.analyses.traversal.measure import Mover, Moves

ALONG = """\
A direction is one of
  coordinate:3     one coordinate of h
  principal:0      a principal direction of the training images' h, 0 the widest
  probe:7          that of a logistic regression for a class, or for an attribute of the data
  mean:7           from the mean h without the class or attribute to the mean h with it
α counts standard deviations of the training images' h along it, for mean the way between the
means. An attribute is the code or name of a label or identity, or a key of the data (KEY[i] is a
column of one) that has two values, or KEY=VALUE. A PICTURE is an image file, or the number of an
image of the split.
"""


def traverse(options: Namespace, settings: Settings) -> None:
    """Draw images with their h moved step by step; print how far and where to they move."""
    if options.keep and options.pictures:
        raise ValueError("--keep is for images of the split: the report names no others")
    mover = _mover(options)
    given = _given(mover, options.pictures, options.weights) if options.pictures else None
    with engine_log_shown(not options.json):
        found = mover.move(
            options.along,
            steps=options.steps,
            span=options.span,
            given=given,
            shown=options.images,
            measured=options.measure,
        )
    if (options.along is None and given is None and options.measure) or options.keep:
        tell_left(found.save(mover.run.path, keep=options.keep), mover.run.path, "moves")
    _tell(found, options)


def edit(options: Namespace, settings: Settings) -> None:
    """Draw pictures with their h moved by given amounts."""
    mover = _mover(options)
    with engine_log_shown(not options.json):
        found = mover.move(
            options.along,
            alphas=options.alpha,
            given=_given(mover, options.pictures, options.weights),
            measured=0,
        )
    _tell(found, options)


def _mover(options: Namespace) -> "Mover":
    from repr_toolkit.analyses.traversal.measure import Mover
    from repr_toolkit.runs.run import Run, load_with_decoder
    from repr_toolkit.sampling.draw import refuse_unwritable
    from repr_toolkit.support.processes import fastest_device

    refuse_unwritable(Path(options.out), overwrite=options.overwrite)
    run = Run(options.run)
    return Mover(
        run,
        load_with_decoder(run).to(fastest_device()),
        options.split,
        keep_length=None if options.length is None else options.length == "keep",
        seed=options.seed,
        temperature=options.temperature,
        engine=options.engine,
        progress=not options.json,
    )


def _given(mover: "Mover", pictures: Sequence[str], weights: str | None) -> "tuple[Tensor, Tensor]":
    """Pictures at the model's size, and their h: files, or numbers of images of the split."""
    numbered = [name for name in pictures if name.isdecimal() and not Path(name).exists()]
    if numbered and len(numbered) < len(pictures):
        raise ValueError(
            f"give picture files or numbers of images, not both: there is no file {numbered[0]}"
        )
    if numbered:
        numbers = [int(name) for name in pictures]
        if max(numbers) >= len(mover.split):
            raise ValueError(
                f"the {mover.split_name} split has the images 0…{len(mover.split) - 1}, "
                f"not {max(numbers)}"
            )
        return mover.split[numbers]["image"], mover.codes(mover.split_name, numbers)
    return encode_pictures(
        mover.model,
        pictures,
        weights,
        instead="give numbers of images of a split instead of files",
    )


def _tell(found: "Moves", options: Namespace) -> None:
    """Write the picture and its values, and print what was measured."""
    import numpy as np

    from repr_toolkit.analyses.traversal.table import picture, table
    from repr_toolkit.support.files import atomic_write
    from repr_toolkit.support.pictures import DPI

    out = Path(options.out)
    with atomic_write(out.with_suffix(".npz")) as file:
        np.savez_compressed(file, allow_pickle=False, **found.arrays())
    if out.suffix == ".png":
        with atomic_write(out) as file:
            picture(found).savefig(file, dpi=DPI, format="png")
    if options.json:
        print(json.dumps(found.as_dict(), indent=2))
        return
    if found.protocol["measured_images"]:
        print(table(found))
    name_outputs(out)


def _add_common(command: ArgumentParser, out: str) -> None:
    command.add_argument("--split", default="test", help="train, val or test")
    command.add_argument(
        "--length",
        choices=("keep", "free"),
        help="whether a move keeps the length of h (default: where all training images' h have "
        "one length, as face embeddings do)",
    )
    add_weights(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    add_drawing_options(command, out, temperature=None)


def add_commands(subcommands: Any) -> None:
    """Add the parsers of this module's commands."""
    command = make_parser(
        "Draw pictures, or images of a split, with their h moved step by step along directions.\n"
        "A row has one noise, so that only h moves; where α is 0 stands the reconstruction.\n"
        "Prints how far the pictures of --measure images of the split move and, for a class or an\n"
        "attribute, how many a classifier of real images judges to have it at each α. Without\n"
        "pictures and --along a default set is drawn, and kept in RUN/analysis/ for the report.\n"
        "\n" + ALONG
    )
    add_run(command)
    command.add_argument(
        "pictures", nargs="*", metavar="PICTURE", help="image files, or numbers of images"
    )
    command.add_argument(
        "--along",
        nargs="+",
        metavar="DIRECTION",
        help="(default: the first principal directions and the means of labels)",
    )
    command.add_argument(
        "--images", type=PositiveInt, default=3, help="of the split to draw, without pictures"
    )
    command.add_argument("--steps", type=PositiveInt, default=9, help="pictures in a row")
    command.add_argument(
        "--span", type=PositiveFloat, help="α goes from −span to span (default: 3, for mean 1)"
    )
    command.add_argument(
        "--measure", type=NonNegativeInt, default=64, help="images of the split to measure; or 0"
    )
    add_keep(command)
    _add_common(command, "traverse.png")
    subcommands.add_subcommand("traverse", command, help="draw pictures along directions of h")

    command = make_parser(
        "Draw pictures with their h moved along directions by given amounts: a smile more, a\n"
        "smile less. A row has one noise; α = 0 gives the reconstruction.\n\n" + ALONG
    )
    add_run(command)
    command.add_argument(
        "pictures", nargs="+", metavar="PICTURE", help="image files, or numbers of images"
    )
    command.add_argument(
        "--along", nargs="+", metavar="DIRECTION", required=True, help="such as mean:smile"
    )
    command.add_argument(
        "--alpha", type=float, nargs="+", default=[-1.0, 0.0, 1.0], help="how far, each a picture"
    )
    _add_common(command, "edit.png")
    subcommands.add_subcommand("edit", command, help="draw pictures with an attribute changed")
