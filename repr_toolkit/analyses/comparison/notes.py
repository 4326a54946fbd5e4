"""What a reader of a comparison's table has to know of its numbers."""

from collections.abc import Iterator, Mapping
from typing import Any

from repr_toolkit.analyses.comparison.blocks import LEADS, blocks, caption_of
from repr_toolkit.analyses.probing.classifiers import beyond
from repr_toolkit.page.intervals import interval_notes, numbers_of
from repr_toolkit.runs.bits import TRAINING_IMAGES
from repr_toolkit.runs.run import Run
from repr_toolkit.support.choose import OTHER_H

Numbers = Mapping[str, Any]


def notes(numbers: Numbers, runs: Mapping[str, Run]) -> list[str]:
    """Sentences on the rows that the table has, on the figures there are, and on how to go on.

    `numbers` are those of `measure`.
    """
    rows = {key for variant in numbers["variants"].values() for key in variant["numbers"]}
    sentences = [*_of_bits(numbers, rows)]
    if "bayes" in rows:
        sentences += _of_labels(numbers)
    if "mse_one" in rows:
        draws = numbers["draws"]
        sentences.append(
            "MSE: squared error of intensities scaled to [0, 1], on "
            f"{numbers['reconstructed']} images "
            f"spread evenly over the split. single: of one reconstruction, averaged over "
            f"{draws} draws. posterior mean: of the mean of p(x|h), estimated from the draws "
            f"without bias, ({draws}·M − single)/{draws - 1} for the error M of their mean image. "
            "its layout: the same of images of 4×4 pixels, the means of their parts. "
            "A baseline that reconstructs by its mean has one reconstruction, rounded to the "
            "levels."
        )
    if judge := numbers["judge"]:
        sentences.append(
            "label in samples: in how many of these reconstructions a small convolutional network "
            f"reads the original's label. It was trained on {judge['train_images']:,} real "
            "training images, at the levels of the data; label in images: how often it is right on "
            f"all {judge['test_images']:,} real {judge['split']} images."
        )
    sentences += [
        *interval_notes(numbers_of(blocks(numbers))),
        "Every column is one training run: no interval has the spread between trainings.",
    ]
    if any(variant.get("softmax") for variant in numbers["variants"].values()):
        sentences.append(
            "too sure: the mean highest probability less the share that is right, of the levels of "
            f"{numbers['reconstructed']} images or of the labels; above 0, predictions are surer "
            "than they are right. Calibration error: the mean absolute difference of both within "
            "fifteen bins of the probability (arXiv:1706.04599)."
        )
    if "bits_per_dim_train" in rows:
        sentences.append(
            f"of training images: the same bits/dim on at most {TRAINING_IMAGES:,} of them, spread "
            "evenly. effective dimensions: (Σ λ)² / Σ λ² of the eigenvalues λ of h's covariance."
        )
    if "bits_per_dim_draws" in rows:
        sentences.append(
            f"of its own draws: bits/dim of {numbers['reconstructed']} images drawn at temperature "
            "1, under the model that drew them: one given the h of each of as many "
            f"{numbers['split']} images, or given none, by the same noise in every column. "
            "draws minus images: less the bits/dim of the images, the same ones in every column, "
            "each less that of its own h. It would be 0 in the "
            "mean if they were draws of the model; where it is far above, its draws derail."
        )
    sentences += _of_classifiers(numbers, rows)
    sentences += [
        f"{file}: {LEADS[file]} {caption_of(file, numbers)}" for file in numbers["figures"]
    ]
    devices = sorted({str(run.info["device"]) for run in runs.values()})
    seeds = sorted({run.config["seed"] for run in runs.values()})
    one = next(iter(runs.values())).path
    sentences += [
        f"Trained on {' and '.join(devices)}; seconds count compilation and validations too. "
        f"Seeds: training {', '.join(map(str, seeds))}, comparison {numbers['seed']}.",
        "Bits of one column again: "
        f"`repr-toolkit evaluate {one} --split {numbers['split']}`. All of this again: the "
        "command `repr-toolkit study` that made it, which keeps the runs that are done.",
    ]
    return sentences


def _of_bits(numbers: Numbers, rows: set[str]) -> Iterator[str]:
    codes = {variant["code"] for variant in numbers["variants"].values()}
    if "z" in codes:
        yield (
            "A flow's h is its z = f(x), which has a number for each sub-pixel and is the image "
            "itself: reconstructions are exact, and the bits are those of x, given nothing."
        )
    encoded = "h" in codes and "mse_one" in rows
    if encoded:
        yield (
            "**An autoencoder's bits are conditional on h(x), whose own cost is not counted**: "
            "they are the bits of x given h, not of x, and more dimensions of h can hide more."
        )
    mse = (
        "; the MSE baseline's is that of a discretized Gaussian around its reconstruction, with "
        "one σ fitted on training images, which is the weakest likelihood that it can have. With a "
        "σ for each position, or for each level that a mean rounds to, it has a stronger one: what "
        "is left to another decoder is not due to one σ"
        if encoded
        else ""
    )
    yield (
        "bits/dim: −log₂ p(x|h) / (C·H·W), the mean over all "
        f"{numbers['images']:,} {numbers['split']} images, for {numbers['levels']} levels of "
        "intensity; numbers for other levels cannot be compared. Likelihoods of the discrete "
        f"images, exact unless the row says “upper bound”{mse}."
    )
    for name, variant in numbers["variants"].items():
        if variant["remark"]:
            yield f"{name}: {variant['remark']}."
    if "bits_per_dim_minus_first" in rows:
        first = next(iter(numbers["variants"]))
        yield (
            f"minus {first}: the difference in bits/dim, paired by image, and its 95 % interval; "
            "below 0 the column's variant needs fewer bits."
        )
    if "difference" in rows:
        yield (
            f"bits/dim, other h: the same images, given the h of other images. {OTHER_H} "
            "difference: own h minus another's, paired by image; below 0, h informs."
        )


def _of_labels(numbers: Numbers) -> Iterator[str]:
    entropy, size = numbers["prior_entropy_bits"], numbers["dims"]
    yield (
        "**p(x|y) is told the label, which costs bits of its own**: up to H(y) = "
        f"{entropy:.2f} bits an image, {entropy / size:.4f} bits/dim, which is also the most that "
        "a label can save a model that is perfect with and without it. label not told: "
        "−log₂ Σ_y p(y) p(x|y) / (C·H·W), which is what may be held against an unconditional model."
    )
    yield (
        "Bayes' rule: argmax_y p(x|y) p(y), every p(x|y) exact unless the row of likelihoods says "
        "“upper bound”, p(y) the frequency among training images. log₂ p(y|x): of the true label; "
        "0 is certainty. I(x; y) ≥: the mean of "
        "log₂ p(x|y) − log₂ Σ_y' p(y') p(x|y') = log₂ p(y|x) − log₂ p(y) on these images, whose "
        "expectation is at most the mutual information, if p(y) are the true frequencies."
    )


def _of_classifiers(numbers: Numbers, rows: set[str]) -> Iterator[str]:
    if not numbers["probed"]:
        yield "probe: the data have no labels to read from h."
        return
    train, val, test = (f"{numbers['probed'][split]:,}" for split in ("train", "val", "test"))
    if "probe" in rows:
        yield (
            "probe: accuracy of a logistic regression that reads the label from standardised "
            "h; beside it, the same encoder before training, and "
            f"the pixels. Fitted on {train} training images, its penalty chosen on {val} "
            f"validation images, scored on {test} test images."
        )
    yield from beyond(numbers["at_ends"])
    if numbers["classifiers"]:
        yield (
            f"Classifiers of pixels: fitted to {numbers['classifier_images']:,} of the "
            f"{numbers['train_images']:,} training "
            "images, in the same levels, that the variants were trained on; C and γ chosen on "
            "validation images, on which nothing is fitted; scored on all "
            f"{numbers['images']:,} {numbers['split']} images."
        )
