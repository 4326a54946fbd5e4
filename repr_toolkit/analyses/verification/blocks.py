"""Whether h tells people apart: the numbers of each method, and their curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from repr_toolkit.analyses.verification.baselines import PIXELS, WHITENED
from repr_toolkit.page.blocks import Block, Cell, Notes, Picture, Row, Table
from repr_toolkit.page.cells import number_cell, share_of, spanned
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.pictures import png_of
from repr_toolkit.support.roc import Line, roc_picture
from repr_toolkit.support.stats import Number
from repr_toolkit.support.tables import number_text, per_cent

Numbers = Mapping[str, Any]


def blocks(kept: Mapping[str, Kept]) -> list[Block]:
    """A table of the methods, what its numbers are, and a picture of each run's ROC."""
    results = {name: result.numbers for name, result in kept.items()}
    return [
        _table(results),
        Notes([*_gains(results), *notes([*results.values()])]),
        *(_curves(name, result) for name, result in kept.items() if result.arrays),
    ]


def _table(results: Mapping[str, Numbers]) -> Table:
    firsts = [next(iter(result["methods"].values())) for result in results.values()]
    images, people, same, different = (
        spanned(first[key] for first in firsts)
        for key in ("images", "people", "same_pairs", "different_pairs")
    )
    split = next(iter(results.values()))["split"]
    caption = (
        f"{split}: {images} images of {people} people, {same} same and {different} different "
        f"pairs. All but the AUC in per cent."
    )
    headings = ("AUC", "accuracy", "TAR@1e−2", "@1e−3", "1-NN")
    rows = [
        Row(method, _cells(numbers), group=name if results.keys() != {name} else "")
        for name, result in results.items()
        for method, numbers in result["methods"].items()
    ]
    return Table(caption, headings, rows, corner="By the cosine of")


def notes(results: Sequence[Numbers], where: str = "") -> list[str]:
    """What the numbers are. `where` says where accuracy and TAR stand, if not in the table."""
    firsts = [next(iter(result["methods"].values())) for result in results]
    lines = []
    if any(result["people_trained_on"] for result in results):
        lines.append(
            "Some of these people are in the training images too, which flatters what was fitted "
            "to those."
        )
    lines.append(
        "AUC: with its 95 % interval by a bootstrap over people, since the pairs of one person "
        "depend on each other."
    )
    if short := [first["auc"]["how"] for first in firsts if "low" not in first["auc"]]:
        lines.append(f"No interval of the AUC: {short[0]} over them.")
    images = spanned(first["one_nn"]["count"] for first in firsts)
    lines.append(
        "1-NN: the share of images whose nearest other image is of the same person, among the "
        f"{images} images of people with two or more, with Wilson's 95 % interval."
    )
    if all(first["accuracy"] for first in firsts):
        disjoint = all(first["accuracy_people_disjoint"] for first in firsts)
        folds = "no person is in two" if disjoint else "of pairs, since people are too few"
        lines.append(
            f"accuracy{where}: on ten folds ({folds}), each at the threshold that is best on the "
            "other nine, with the standard error over the folds."
        )
    return [
        *lines,
        f"TAR{where}: the share of same pairs accepted where a share of 1e−2 or 1e−3 of the "
        "different pairs is; missing with fewer than ten times as many pairs as that takes.",
        f"{PIXELS}: less the mean training image. {WHITENED}: principal components, scaled so that "
        "one person's images vary equally in all. Both know the training images alone.",
    ]


def _gains(results: Mapping[str, Numbers]) -> list[str]:
    return [
        f"{name}: the AUC of h less that of {PIXELS} is "
        f"{number_text(Number(**result['auc_above_pixels']), digits=3)}, the same people drawn for "
        "both."
        for name, result in results.items()
    ]


def _cells(method: Numbers) -> list[Cell]:
    return [
        number_cell(method["auc"], digits=3),
        share_of(method["accuracy"]),
        *(Cell() if rate is None else Cell(per_cent(rate)) for rate in method["tar"].values()),
        share_of(method["one_nn"]),
    ]


def _curves(name: str, result: Kept) -> Picture:
    false, methods = result.arrays["false_accept_rate"], result.numbers["methods"]
    lines = [
        Line(f"{method}, AUC {numbers['auc']['value']:.3f}", [(false, true)])
        for (method, numbers), true in zip(
            methods.items(), result.arrays["true_accept_rate"], strict=True
        )
    ]
    drawn = roc_picture(lines)
    alt = f"{name}: true over false accept rates, a curve each for {', '.join(methods)}."
    caption = f"**{name}**: receiver operating characteristics."
    return Picture(png_of(drawn), drawn.size, alt, caption, scale=0.8, paper=True)
