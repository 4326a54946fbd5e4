"""Maps of bits over the images that they are of, as a figure; the report's pictures are alike."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from repr_toolkit.analyses.information.blocks import KINDS
from repr_toolkit.page.pictures import SIGNED, end_of, overlay
from repr_toolkit.runs.kept import Array, Result
from repr_toolkit.support.pictures import DPI
from repr_toolkit.support.roc import COLOURS, LINES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 1.25  # inches
LEFT = 1.6  # inches of a row's title


def picture(result: Result) -> "Figure":
    """The maps of every kind that `measure` held own h against, over some images; see `overlays`.

    Raises ValueError where the decoder has no likelihood of sub-pixels, and so no maps.
    """
    maps, saves = result.pictured, result.numbers["saves"]
    if "image" not in maps:
        raise ValueError("this decoder has no likelihood of sub-pixels, so there are no maps")
    kinds = [kind for kind in KINDS if kind in saves]
    return overlays(
        [f"to {KINDS[kind][0]}" for kind in kinds],
        [maps[f"saved_{kind}"] for kind in kinds],
        [maps[f"shown_{kind}"] for kind in kinds],
        [saves[kind]["cumulative"] for kind in kinds],
        maps["image"],
        int(maps["levels"]),
    )


def overlays(
    titles: Sequence[str],
    means: Iterable[Array],
    single: Iterable[Array],
    totals: Iterable[Sequence[float]],
    images: Array,
    levels: int,
    learning: Sequence[tuple[Sequence[float], Sequence[float]]] = (),
) -> "Figure":
    """A row for each kind of saving, and below them what each saves as the pixels are coded.

    A row has the kind's mean map (C, H, W) and those of single images (s, C, H, W), which lie over
    the `images` uint8 (s, C, H, W). Its total is saved up to each pixel, in the order of
    generation, (H·W,). A pixel's bits are summed over channels. A row's mean map and its images'
    maps have a scale each, symmetric about 0, whose ends stand at their bars; a map is transparent
    where it is 0, and the image shows through, in grey. `learning` has for each row the steps of
    training and what was saved after them, which are drawn at the bottom.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count, rows = len(images), len(titles)
    below = 2 if learning else 1  # plots below the rows
    height = CELL * rows + 0.5 + 2.1 * below
    figure = Figure(figsize=(LEFT + CELL * (count + 1.5), height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    ratios = [*[1] * rows, *[1.7] * below]
    grid = figure.add_gridspec(rows + below, count + 1, height_ratios=ratios)
    mean_image = np.rint(images.mean(0)).astype(np.uint8)
    for number, (title, mean, maps) in enumerate(zip(titles, means, single, strict=True)):
        end = end_of(mean[None])
        [[drawn]] = overlay(mean[None], mean_image[None], levels, end)
        axes = _shown(figure.add_subplot(grid[number, 0]), drawn)
        axes.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=7)
        if number == 0:
            axes.set_title("mean", fontsize=8)
        _bar(figure, axes, end)
        end = end_of(maps)
        [over_images] = overlay(maps, images, levels, end)
        for column, (drawn, bits) in enumerate(zip(over_images, maps, strict=True), 1):
            axes = _shown(figure.add_subplot(grid[number, column]), drawn)
            axes.set_title(f"{bits.sum():.1f} bits".replace("-", "−"), fontsize=6)
        _bar(figure, axes, end)
    over_pixels = [(range(len(total)), total) for total in totals]
    plots: list[tuple[str, str, Sequence[tuple[Sequence[float], Sequence[float]]]]] = [
        ("pixels coded, in their order", "bits saved so far", over_pixels)
    ]
    if learning:
        plots.append(("steps of training", "bits saved, validation images", learning))
    for below, (x, y, lines) in enumerate(plots):
        axes = figure.add_subplot(grid[rows + below, :])
        for number, (title, line) in enumerate(zip(titles, lines, strict=True)):
            style = LINES[number // len(COLOURS) % len(LINES)]
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(*line, label=title, color=colour, linestyle=style, linewidth=1.2)
        axes.axhline(0, color="0.7", linewidth=0.6)
        axes.set_xlabel(x, fontsize=7)
        axes.set_ylabel(y, fontsize=7)
        axes.tick_params(labelsize=6)
        axes.legend(fontsize=6, frameon=False)
    return figure


def _shown(axes: Any, picture: npt.NDArray[np.uint8]) -> Any:
    """Axes with a picture (H, W, 3) and no ticks."""
    axes.imshow(picture, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    return axes


def _bar(figure: "Figure", axes: Any, end: float) -> None:
    """The scale of a map's colours beside its axes."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(-end, end), SIGNED)
    figure.colorbar(scale, ax=axes, shrink=0.8).ax.tick_params(labelsize=5)
