"""The table of a comparison: what was measured of each variant, as CSV and as Markdown."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from textwrap import fill

from repr_toolkit.evaluation import Estimate
from repr_toolkit.probing import Probe

WIDTH = 100  # columns of a terminal that the Markdown fits


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


def csv_text(results: Sequence[Result], pixels: Probe | None, constants: Mapping[str, str]) -> str:
    """One line a variant, all digits; ``constants`` are columns with the same value in each line.

    An empty cell stands for what a variant has not.
    """
    lines = []
    for r in results:
        line: dict[str, object] = {"variant": r.name, "h_dim": r.h_dim, **constants}
        line["likelihood"] = r.likelihood
        estimates = {
            "bits_per_dim": r.bits,
            "bits_per_dim_other_h": r.bits_other_h,
            "difference": r.difference,
            "mse_one": r.mse,
            "mse_of_mean": r.mse_of_mean,
        }
        for key, estimate in estimates.items():
            line[key] = estimate and estimate.mean
            line[f"{key}_standard_error"] = estimate and estimate.standard_error
        probes = {
            "probe": r.probe,
            "probe_untrained": r.probe_untrained,
            "probe_pixels": pixels,
        }
        for key, probe in probes.items():
            line[key] = probe and probe.accuracy
            line[f"{key}_low"] = probe and probe.interval[0]
            line[f"{key}_high"] = probe and probe.interval[1]
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


def markdown_table(results: Sequence[Result], pixels: Probe | None, draws: int) -> str:
    """One column a variant, aligned; as many tables below each other as the width demands."""
    labels = [
        "",
        "m, dimensions of h",
        "likelihood",
        "bits/dim",
        "bits/dim, other h",
        "difference",
        "MSE ×10³, single",
        f"MSE ×10³, mean of {draws}",
        "probe of h, %",
        "probe, untrained, %",
        "probe, pixels, %",
        "encoder parameters",
        "decoder parameters",
        "training, steps",
        "training, seconds",
    ]
    columns = [
        [
            r.name,
            str(r.h_dim) if r.h_dim else "–",
            r.likelihood,
            with_error(r.bits),
            with_error(r.bits_other_h),
            with_error(r.difference),
            with_error(r.mse, 1000),
            with_error(r.mse_of_mean, 1000),
            with_interval(r.probe),
            with_interval(r.probe_untrained),
            with_interval(pixels),
            f"{r.encoder_parameters:,}",
            f"{r.decoder_parameters:,}",
            f"{r.steps:,}",
            f"{r.seconds:,.0f}",
        ]
        for r in results
    ]
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
    return "\n".join(_aligned([labels, *block]) for block in blocks)


def notes_text(notes: Sequence[str]) -> str:
    """A Markdown list of sentences, broken at the width of a terminal."""
    return "".join(
        fill(
            note,
            WIDTH,
            initial_indent="- ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        + "\n"
        for note in notes
    )


def with_error(estimate: Estimate | None, scale: float = 1) -> str:
    """Mean ± standard error, to the error's second digit and at most four decimals.

    >>> with_error(Estimate(1.23456, 0.01234, 100)), with_error(None)
    ('1.235 ± 0.012', '–')
    """
    if estimate is None:
        return "–"
    mean, error = estimate.mean * scale, estimate.standard_error * scale
    digits = min(4, max(0, 1 - floor(log10(error)))) if error > 0 else 3
    return f"{mean:.{digits}f} ± {error:.{digits}f}".replace("-", "−")


def with_interval(probe: Probe | None) -> str:
    """Accuracy and its interval, in per cent."""
    if probe is None:
        return "–"
    low, high = (100 * bound for bound in probe.interval)
    return f"{100 * probe.accuracy:.1f} ({low:.1f}–{high:.1f})"


def _aligned(columns: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for cells in zip(*columns, strict=True):
        texts = [cells[0].ljust(widths[0])]
        texts += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        lines.append(f"| {' | '.join(texts)} |")
    rules = [":" + "-" * (widths[0] + 1), *("-" * (width + 1) + ":" for width in widths[1:])]
    lines.insert(1, f"|{'|'.join(rules)}|")
    return "\n".join(lines) + "\n"
