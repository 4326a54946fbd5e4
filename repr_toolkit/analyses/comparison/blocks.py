"""A comparison as blocks: the table of all variants, that of classifiers, and the pictures."""

import io
from collections.abc import Collection, Mapping
from typing import Any

from PIL import Image

from repr_toolkit.analyses.calibration import calibration_rows
from repr_toolkit.analyses.classification.blocks import minus_bayes
from repr_toolkit.analyses.comparison.rows import (
    BITS,
    CALIBRATION,
    IN_NATS,
    MODEL,
    RECONSTRUCTION,
    ROWS,
    SHARES,
)
from repr_toolkit.page.blocks import Block, Cell, Picture, Row, Table
from repr_toolkit.page.cells import nats_cell, number_cell, share_of, with_p
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.tables import plain

Numbers = Mapping[str, Any]

HEADINGS = {
    "mse": "MSE",
    "pixelcnn": "PixelCNN",
    "gated": "Gated PixelCNN",
    "row_lstm": "Row LSTM",
    "diagonal_bilstm": "Diagonal BiLSTM",
    "pixelcnnpp": "PixelCNN++",
    "gaussian": "Gaussian",
}
LEADS = {
    "figure6.png": "One original a row, and what each model redraws from its h alone: the one "
    "picture that a model of means gives, or several draws where there is a distribution.",
    "figure3.png": "Samples of each class, at temperature 1.",
    "samples.png": "Samples of each model that has no encoder.",
}
CAPTIONS = {
    "figure6.png": "A column has the same noise in every row and for every model. The images are "
    "{images}, and not selected.",
    "figure3.png": "A column has the same noise in every row. The samples are not selected.",
    "samples.png": "At temperature 1; where T = 0 to 1 is written, a row is one noise, scaled by "
    "rising temperatures, which are no temperatures of probabilities. Not selected.",
}


def blocks(numbers: Numbers) -> list[Block]:
    """The table with a column a variant; where labels are classified, a line a classifier."""
    names, variants = list(numbers["variants"]), list(numbers["variants"].values())

    def count(group: str, label: str, key: str) -> Row:
        counts = [variant[key] for variant in variants]
        return Row(label, [Cell(f"{n:,.0f}") if n else Cell() for n in counts], group=group)

    rows = [
        count("", "m, dimensions of h", "h_dim"),
        Row(
            "effective dimensions of h",
            [Cell(plain(v.get("effective_dimension"), 1)) for v in variants],
            "in which h varies, as if alike in each",
        ),
        Row("likelihood", [Cell(v["likelihood"]) for v in variants], "of the bits", BITS),
    ]
    for group, key, label, about in ROWS:
        values = [variant["numbers"].get(key) for variant in variants]
        scale = 1000 if group == RECONSTRUCTION else 1
        cells = [
            with_p(share_of(n) if key in SHARES else number_cell(n, scale), n or {}) for n in values
        ]
        label, about = label.format(first=names[0]), about.format(first=names[0])
        paired = key.endswith("minus_first")
        rows.append(Row(label, cells, about, group, intervals=paired))
        if key in IN_NATS:
            cells = [nats_cell(n, numbers) for n in values]
            about = "the same, in nats an image"
            rows.append(Row(f"{label}, nats", cells, about, group, intervals=paired))
    rows += [
        *calibration_rows(
            [variant.get("softmax") for variant in variants],
            "softmax ",
            (
                "mean highest probability of a level less how often it is right",
                "the same within bins of the probability",
            ),
            CALIBRATION,
        ),
        Row("training runs", [Cell("1")] * len(variants), "so without their spread", MODEL),
        count(MODEL, "encoder parameters", "encoder_parameters"),
        count(MODEL, "decoder parameters", "decoder_parameters"),
        count(MODEL, "training, steps", "steps"),
        count(MODEL, "training, seconds", "seconds"),
    ]
    caption = f"{numbers['images']:,} {numbers['split']} images. ± is a standard error."
    table = Table(caption, names, [row for row in rows if not row.empty], grouped=False)
    return [table, *([_classifiers(numbers)] if numbers["classifiers"] else [])]


def _classifiers(numbers: Numbers) -> Table:
    """The accuracy of the variants by Bayes' rule, then of classifiers of pixels."""
    lines = [
        (f"Bayes' rule, {name}", variant["numbers"]["bayes"], Cell(), "argmax p(x|y) p(y)")
        for name, variant in numbers["variants"].items()
        if "bayes" in variant["numbers"]
    ]
    lines += [
        (each["name"], each["accuracy"], minus_bayes(each), each["how"])
        for each in numbers["classifiers"]
    ]
    rows = [
        Row(name, [share_of(accuracy), minus, Cell(how)]) for name, accuracy, minus, how in lines
    ]
    caption = "Labels read by Bayes' rule, and by classifiers of the pixels of the same images."
    columns = ["accuracy, %", "minus Bayes’ rule", "how"]
    return Table(caption, columns, rows, corner="classifier", by_column=True)


def figures(kept: Kept) -> list[Block]:
    """Figure 6, reconstructions of the same images, Figure 3, of classes, and samples of p(x)."""
    names = ", ".join(kept.numbers["variants"])
    alts = {
        "figure6.png": "A grid of small pictures: in each row an original image at the left, then "
        f"its reconstructions by {names}.",
        "figure3.png": f"A grid of small pictures: in each row, samples of one class by {names}.",
        "samples.png": "A grid of small pictures: samples of the models without encoder among "
        f"{names}.",
    }
    blocks: list[Block] = []
    for file, alt in alts.items():
        if file in kept.arrays:
            png = kept.arrays[file].tobytes()
            with Image.open(io.BytesIO(png)) as picture:
                size = picture.size
            # It has text in it, made for white paper at 300 dots an inch.
            blocks.append(
                Picture(png, size, alt, caption_of(file, kept.numbers), scale=0.55, paper=True)
            )
    return blocks


def caption_of(file: str, numbers: Numbers) -> str:
    """The caption of a figure."""
    images = "the first of each class" if numbers["probed"] else "spread evenly over the split"
    return CAPTIONS[file].format(images=images)


def sample_names(rows: int, columns: int, scaled: Collection[bool]) -> list[str]:
    """The names of rows of samples: the draws, or the noise where temperatures scale it (`scaled`).

    None where some models are of one kind and some of the other, whose rows are not alike.

    >>> sample_names(2, 5, [False]), sample_names(2, 5, [True])
    (['draws 0–4', 'draws 5–9'], ['noise 0', 'noise 1'])
    """
    if len({*scaled}) > 1:
        return []
    if any(scaled):
        return [f"noise {row}" for row in range(rows)]
    return [f"draws {row * columns}–{(row + 1) * columns - 1}" for row in range(rows)]


def heading(name: str, h_dim: int | None = None) -> tuple[str, str]:
    """What a figure writes over a variant's columns, in two lines.

    >>> heading("pixelcnn_m10", 10)
    ('PixelCNN', '$m$ = 10')
    >>> heading("pixelcnn_no_h", 10)
    ('PixelCNN', 'no h')
    >>> heading("gated_mixture")
    ('Gated PixelCNN', 'mixture')
    """
    stem = name if h_dim is None else name.removesuffix(f"_m{h_dim}")
    title = f"$m$ = {h_dim}" if stem != name else ""
    family, _, rest = stem.partition("_")
    if family in HEADINGS and not title:
        stem, title = family, rest.replace("_", " ")
    return HEADINGS.get(stem, stem.replace("_", " ")), title
