"""The sections that the comparison of the runs fills: the summary, the figures, Bayes' rule."""

import io
from collections.abc import Callable, Sequence

from PIL import Image

from repr_toolkit.analyses.comparison.measure import heading
from repr_toolkit.page.blocks import Block, Cell, Paragraph, Picture, Row, Section, Table
from repr_toolkit.report.inputs import Compared, Line, Reported
from repr_toolkit.support.tables import duration

CLASSIFIERS = {
    "pixels_3_nn": "3 nearest neighbours",
    "pixels_rbf_svm": "support vector machine",
    "pixels_small_cnn": "small convolutional network",
    "probe_pixels": "logistic regression",
}
"""Columns of comparison.csv that are classifiers of pixels, in words."""

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


def summary(found: Reported) -> Section:
    """The table that comes first: every run a column."""
    compared = found.compared
    lines = [compared.lines[name] for name in found.runs]
    first = next(iter(found.runs))

    def row(
        label: str, about: str, group: str, cell: Callable[[Line], Cell], unless: bool = False
    ) -> Row:
        return Row(label, [Cell() if unless else cell(line) for line in lines], about, group)

    bits, drawn, h, model = (
        "Likelihood of held-out images",
        "Reconstruction",
        "What h tells of the label",
        "The model",
    )
    devices = [str(run.info["device"]) for run in found.runs.values()]
    rows = [
        row("bits/dim", "−log₂ p(x|h) for each pixel and channel; fewer is better", bits, _bits),
        row("likelihood", "exact, or an upper bound of the bits", bits, _likelihood),
        row(
            f"minus {first}",
            "paired by image; below 0, fewer bits",
            bits,
            lambda line: line.estimated("bits_per_dim_minus_first"),
        ),
        row(
            "bits/dim, other h",
            "given the h of another image; the dearer, the more h matters",
            bits,
            lambda line: line.estimated("bits_per_dim_other_h"),
        ),
        row(
            "bits/dim, label not told",
            "of Σ p(y) p(x|y), to hold against a model without labels",
            bits,
            lambda line: line.estimated("bits_per_dim_marginal"),
        ),
        row(
            "MSE × 10³, one draw",
            "squared error of one reconstruction; intensities in [0, 1]",
            drawn,
            lambda line: line.estimated("mse_one", 1000),
        ),
        row(
            "MSE × 10³, mean of draws",
            "squared error of the mean of several reconstructions",
            drawn,
            lambda line: line.estimated("mse_of_mean", 1000),
        ),
        row("linear probe, %", "accuracy of a logistic regression on h", h, _share("probe")),
        row(
            "untrained encoder, %",
            "the same probe, of the encoder before training",
            h,
            _share("probe_untrained"),
        ),
        row(
            "pixels, %",
            "the same probe, of the image itself",
            h,
            _share("probe_pixels"),
            unless=not any(line.number("probe") for line in lines),
        ),
        row("Bayes’ rule, %", "accuracy of argmax p(x|y) p(y)", h, _share("bayes")),
        row("m", "numbers in h", model, _h_dim),
        row("encoder parameters", "", model, _count("encoder_parameters")),
        row("decoder parameters", "", model, _count("decoder_parameters")),
        row("training steps", "", model, _count("training_steps")),
        Row(
            "training time",
            [
                Cell(duration(line.number("training_seconds") or 0), device)
                for line, device in zip(lines, devices, strict=True)
            ],
            "compilation and validations included",
            model,
        ),
    ]
    images = lines[0].images
    caption = (
        f"{images:,} {found.split} images. Below a number, in small print: its 95 % interval "
        "over the images."
    )
    table = Table(caption, list(found.runs), [row for row in rows if not row.empty])
    lead = "How well each model codes, redraws and represents images that it was not trained on."
    return Section("summary", "Summary", lead, [table])


def _bits(line: Line) -> Cell:
    return line.estimated("bits_per_dim")


def _likelihood(line: Line) -> Cell:
    return Cell(line.cells["likelihood"])


def _h_dim(line: Line) -> Cell:
    return _integer(line, "h_dim") if line.number("h_dim") else Cell()


def _share(key: str) -> Callable[[Line], Cell]:
    return lambda line: line.share(key)


def _count(key: str) -> Callable[[Line], Cell]:
    return lambda line: _integer(line, key)


def _integer(line: Line, key: str) -> Cell:
    number = line.number(key)
    return Cell() if number is None else Cell(f"{number:,.0f}")


def figures(found: Reported) -> Section | None:
    """Figure 6, reconstructions of the same images by all models, and Figure 3, of classes."""
    compared = found.compared
    blocks: list[Block] = []
    for picture in sorted(compared.pictures, key=lambda of: of.file, reverse=True):
        names = [_plain_heading(name, compared) for name in picture.variants]
        if picture.file == "figure6.png":
            alt = (
                "A grid of small pictures: in each row an original image at the left, then its "
                f"reconstructions by {_enumerated(names)}."
            )
        else:
            alt = "A grid of small pictures: in each row, samples of one class by "
            alt += f"{_enumerated(names)}."
        blocks.append(paper(picture.png, alt, CAPTIONS[picture.file]))
    if not blocks:
        return None
    files = {picture.file for picture in compared.pictures}
    lead = " ".join(text for file, text in LEADS.items() if file in files)
    title = "Reconstructions" if "figure6.png" in files else "Samples of each class"
    return Section("figures", title, lead, blocks)


def paper(png: bytes, alt: str, caption: str) -> Picture:
    """A figure with text in it, made for white paper at 300 dots an inch."""
    with Image.open(io.BytesIO(png)) as picture:
        size = picture.size
    return Picture(png, size, alt, caption, scale=0.55, paper=True)


def _plain_heading(name: str, compared: Compared) -> str:
    above, below = heading(name, int(compared.lines[name].number("h_dim") or 0))
    return ", ".join(filter(None, [above, below.replace("$", "")]))


def _enumerated(names: Sequence[str]) -> str:
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last


def bayes(found: Reported) -> Section | None:
    """How well models that are conditional on the label read it, beside classifiers of pixels."""
    lines = {name: found.compared.lines[name] for name in found.runs}
    if not any(line.number("bayes") is not None for line in lines.values()):
        return None
    columns = [name for name, line in lines.items() if line.number("bayes") is not None]
    shown = [lines[name] for name in columns]
    by_rule = Table(
        "Images classified by Bayes’ rule; in small print the 95 % interval.",
        columns,
        [
            Row("accuracy, %", [line.share("bayes") for line in shown], "argmax p(x|y) p(y)"),
            Row(
                "log₂ p(y|x), bits",
                [line.estimated("true_posterior_bits") for line in shown],
                "of the true label; 0 is certainty",
            ),
            Row(
                "I(x; y) ≥, bits",
                [line.estimated("information_bits") for line in shown],
                "what an image tells of its label, at least",
            ),
        ],
    )
    blocks: list[Block] = [by_rule]
    one = shown[0].cells
    keys = [key for key in one if key.startswith("pixels_") and f"{key}_low" in one]
    rows = [
        Row(
            CLASSIFIERS.get(key, key.removeprefix("pixels_").replace("_", " ")),
            [shown[0].share(key)],
        )
        for key in [*keys, "probe_pixels"]
        if shown[0].number(key) is not None
    ]
    if rows:
        caption = "Classifiers that were trained on the pixels of the same images."
        blocks.append(Table(caption, ["accuracy, %"], rows, corner="Classifier"))
    else:
        blocks.append(Paragraph("There are no classifiers of pixels to hold this against."))
    lead = (
        "A model of p(x|y) classifies without having been trained to: it names the label under "
        "which an image is most probable."
    )
    return Section("bayes", "Classification by Bayes’ rule", lead, blocks)
