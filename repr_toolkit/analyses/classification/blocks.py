"""Bayes' rule: what a model knows of the label, whom it confuses, and what classifiers know."""

from collections.abc import Callable, Mapping
from typing import Any

from repr_toolkit.analyses.calibration import calibration_rows
from repr_toolkit.page.blocks import Block, Cell, Notes, Row, Table
from repr_toolkit.page.cells import nats_cell, number_cell, share_of, spanned, with_p
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.tables import plain

WIDE = 30
"""The most classes of a confusion matrix that is shown."""

Numbers = Mapping[str, Any]


def blocks(kept: Mapping[str, Kept]) -> list[Block]:
    """A table of the runs, their confusion matrices, and the classifiers of pixels."""
    results = {name: result.numbers for name, result in kept.items()}
    confusions = [
        _confusion(name, result)
        for name, result in results.items()
        if len(result["classes"]) <= WIDE
    ]
    return [_table(results), *confusions, *_classifiers(results), Notes(_notes(results))]


def _table(results: Mapping[str, Numbers]) -> Table:
    every = list(results.values())

    def row(label: str, key: str, about: str, cell: Callable[[Any], Cell] = number_cell) -> Row:
        return Row(label, [cell(result[key]) for result in every], about)

    rows = [
        row("accuracy, %", "accuracy", "argmax p(x|y) p(y)", share_of),
        *calibration_rows(
            [result.get("calibration") for result in every],  # none in results of earlier versions
            about=(
                "mean highest p(y|x) less accuracy; 0 is calibrated",
                "the same within bins of p(y|x)",
            ),
        ),
        row("log₂ p(y|x), bits", "true_posterior_bits", "of the true label; 0 is certainty"),
        row("I(x; y) ≥, bits", "information_bits", "what images tell of their labels, at least"),
        row(
            "H(y), bits",
            "prior_entropy_bits",
            "the most that they could tell",
            lambda bits: Cell(plain(bits, 3)),
        ),
        row("bits/dim, given the label", "bits_per_dim", "of p(x|y)"),
        row("bits/dim, without it", "bits_per_dim_marginal", "of Σ p(y) p(x|y)"),
        row("p(x|y)", "likelihood", "exact, or a bound", Cell),
    ]
    keys = {"bits_per_dim": "given the label", "bits_per_dim_marginal": "without it"}
    for key, told in keys.items():
        cells = [nats_cell(result[key], result) for result in every]
        rows.insert(-1, Row(f"nats an image, {told}", cells, "of two levels"))
    images = spanned(result["images"] for result in every)
    caption = f"{images} {every[0]['split']} images, classified by Bayes’ rule."
    return Table(caption, list(results), [row for row in rows if not row.empty])


def _confusion(name: str, result: Numbers) -> Table:
    classes = [str(code) for code in result["classes"]]
    rows = [
        Row(code, [Cell(str(count) if count else "·") for count in counts])
        for code, counts in zip(classes, result["confusion"], strict=True)
    ]
    return Table(
        f"{name}: the true label in rows, the predicted one in columns.", classes, rows, "label"
    )


def _classifiers(results: Mapping[str, Numbers]) -> list[Table]:
    """A table of every different set of classifiers; runs of the same data have the same."""
    tables: list[Table] = []
    for result in results.values():
        if not (fitted := result["baselines"]):
            continue
        rows = [
            Row(each["name"], [share_of(each["accuracy"]), minus_bayes(each), Cell(each["how"])])
            for each in fitted
        ]
        caption = (
            f"Classifiers of the pixels of the same images, fitted to {fitted[0]['train_images']:,}"
            " training images."
        )
        columns = ["accuracy, %", "minus Bayes’ rule", "how"]
        table = Table(caption, columns, rows, "classifier", by_column=True)
        tables += [] if table in tables else [table]
    return tables


def minus_bayes(classifier: Numbers) -> Cell:
    """By how many points a classifier of pixels is more accurate, on the same images."""
    number = classifier.get("minus_bayes")
    return with_p(share_of(number), number) if number else Cell()


def _notes(results: Mapping[str, Numbers]) -> list[str]:
    notes = [
        "The classes and p(y) are those of the training labels. ± is a standard error.",
        "I(x; y) ≥: the mean of log₂ p(x|y) − log₂ Σ_y' p(y') p(x|y'), whose expectation is at "
        "most the mutual information if p(y) are the true frequencies.",
    ]
    if next(iter(results.values()))["split"] == "train":
        notes.append("The model was fitted to these images: I(x; y) is no bound here.")
    if any(result["likelihood"] != "exact" for result in results.values()):
        notes.append("Where p(x|y) is a bound, so is all that follows from it.")
    if not any(result["baselines"] for result in results.values()):
        notes.append("`repr-toolkit classify RUN --baselines` adds classifiers of pixels.")
    return notes
