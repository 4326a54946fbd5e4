"""What a comparison says of every variant: the rows of its table, and those of its CSV."""

import re
from collections.abc import Mapping
from typing import Any

BITS, CALIBRATION, LABELS, RECONSTRUCTION, PROBES, MODEL = (
    "Likelihood",
    "Calibration of the levels",
    "Labels",
    "Reconstruction",
    "Labels read from h",
    "Model",
)
"""The groups of the table's rows."""

ROWS = (
    (BITS, "bits_per_dim", "bits/dim", "−log₂ p(x|h) a sub-pixel; fewer is better"),
    (BITS, "nats", "nats an image", "the same as −ln p(x|h), in which two levels are published"),
    (
        BITS,
        "sigma_by_position",
        "bits/dim, σ by position",
        "the same means with a σ for every position, fitted on training images",
    ),
    (
        BITS,
        "sigma_by_mean",
        "bits/dim, σ by mean",
        "the same means with a σ for every level that they round to, fitted on training images",
    ),
    (BITS, "bits_per_dim_train", "of training images", "lower by what was memorised"),
    (
        BITS,
        "bits_per_dim_minus_first",
        "minus {first}",
        "bits/dim less those of {first}, image by image; below 0, fewer bits",
    ),
    (
        BITS,
        "bits_per_dim_draws",
        "of its own draws",
        "where many more, drawing leads it to what it has not learned",
    ),
    (
        BITS,
        "draws_minus_images",
        "draws minus images",
        "the same less the bits/dim of as many images: those whose h they are drawn from",
    ),
    (
        BITS,
        "bits_per_dim_other_h",
        "bits/dim, other h",
        "given the h of another image; the dearer, the more h matters",
    ),
    (
        BITS,
        "difference",
        "difference",
        "bits/dim given own h less those given another's, image by image",
    ),
    (
        LABELS,
        "bits_per_dim_marginal",
        "bits/dim, label not told",
        "of Σ p(y) p(x|y), to hold against a model without labels",
    ),
    (
        LABELS,
        "bits_per_dim_marginal_minus_first",
        "minus {first}",
        "bits/dim, label not told, less those of {first}, image by image; below 0, fewer bits",
    ),
    (LABELS, "bayes", "Bayes' rule, accuracy, %", "argmax p(x|y) p(y)"),
    (
        LABELS,
        "posterior_too_sure",
        "too sure, points",
        "mean highest p(y|x) less accuracy; 0 is calibrated",
    ),
    (LABELS, "true_posterior_bits", "log₂ p(y|x), bits", "of the true label; 0 is certainty"),
    (LABELS, "information_bits", "I(x; y) ≥, bits", "what an image tells of its label, at least"),
    (
        RECONSTRUCTION,
        "mse_one",
        "MSE ×10³, single",
        "squared error of one reconstruction; intensities in [0, 1]",
    ),
    (
        RECONSTRUCTION,
        "mse_posterior_mean",
        "MSE ×10³, posterior mean",
        "squared error of the mean of all reconstructions",
    ),
    (RECONSTRUCTION, "mse_layout", "MSE ×10³, its layout", "the same of means over 4×4 parts"),
    (
        RECONSTRUCTION,
        "judged",
        "label in samples, %",
        "a classifier of real images reads the original's in a reconstruction",
    ),
    (RECONSTRUCTION, "judged_real", "label in images, %", "the same of real images"),
    (PROBES, "probe", "probe of h, %", "accuracy of a logistic regression on h"),
    (
        PROBES,
        "probe_untrained",
        "probe, untrained, %",
        "the same of the encoder before training",
    ),
    (PROBES, "probe_pixels", "probe, pixels, %", "the same of the image itself"),
    (
        PROBES,
        "probe_minus_pixels",
        "probe minus pixels, points",
        "its accuracy less that of the pixels, image by image",
    ),
    (
        PROBES,
        "probe_minus_first",
        "minus the first probe, points",
        "its accuracy less that of the first column that has one",
    ),
)
"""Group, name among a variant's numbers, label and explanation of every row of numbers."""

IN_NATS = tuple(
    key
    for group, key, _, _ in ROWS
    # bits_per_dim has a row of nats, and the other rows of labels are bits an image, not a dim.
    if (group == BITS and key not in ("bits_per_dim", "nats"))
    or key.startswith("bits_per_dim_marginal")
)
"""Bits/dim that stand in nats an image, too, where images have two levels."""

SHARES = (
    "judged",
    "judged_real",
    "probe",
    "probe_untrained",
    "probe_pixels",
    "probe_minus_pixels",
    "probe_minus_first",
    "bayes",
    "posterior_too_sure",
)
"""Numbers that are accuracies, with an interval; the others are means, with a standard error."""


def csv_rows(numbers: Mapping[str, Any]) -> list[dict[str, object]]:
    """A row a variant for CSV, all digits; None where a variant has no such number.

    Columns of the data and of classifiers of pixels have the same value in each row.
    """
    of_pixels = {
        re.sub(r"\W+", "_", f"pixels_{each['name'].lower()}"): each["accuracy"]
        for each in numbers["classifiers"]
    }
    rows = []
    for name, variant in numbers["variants"].items():
        row = {
            "variant": name,
            "h_dim": variant["h_dim"],
            **{key: numbers[key] for key in ("data", "split", "images", "levels")},
            "likelihood": variant["likelihood"],
        }
        for key in (key for _, key, _, _ in ROWS if key not in SHARES):
            mean = variant["numbers"].get(key, {})
            row |= {key: mean.get("value"), f"{key}_standard_error": mean.get("error")}
        shares = {key: variant["numbers"].get(key, {}) for key in SHARES}
        for key, share in (shares | of_pixels).items():
            row[key] = share.get("value")
            row |= {f"{key}_{end}": share.get(end) for end in ("low", "high")}
        row |= {key: variant[key] for key in ("encoder_parameters", "decoder_parameters")}
        softmax = variant.get("softmax") or {}
        row["effective_dimension"] = variant.get("effective_dimension")
        row["softmax_too_sure"] = softmax.get("too_sure", {}).get("value")
        row["softmax_calibration_error"] = softmax.get("calibration_error")
        rows.append(row | {f"training_{key}": variant[key] for key in ("seconds", "steps")})
    return rows
