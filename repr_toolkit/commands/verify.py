"""The command that measures how well a representation tells people apart."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt

from repr_toolkit.commands.options import Settings, make_parser

if TYPE_CHECKING:
    from repr_toolkit.data import ImageData


def verify(options: Namespace, settings: Settings) -> None:
    """Print what the verification protocol finds of a run's h, or of stored embeddings."""
    from repr_toolkit.roc import roc_picture
    from repr_toolkit.runs import Run, atomic_write
    from repr_toolkit.verification_report import (
        notes,
        report_run,
        report_stored,
        roc_lines,
        table,
    )

    out = None if options.out is None else Path(options.out)
    if out is not None:
        _refuse_unwritable(out, overwrite=options.overwrite)
    run = Run(options.target)
    if run.config_file.is_file():
        report = report_run(
            run, options.split, batch_size=options.batch_size, progress=not options.json
        )
    else:
        report = report_stored(_data(options.target), options.split)
    if out is not None:
        with atomic_write(out) as file:
            roc_picture(roc_lines([report])).save(file, "PNG")
    if options.json:
        print(json.dumps(report.numbers(), indent=2))
        return
    own = report.own
    print(
        f"{report.of}, {report.split}: {own.images:,} images of {own.people:,} people, "
        f"{own.same_pairs:,} same and {own.different_pairs:,} different pairs\n"
    )
    print(table(report))
    print(notes([report]), end="")
    if out is not None:
        print(f"\n{out}")


def _data(target: str) -> "ImageData":
    from repr_toolkit.data import load

    try:
        return load(target)
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"{target} is no run, and no data either: {error}") from error


def _refuse_unwritable(path: Path, *, overwrite: bool) -> None:
    """Say before the work whether a picture can be written to ``path``."""
    if path.suffix != ".png":
        raise ValueError(f"the ROC is written as .png, not as {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} of the picture {path} does not exist")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another name, or ask to overwrite it")


def add_commands(subcommands: Any) -> None:
    """Add the parsers of this module's commands."""
    command = make_parser(
        "Say how well a representation tells people apart, by the protocol of Labeled Faces in\n"
        "the Wild: same and different pairs, ROC AUC, accuracy on ten folds, true accepts at low\n"
        "false ones, and whose the nearest other image is; beside raw pixels and class-whitened\n"
        "PCA. Of a run its encoder's h is measured, of data their stored embeddings."
    )
    command.add_argument(
        "target",
        metavar="RUN_OR_DATA",
        help="run directory; or data with embeddings, as a file or as a name in $REPR_TOOLKIT_DATA",
    )
    command.add_argument("--split", default="test", help="train, val or test")
    command.add_argument("--batch-size", type=PositiveInt, default=256, help="images at a time")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--out", metavar="ROC.png", help="picture of the ROC to write")
    command.add_argument("--overwrite", action="store_true", help="replace --out if it exists")
    subcommands.add_subcommand("verify", command, help="how well h tells people apart")
