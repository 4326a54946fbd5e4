"""Pictures of receiver operating characteristics."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from repr_toolkit.support.console import legible

Floats = npt.NDArray[np.floating[Any]]

# Okabe and Ito's colours, which people of any colour vision can tell apart, and styles of lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":")
DPI = 150
LEAST_RATE = 1e-3  # of false accepts


@dataclass(frozen=True, eq=False)
class Line:
    """A method's curves (false accept rates, true accept rates), such as one for each fold."""

    label: str
    curves: Sequence[tuple[Floats, Floats]]


def roc_picture(lines: Sequence[Line]) -> Image.Image:
    """True accept rate over false accept rate, on a logarithmic axis from `LEAST_RATE` up."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 4.5), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, line in enumerate(lines):
        for index, (false, true) in enumerate(line.curves):
            axes.step(
                false.clip(LEAST_RATE / 10),  # a logarithmic axis has no 0
                true,
                where="post",
                label=None if index else legible(line.label),
                color=COLOURS[number % len(COLOURS)],
                linestyle=LINES[number % len(LINES)],
                linewidth=1.6 if len(line.curves) == 1 else 1.0,
            )
    rates = [10 ** (-k / 20) for k in range(81) if 10 ** (-k / 20) >= LEAST_RATE / 10]
    axes.plot(rates, rates, color="0.6", linewidth=0.8, label="chance")
    axes.set(
        xscale="log",
        xlim=(LEAST_RATE, 1),
        ylim=(0, 1.005),
        xlabel="false accept rate (different people taken for one)",
        ylabel="true accept rate (one person recognised)",
    )
    axes.grid(color="0.9", linewidth=0.6)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    png = BytesIO()
    figure.savefig(png, format="png", dpi=DPI)
    return Image.open(png)
