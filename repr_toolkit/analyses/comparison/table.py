"""The table of a comparison: what was measured of each variant, as CSV and as Markdown."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repr_toolkit.analyses.probing import Probe
from repr_toolkit.support.stats import Estimate, Number
from repr_toolkit.support.tables import (
    NONE,
    WIDTH,
    aligned,
    interval_text,
    with_error,
    with_interval,
)

if TYPE_CHECKING:
    from repr_toolkit.analyses.classification.bayes import Classification
    from repr_toolkit.analyses.classification.pixel_classifiers import Baseline


@dataclass(frozen=True)
class Result:
    """What was measured of one variant; None where the variant has no such thing."""

    name: str
    h_dim: int  # 0 without h
    likelihood: str  # "exact" or "upper bound"
    bits: Estimate  # bits/dim
    bits_other_h: Estimate | None  # bits/dim given another image's h
    difference: Estimate | None  # own h minus another's, paired by image
    mse: Estimate | None  # of one reconstruction, in squared intensities of [0, 1]
    mse_of_mean: Estimate | None  # of the mean of several
    probe: Probe | None  # the label from h
    probe_untrained: Probe | None  # the label from h of the same encoder before training
    encoder_parameters: int
    decoder_parameters: int
    seconds: float  # of training
    steps: int  # of training
    versus_first: Estimate | None = None  # bits/dim minus the first variant's, paired by image
    classification: "Classification | None" = None  # of the images by Bayes' rule
    marginal_versus_first: Estimate | None = None  # its bits/dim, label not told, minus the first's


def csv_text(
    results: Sequence[Result],
    pixels: Probe | None,
    constants: Mapping[str, str],
    baselines: "Sequence[Baseline]" = (),
) -> str:
    """One line a variant, all digits; ``constants`` are columns with the same value in each line.

    So are the classifiers of pixels. An empty cell stands for what a variant has not.
    """
    lines = []
    for r in results:
        line: dict[str, object] = {"variant": r.name, "h_dim": r.h_dim, **constants}
        line["likelihood"] = r.likelihood
        c = r.classification
        estimates = {
            "bits_per_dim": r.bits,
            "bits_per_dim_minus_first": r.versus_first,
            "bits_per_dim_other_h": r.bits_other_h,
            "difference": r.difference,
            "bits_per_dim_marginal": Estimate.of(c.bits_marginal) if c else None,
            "bits_per_dim_marginal_minus_first": r.marginal_versus_first,
            "true_posterior_bits": Estimate.of(c.true_posterior_bits) if c else None,
            "information_bits": Estimate.of(c.information_bits) if c else None,
            "mse_one": r.mse,
            "mse_of_mean": r.mse_of_mean,
        }
        for key, estimate in estimates.items():
            line[key] = estimate and estimate.mean
            line[f"{key}_standard_error"] = estimate and estimate.standard_error
        probes: dict[str, Probe | Classification | Baseline | None] = {
            "probe": r.probe,
            "probe_untrained": r.probe_untrained,
            "probe_pixels": pixels,
            "bayes": c,
        }
        probes |= {re.sub(r"\W+", "_", f"pixels_{b.name.lower()}"): b for b in baselines}
        for key, probe in probes.items():
            number = probe.accuracy if isinstance(probe, Probe) else _share(probe)
            line[key] = number and number.value
            line[f"{key}_low"] = number and number.low
            line[f"{key}_high"] = number and number.high
        line["encoder_parameters"] = r.encoder_parameters
        line["decoder_parameters"] = r.decoder_parameters
        line["training_seconds"] = r.seconds
        line["training_steps"] = r.steps
        lines.append(line)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _share(classifier: "Classification | Baseline | None") -> Number | None:
    return classifier and Number(classifier.accuracy, *classifier.interval)


def markdown_table(results: Sequence[Result], pixels: Probe | None, draws: int) -> str:
    """One column a variant, aligned; as many tables below each other as the width demands.

    A row that no variant has anything to say in is left out.
    """
    base = results[0].name
    probed = pixels if any(r.probe for r in results) else None
    rows = [
        ("", [r.name for r in results]),
        ("m, dimensions of h", [str(r.h_dim) if r.h_dim else NONE for r in results]),
        ("likelihood", [r.likelihood for r in results]),
        ("bits/dim", [with_error(r.bits) for r in results]),
        *_differences(base, [r.versus_first for r in results]),
        ("bits/dim, other h", [with_error(r.bits_other_h) for r in results]),
        ("difference", [with_error(r.difference) for r in results]),
        *_classifications(results),
        ("MSE ×10³, single", [with_error(r.mse, 1000) for r in results]),
        (f"MSE ×10³, mean of {draws}", [with_error(r.mse_of_mean, 1000) for r in results]),
        ("probe of h, %", [with_interval(r.probe) for r in results]),
        ("probe, untrained, %", [with_interval(r.probe_untrained) for r in results]),
        ("probe, pixels, %", [with_interval(probed) for r in results]),
        ("encoder parameters", [f"{r.encoder_parameters:,}" for r in results]),
        ("decoder parameters", [f"{r.decoder_parameters:,}" for r in results]),
        ("training, steps", [f"{r.steps:,}" for r in results]),
        ("training, seconds", [f"{r.seconds:,.0f}" for r in results]),
    ]
    rows = [(label, cells) for label, cells in rows if set(cells) != {NONE}]
    labels = [label for label, _ in rows]
    columns = [list(column) for column in zip(*(cells for _, cells in rows), strict=True)]
    first = max(map(len, labels))
    blocks: list[list[list[str]]] = [[]]
    used = start = first + 4
    for column in columns:
        width = max(map(len, column)) + 3
        if used + width > WIDTH and blocks[-1]:
            blocks.append([])
            used = start
        blocks[-1].append(column)
        used += width
    return "\n".join(aligned([labels, *block]) for block in blocks)


def _differences(base: str, estimates: Sequence[Estimate | None]) -> list[tuple[str, list[str]]]:
    """The row of paired differences to the first variant, and that of their intervals."""
    return [
        (f"minus {base}", [with_error(estimate) for estimate in estimates]),
        ("95 % interval", [interval_text(estimate) for estimate in estimates]),
    ]


def _classifications(results: Sequence[Result]) -> list[tuple[str, list[str]]]:
    """The rows of what variants that are conditional on labels say of labels."""
    found = [r.classification for r in results]
    marginal = [Estimate.of(c.bits_marginal) if c else None for c in found]
    posterior = [Estimate.of(c.true_posterior_bits) if c else None for c in found]
    information = [Estimate.of(c.information_bits) if c else None for c in found]
    return [
        ("bits/dim, label not told", [with_error(estimate) for estimate in marginal]),
        *_differences(results[0].name, [r.marginal_versus_first for r in results]),
        ("Bayes' rule, accuracy, %", [with_interval(c) for c in found]),
        ("log₂ p(y|x), bits", [with_error(estimate) for estimate in posterior]),
        ("I(x; y) ≥, bits", [with_error(estimate) for estimate in information]),
    ]


def classifier_table(
    results: Sequence[Result], pixels: Probe | None, baselines: "Sequence[Baseline]"
) -> str:
    """How well who reads the labels: one line a classifier, first the variants by Bayes' rule."""
    lines = [
        (f"Bayes' rule, {r.name}", with_interval(r.classification), "argmax p(x|y) p(y)")
        for r in results
        if r.classification
    ]
    lines += [(b.name, with_interval(b), b.how) for b in baselines]
    if pixels:
        lines.append(("logistic regression", with_interval(pixels), f"C = {pixels.strength:g}"))
    columns = zip(("classifier", "accuracy, %", "how"), *lines, strict=True)
    return aligned([list(column) for column in columns])
