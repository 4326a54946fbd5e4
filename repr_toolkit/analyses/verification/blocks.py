"""Whether h tells people apart: the numbers of each method, and their curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from repr_toolkit.analyses.verification.baselines import PIXELS, WHITENED
from repr_toolkit.page.blocks import Block, Cell, Notes, Picture, Row, Table
from repr_toolkit.page.cells import number_cell, share_of, spanned, with_p
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.pictures import png_of
from repr_toolkit.support.roc import Line, roc_picture

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
    return Table(caption, headings, rows, corner="By the cosine of", by_column=True)


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
        "Intervals are over people, since the images and pairs of one person depend on each other: "
        "of AUC and TAR by the jackknife. 1-NN: the share of images whose nearest other image is "
        "of the same person, among the images of people with two or more; the gallery is fixed."
    )
    if all(first["accuracy"] for first in firsts):
        disjoint = all(first["accuracy_people_disjoint"] for first in firsts)
        folds = "no person is in two" if disjoint else "of pairs, since people are too few"
        lines.append(
            f"accuracy{where}: on ten folds ({folds}), each at the threshold that is best on the "
            "other nine; ± is the standard error over the folds."
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
        f"{with_p(number_cell(result['auc_above_pixels'], digits=3), result['auc_above_pixels'])}, "
        f"paired by person; {result['auc_above_pixels'].get('how', '')}."
        for name, result in results.items()
    ]


def _cells(method: Numbers) -> list[Cell]:
    return [
        number_cell(method["auc"], digits=3),
        share_of(method["accuracy"]),
        *map(share_of, method["tar"].values()),
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
