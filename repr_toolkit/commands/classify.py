"""The command that classifies images by Bayes' rule."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt

from repr_toolkit.commands.options import Settings, add_run, make_parser

if TYPE_CHECKING:
    from repr_toolkit.analyses.classification.bayes import Classification
    from repr_toolkit.analyses.classification.pixel_classifiers import Baseline
    from repr_toolkit.data import ImageData

WIDE = 30  # classes above which the confusion matrix is not printed


def classify(options: Namespace, settings: Settings) -> None:
    """Print how well a run conditional on labels classifies a split of its data."""
    from repr_toolkit.analyses.classification.bayes import classify, require_label_encoder, summary
    from repr_toolkit.runs.run import Run, load_with_decoder
    from repr_toolkit.support.processes import fastest_device

    run = Run(options.run)
    model = load_with_decoder(run)
    require_label_encoder(model)  # before the data are looked for
    data = run.load_data()
    found = classify(
        model.to(fastest_device()),
        data,
        options.split,
        batch_size=options.batch_size,
        progress=not options.json,
    )
    result = {
        "run": str(run.path),
        "split": options.split,
        "levels": data.levels,
        "likelihood": model.decoder.likelihood_label,
        "train_images": len(data.splits["train"]),
        **summary(found),
    }
    if not options.json:
        print(f"{run.path}, {options.split}: {len(found.labels):,} images")
        _print(found, result["likelihood"] == "exact")
    classifiers = _baselines(data, options.split, options.json) if options.baselines else []
    if options.json:
        result["baselines"] = [asdict(classifier) for classifier in classifiers]
        print(json.dumps(result, indent=2))


def _print(found: "Classification", exact: bool) -> None:
    from repr_toolkit.support.stats import Estimate
    from repr_toolkit.support.tables import with_error, with_interval

    rows = {
        "accuracy by Bayes' rule, %": with_interval(found),
        "log₂ p(y|x), bits": with_error(Estimate.of(found.true_posterior_bits)),
        f"I(x; y) ≥, of {found.prior_entropy:.3f} bits": with_error(
            Estimate.of(found.information_bits)
        ),
        "bits/dim, label told": with_error(Estimate.of(found.bits_given_label)),
        "bits/dim, label not told": with_error(Estimate.of(found.bits_marginal)),
    }
    for title, text in rows.items():
        print(f"  {title:30}{text}")
    if not exact:
        print("  p(x|y) is a bound here, not exact, and so is all that follows from it")
    if len(found.classes) > WIDE:
        return
    print("\n  truth in rows, prediction in columns")
    width = max(len(str(found.confusion.max())), len(str(found.classes.max()))) + 1
    print("  " + "".join(f"{code:{width}}" for code in ("", *found.classes)))
    for code, counts in zip(found.classes, found.confusion, strict=True):
        cells = "".join(f"{count or '·':>{width}}" for count in counts)
        print(f"  {code:{width}}{cells}")


def _baselines(data: "ImageData", split: str, quiet: bool) -> "list[Baseline]":
    """Classifiers of the same pixels, each told as soon as it is there."""
    from repr_toolkit.analyses.classification.classes import baselines
    from repr_toolkit.support.tables import with_interval

    found = []
    if not quiet:
        print("\n  classifiers of pixels, accuracy, %")
    for classifier in baselines(data, split):
        found.append(classifier)
        if not quiet:
            print(f"  {classifier.name:30}{with_interval(classifier)}   {classifier.how}")
    return found


def add_commands(subcommands: Any) -> None:
    """Add the parsers of this module's commands."""
    command = make_parser(
        "Classify the images of a split by Bayes' rule, argmax_y log p(x|y) + log p(y), with a\n"
        "run whose encoder reads labels; p(y) is the labels' frequency in training. Prints the\n"
        "accuracy, what the model knows of the label in bits, bits/dim with the label told and\n"
        "not told, and the confusion matrix."
    )
    add_run(command)
    command.add_argument("--split", default="test", help="train, val or test")
    command.add_argument("--batch-size", type=PositiveInt, default=256, help="images at a time")
    command.add_argument(
        "--baselines",
        action="store_true",
        help="fit a 3-NN, an RBF-SVM and a small CNN to the pixels too, some minutes on a CPU",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    subcommands.add_subcommand("classify", command, help="Bayes' rule on a split, given labels")
