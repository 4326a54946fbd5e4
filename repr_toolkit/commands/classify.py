"""The command that classifies images by Bayes' rule."""

from typing import Any

from jsonargparse import Namespace

from repr_toolkit.commands.options import Settings, add_command


def classify(options: Namespace, settings: Settings) -> None:
    """Classify the images of a split by Bayes' rule, argmax_y log p(x|y) + log p(y).

    By a run whose encoder reads labels; p(y) is the labels' frequency in training. Prints the
    accuracy, what the model knows of the label in bits, bits/dim given the label and without it,
    and the confusion matrix. Kept in RUN/analysis/ for the report.
    """
    from repr_toolkit.analyses.classification import ANALYSIS, measure
    from repr_toolkit.commands.results import keep_and_show
    from repr_toolkit.runs.run import Run

    run = Run(options.run)
    result = measure(
        run,
        options.split,
        pixel_classifiers=options.baselines,
        batch_size=options.batch_size,
        progress=not options.json,
    )
    keep_and_show(ANALYSIS, {run: result}, options)


def add_commands(subcommands: Any) -> None:
    command = add_command(
        subcommands, classify, "Bayes' rule on a split, given labels", finds_data=True
    )
    command.add_shared("run", "--split", "--batch-size")
    command.add_argument(
        "--baselines",
        action="store_true",
        help="fit a 3-NN, an RBF-SVM and a small CNN to the pixels too, some minutes on a CPU",
    )
    command.add_shared("--json")
