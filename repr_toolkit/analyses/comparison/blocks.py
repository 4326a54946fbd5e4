"""A comparison as blocks: the table of all variants, that of classifiers, and the pictures."""

import io
from collections.abc import Callable, Mapping, Sequence

from PIL import Image

from repr_toolkit.analyses.comparison.result import Comparison, Variant
from repr_toolkit.page.blocks import Block, Cell, Picture, Row, Table
from repr_toolkit.page.cells import number_cell, share_of

BITS, LABELS, RECONSTRUCTION, PROBES, MODEL = (
    "Likelihood",
    "Labels",
    "Reconstruction",
    "Labels read from h",
    "Model",
)
"""The groups of the table's rows."""

HEADINGS = {"mse": "MSE", "pixelcnn": "PixelCNN"}
LEADS = {
    "figure6.png": "One original a row, and what each model redraws from its h alone: the one "
    "picture that a model of means gives, or several draws where there is a distribution.",
    "figure3.png": "Samples of each class, at temperature 1.",
}
CAPTIONS = {
    "figure6.png": "A column has the same noise in every row and for every model. The images are "
    "not selected.",
    "figure3.png": "A column has the same noise in every row. The samples are not selected.",
}


def blocks(comparison: Comparison) -> list[Block]:
    """The table with a column a variant; where labels are classified, a line a classifier."""
    names, variants = list(comparison.variants), list(comparison.variants.values())
    first = names[0]

    def row(group: str, label: str, about: str, cell: Callable[[Variant], Cell]) -> Row:
        return Row(label, [cell(variant) for variant in variants], about, group)

    def number(key: str, group: str, label: str, about: str, scale: float = 1) -> Row:
        return row(group, label, about, lambda v: number_cell(v.numbers.get(key), scale))

    def share(key: str, group: str, label: str, about: str) -> Row:
        return row(group, label, about, lambda v: share_of(v.numbers.get(key)))

    def minus_first(key: str, group: str) -> Row:
        cells = [number_cell(variant.numbers.get(key)) for variant in variants]
        about = "paired by image; below 0, fewer bits"
        return Row(f"minus {first}", cells, about, group, intervals=True)

    def count(group: str, label: str, value: Callable[[Variant], float]) -> Row:
        return row(group, label, "", lambda v: Cell(f"{value(v):,.0f}") if value(v) else Cell())

    rows = [
        count("", "m, dimensions of h", lambda variant: variant.h_dim),
        row(BITS, "likelihood", "of the bits", lambda variant: Cell(variant.likelihood)),
        number("bits_per_dim", BITS, "bits/dim", "−log₂ p(x|h) a sub-pixel; fewer is better"),
        minus_first("bits_per_dim_minus_first", BITS),
        number(
            "bits_per_dim_other_h",
            BITS,
            "bits/dim, other h",
            "given the h of another image; the dearer, the more h matters",
        ),
        number("difference", BITS, "difference", "own h minus another's, paired by image"),
        number(
            "bits_per_dim_marginal",
            LABELS,
            "bits/dim, label not told",
            "of Σ p(y) p(x|y), to hold against a model without labels",
        ),
        minus_first("bits_per_dim_marginal_minus_first", LABELS),
        share("bayes", LABELS, "Bayes' rule, accuracy, %", "argmax p(x|y) p(y)"),
        number(
            "true_posterior_bits", LABELS, "log₂ p(y|x), bits", "of the true label; 0 is certainty"
        ),
        number(
            "information_bits",
            LABELS,
            "I(x; y) ≥, bits",
            "what an image tells of its label, at least",
        ),
        number(
            "mse_one",
            RECONSTRUCTION,
            "MSE ×10³, single",
            "squared error of one reconstruction; intensities in [0, 1]",
            1000,
        ),
        number(
            "mse_of_mean",
            RECONSTRUCTION,
            f"MSE ×10³, mean of {comparison.draws}",
            "squared error of the mean of several reconstructions",
            1000,
        ),
        share("probe", PROBES, "probe of h, %", "accuracy of a logistic regression on h"),
        share(
            "probe_untrained",
            PROBES,
            "probe, untrained, %",
            "the same of the encoder before training",
        ),
        share("probe_pixels", PROBES, "probe, pixels, %", "the same of the image itself"),
        count(MODEL, "encoder parameters", lambda variant: variant.encoder_parameters),
        count(MODEL, "decoder parameters", lambda variant: variant.decoder_parameters),
        count(MODEL, "training, steps", lambda variant: variant.steps),
        count(MODEL, "training, seconds", lambda variant: variant.seconds),
    ]
    caption = (
        f"{comparison.images:,} {comparison.split} images. Standard errors (±) and 95 % intervals "
        "are over the images."
    )
    table = Table(caption, names, [row for row in rows if not row.empty], grouped=False)
    return [table, *([_classifiers(comparison)] if comparison.classifiers else [])]


def _classifiers(comparison: Comparison) -> Table:
    """The accuracy of the variants by Bayes' rule, then of classifiers of pixels."""
    rows = [
        Row(
            f"Bayes' rule, {name}",
            [share_of(variant.numbers["bayes"]), Cell("argmax p(x|y) p(y)")],
        )
        for name, variant in comparison.variants.items()
        if "bayes" in variant.numbers
    ]
    rows += [
        Row(classifier.name, [share_of(classifier.accuracy), Cell(classifier.how)])
        for classifier in comparison.classifiers
    ]
    caption = "Labels read by Bayes' rule, and by classifiers of the pixels of the same images."
    return Table(caption, ["accuracy, %", "how"], rows, corner="classifier")


def figures(comparison: Comparison, pngs: Mapping[str, bytes]) -> list[Block]:
    """Figure 6, reconstructions of the same images by all models, and Figure 3, of classes."""
    names = [
        ", ".join(filter(None, [above, below.replace("$", "")]))
        for above, below in (heading(name, v.h_dim) for name, v in comparison.variants.items())
    ]
    return [
        paper(
            pngs[file],
            "A grid of small pictures: in each row an original image at the left, then its "
            f"reconstructions by {_enumerated(names)}."
            if file == "figure6.png"
            else "A grid of small pictures: in each row, samples of one class by "
            f"{_enumerated(names)}.",
            CAPTIONS[file],
        )
        for file in sorted(pngs, reverse=True)
    ]


def paper(png: bytes, alt: str, caption: str) -> Picture:
    """A figure with text in it, made for white paper at 300 dots an inch."""
    with Image.open(io.BytesIO(png)) as picture:
        size = picture.size
    return Picture(png, size, alt, caption, scale=0.55, paper=True)


def heading(name: str, h_dim: int | None = None) -> tuple[str, str]:
    """What a figure writes over a variant's columns, in two lines.

    >>> heading("pixelcnn_m10", 10)
    ('PixelCNN', '$m$ = 10')
    """
    stem = name if h_dim is None else name.removesuffix(f"_m{h_dim}")
    title = f"$m$ = {h_dim}" if stem != name else ""
    return HEADINGS.get(stem, stem.replace("_", " ")), title


def _enumerated(names: Sequence[str]) -> str:
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last
