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
    from repr_toolkit.analyses.verification.measure import (
        notes,
        report_run,
        report_stored,
        roc_lines,
        table,
    )
    from repr_toolkit.runs.run import Run
    from repr_toolkit.support.files import atomic_write, require_picture
    from repr_toolkit.support.roc import roc_picture

    out = None if options.out is None else Path(options.out)
    if out is not None:
        require_picture(out, "the ROC", overwrite=options.overwrite)
    run = Run(options.target)
    if run.config_file.is_file():
        report = report_run(
            run, options.split, batch_size=options.batch_size, progress=not options.json
        )
    elif options.wandb:
        raise ValueError(
            f"{options.target} is no run; --wandb logs to the run that training logged to"
        )
    else:
        report = report_stored(_data(options.target), options.split)
    if out is not None:
        with atomic_write(out) as file:
            roc_picture(roc_lines([report])).save(file, "PNG")
    if options.json:
        print(json.dumps(report.numbers(), indent=2))
    else:
        own = report.own
        print(
            f"{report.of}, {report.split}: {own.images:,} images of {own.people:,} people, "
            f"{own.same_pairs:,} same and {own.different_pairs:,} different pairs\n"
        )
        print(table(report))
        print(notes([report]), end="")
        if out is not None:
            print(f"\n{out}")
    if options.wandb:  # last, so that nothing is lost without a network
        from repr_toolkit.analyses.verification.to_wandb import log_verification

        log_verification(run, report)


def _data(target: str) -> "ImageData":
    from repr_toolkit.data import load_data

    try:
        return load_data(target)
    except (ValueError, FileNotFoundError) as error:
        told = str(error).replace("--data.root or ", "")  # which this command does not take
        raise type(error)(f"{target} is no run, and no data either: {told}") from error


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
    command.add_argument(
        "--wandb",
        action="store_true",
        help="log the numbers and the ROC to the run's own on Weights & Biases too "
        "(WANDB_MODE=offline works)",
    )
    command.add_argument("--overwrite", action="store_true", help="replace --out if it exists")
    subcommands.add_subcommand("verify", command, help="how well h tells people apart")
