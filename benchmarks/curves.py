"""What trainings that are measured again and again come to: curves, their tables and picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isinf
from statistics import mean, stdev

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from rich import box
from rich.table import Table

NO_H = ", no h"
"""The end of the name of a way without h."""


@dataclass
class Curve:
    """The validations of one training: steps, CPU-seconds of training, bits/dim."""

    way: str
    seed: int
    dims: int
    steps: list[int]
    seconds: list[float]
    bits: list[float]
    first: float
    """CPU-seconds of the first step, in which a compiler works; `seconds` lack them."""


def table(task: str, curves: Sequence[Curve]) -> Table:
    """The last validation of each way: its seeds, their mean and spread, and the cost of a step."""
    result = Table(box=box.SIMPLE_HEAD, title=f"{task}: validation bits/dim", title_justify="left")
    result.add_column("way")
    headings = ("steps", "CPU-seconds", "first step", "ms a step", "bits/dim, by seed", "mean ± sd")
    for heading in headings:
        result.add_column(heading, justify="right")
    last_bits = {(curve.way, curve.seed): curve.bits[-1] for curve in curves}
    nulls = any(way.endswith(NO_H) for way, _ in last_bits)
    if nulls:
        result.add_column("bits an image saved", justify="right")
    for way in dict.fromkeys(curve.way for curve in curves):
        those = [curve for curve in curves if curve.way == way]
        last = [curve.bits[-1] for curve in those]
        seconds, steps = mean(curve.seconds[-1] for curve in those), those[0].steps[-1]
        spread = f" ± {stdev(last):.4f}" if len(last) > 1 else ""
        result.add_row(
            way,
            f"{steps:,}",
            f"{seconds:,.0f}",
            f"{mean(curve.first for curve in those):.0f} s",
            f"{1e3 * seconds / max(steps - 1, 1):.0f}",
            " ".join(f"{bits:.3f}" for bits in last),
            f"{mean(last):.4f}{spread}",
            *([saved(those, last_bits)] if nulls else []),
        )
    return result


def race_table(task: str, curves: Sequence[Curve]) -> Table:
    """The CPU-seconds that each way takes until it has the bits of the first, and how many fewer.

    Those of the first step are among them. A way that is not there in time has no number.
    """
    ways = list(dict.fromkeys(curve.way for curve in curves))
    first = {curve.seed: curve for curve in curves if curve.way == ways[0]}
    title = f"{task}: CPU-seconds until the bits/dim of “{ways[0]}”"
    result = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    result.add_column("way")
    headings = ("bits/dim", "CPU-seconds, by seed", "mean", "steps", "× fewer", "than above")
    for heading in headings:
        result.add_column(heading, justify="right")
    means: list[float] = []
    for way in ways:
        those = [curve for curve in curves if curve.way == way]
        seconds = [
            curve.first + curve.seconds[-1] if curve.bits[-1] <= first[curve.seed].bits[-1] else inf
            for curve in those
        ]
        means.append(mean(seconds))
        result.add_row(
            way,
            " ".join(f"{curve.bits[-1]:.3f}" for curve in those),
            " ".join(_number(value, ",.0f") for value in seconds),
            _number(means[-1], ",.0f"),
            " ".join(f"{curve.steps[-1]:,}" for curve in those),
            _number(means[0] / means[-1] if means[-1] < inf else inf, ".2f"),
            _number(means[-2] / means[-1] if len(means) > 1 and means[-1] < inf else inf, ".2f"),
        )
    return result


def _number(value: float, format: str) -> str:
    return "–" if isinf(value) else f"{value:{format}}"


def saved(curves: Sequence[Curve], last_bits: Mapping[tuple[str, int], float]) -> str:
    """The bits an image that a way saves against the same without h, seed by seed, in words."""
    nulls = [(curve, last_bits.get((f"{curve.way}{NO_H}", curve.seed))) for curve in curves]
    bits = [(null - curve.bits[-1]) * curve.dims for curve, null in nulls if null is not None]
    spread = f" ± {stdev(bits):.0f}" if len(bits) > 1 else ""
    return f"{mean(bits):.0f}{spread}" if bits else ""


def picture(task: str, curves: Sequence[Curve]) -> Figure:
    """Bits/dim over steps, and over CPU-seconds: a colour a way, a thin line a seed."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    over_steps, over_seconds = figure.subplots(1, 2, sharey=True)
    ways = list(dict.fromkeys(curve.way for curve in curves))
    for curve in curves:
        colour = f"C{ways.index(curve.way) % 10}"
        first = curve.seed == min(c.seed for c in curves if c.way == curve.way)
        label = curve.way if first else None
        over_steps.plot(curve.steps, curve.bits, color=colour, lw=1, label=label)
        over_seconds.plot(curve.seconds, curve.bits, color=colour, lw=1)
    over_steps.set(xlabel="steps", ylabel=f"validation bits/dim, {task}", xscale="log")
    over_seconds.set(xlabel="CPU-seconds of training, one thread", xscale="log")
    figure.legend(*over_steps.get_legend_handles_labels(), frameon=False, loc="outside right upper")
    for axes in (over_steps, over_seconds):
        # At 1, 2 and 5 of every power of ten: labels of all nine would overlap.
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    return figure
