"""The command that measures how well a representation tells people apart."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import Settings, add_command

if TYPE_CHECKING:
    from repr_toolkit.analyses.verification.measure import Verifications
    from repr_toolkit.data import ImageData
    from repr_toolkit.runs.kept import Kept
    from repr_toolkit.runs.run import Run


def verify(options: Namespace, settings: Settings) -> None:
    """Say how well a representation tells people apart, as Labeled Faces in the Wild does.

    Same and different pairs, ROC AUC, accuracy on ten folds, true accepts at low false ones, and
    whose the nearest other image is; beside raw pixels and class-whitened PCA. Of a run its
    encoder's h is measured, and the result kept in RUN/analysis/ for the report; of data their
    stored embeddings.
    """
    from repr_toolkit.analyses.verification import ANALYSIS, measure
    from repr_toolkit.analyses.verification.measure import measure_stored, roc_lines
    from repr_toolkit.commands.results import keep_and_show, save_picture, show
    from repr_toolkit.runs.kept import unsaved
    from repr_toolkit.runs.run import Run
    from repr_toolkit.support.roc import roc_picture

    run = Run(options.target)
    kept: Mapping[str, Kept] = {}
    if run.config_file.is_file():
        result = measure(
            run, options.split, batch_size=options.batch_size, progress=not options.json
        )
        kept = keep_and_show(ANALYSIS, {run: result}, options)
    elif options.wandb:
        raise ValueError(
            f"{options.target} is no run; --wandb logs to the run that training logged to"
        )
    else:
        result = measure_stored(_data(options.target), options.split)
        show(ANALYSIS.shown, {options.target: unsaved(result, options.typed)}, options)
    if options.out is not None:
        save_picture(lambda: roc_picture(roc_lines([result])), options)
    if options.wandb:  # last, so that nothing is lost without a network
        _log(run, result, kept)


def _data(target: str) -> "ImageData":
    from repr_toolkit.data import load_data
    from repr_toolkit.runs.places import given_places

    given = given_places()
    if "source" in given:
        raise ValueError(f"{target} is no run: it is itself the source, and not --data.source")
    try:
        return load_data(target, **given)
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"{target} is no run, and no data either: {error}") from error


def _log(run: "Run", result: "Verifications", kept: "Mapping[str, Kept]") -> None:
    """Log to the W&B run of the training, or to a new one in the group of the run's study.

    Beside the table and the picture every number that could be measured, as verify/SPLIT/NAME, and
    verify/SPLIT/METHOD/NAME for the methods to be beaten.
    """
    from repr_toolkit.analyses.verification import ANALYSIS
    from repr_toolkit.page.blocks import Section
    from repr_toolkit.page.wandb import log_sections

    place = f"verify/{result.split}"
    numbers: dict[str, Any] = {}
    for name, method in result.methods.items():
        prefix = place if method is result.first else f"{place}/{name}"
        flat = method.flat_numbers().items()
        numbers |= {f"{prefix}/{key}": value for key, value in flat if value is not None}
    folder = run.path.resolve().parent
    in_study = any((folder / f"{table}.md").is_file() for table in ("verification", "comparison"))
    section = Section(ANALYSIS.name, ANALYSIS.title, ANALYSIS.lead, ANALYSIS.shown(kept))
    group = folder.name if in_study else None
    log_sections([section], run.path, id_file=run.wandb_id_file, group=group, numbers=numbers)


def add_commands(subcommands: Any) -> None:
    command = add_command(subcommands, verify, "how well h tells people apart", finds_data=True)
    command.add_argument(
        "target",
        metavar="RUN_OR_DATA",
        help="run directory; or data with embeddings, as a file or as a name in $REPR_TOOLKIT_DATA",
    )
    command.checks.append(checks.run_or_data)
    command.add_shared("--split", "--batch-size", "--json")
    command.add_out("PNG of the ROC to write", suffixes=(".png",))
    command.add_shared(
        "--wandb",
        help="log the numbers and the ROC to the run's own on Weights & Biases too "
        "(WANDB_MODE=offline works)",
    )
