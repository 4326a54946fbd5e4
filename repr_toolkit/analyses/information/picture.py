"""Maps of bits over the images that they are of, on a scale that people of any colour vision read.

Purple against orange, both ends of which differ in lightness from the middle and are told apart
without red and green.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from repr_toolkit.analyses.information.code_lengths import Floats, Maps
from repr_toolkit.support.pictures import DPI, displayable
from repr_toolkit.support.roc import COLOURS, LINES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALE = "PuOr"
CELL = 1.25  # inches
LEFT = 1.6  # inches of a row's title


@dataclass(frozen=True, eq=False)
class Row:
    """One kind of saving: its mean map (C, H, W) and those of single images (s, C, H, W)."""

    title: str
    mean: Floats
    shown: Maps
    cumulative: Sequence[float] | Floats
    """Saved up to each pixel, in the order of generation, (H·W,)."""


def overlays(rows: Sequence[Row], images: Tensor, *, levels: int) -> "Figure":
    """A matplotlib Figure: per row the mean map and single images', below them all in order.

    `images` is uint8 (s, C, H, W). A pixel's bits are summed over channels. A row's mean map and
    its images' maps have a scale each, symmetric about 0, whose ends stand at the row's title and
    bars; a map is transparent where it is 0, and the image shows through, in grey.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(images)
    height = CELL * len(rows) + 2.6
    figure = Figure(figsize=(LEFT + CELL * (count + 1.5), height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(rows) + 1, count + 1, height_ratios=[*[1] * len(rows), 1.7])
    grey = displayable(images, levels).mean(-1)  # (s, H, W) in 0…255
    for number, row in enumerate(rows):
        mean, single = row.mean.sum(0), row.shown.sum(1)
        axes = figure.add_subplot(grid[number, 0])
        drawn = _map(axes, mean, grey.mean(0), _end(mean))
        figure.colorbar(drawn, ax=axes, shrink=0.8).ax.tick_params(labelsize=5)
        axes.set_ylabel(row.title, rotation=0, ha="right", va="center", fontsize=7)
        if number == 0:
            axes.set_title("mean", fontsize=8)
        end = _end(single)
        for column, (bits, image) in enumerate(zip(single, grey, strict=True), 1):
            axes = figure.add_subplot(grid[number, column])
            drawn = _map(axes, bits, image, end)
            axes.set_title(f"{bits.sum():.1f} bits".replace("-", "−"), fontsize=6)
        figure.colorbar(drawn, ax=axes, shrink=0.8).ax.tick_params(labelsize=5)
    axes = figure.add_subplot(grid[len(rows), :])
    for number, row in enumerate(rows):
        style = LINES[number // len(COLOURS) % len(LINES)]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(row.cumulative, label=row.title, color=colour, linestyle=style, linewidth=1.2)
    axes.axhline(0, color="0.7", linewidth=0.6)
    axes.set_xlabel("pixels coded, in their order", fontsize=7)
    axes.set_ylabel("bits saved so far", fontsize=7)
    axes.tick_params(labelsize=6)
    axes.legend(fontsize=6, frameon=False)
    return figure


def _map(axes: Any, bits: Any, image: Any, end: float) -> Any:
    """One overlay on axes; the map, for its colour bar."""
    axes.imshow(255 - (255 - image) * 0.35, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    opaque = np.clip(np.abs(bits) / (0.35 * end), 0, 1)
    drawn = axes.imshow(
        bits, cmap=SCALE, vmin=-end, vmax=end, alpha=opaque, interpolation="nearest"
    )
    axes.set(xticks=[], yticks=[])
    return drawn


def _end(bits: Any) -> float:
    """The end of a scale: the largest bits but for the outermost half per cent of pixels."""
    return max(float(np.quantile(np.abs(bits), 0.995)), 1e-6)
