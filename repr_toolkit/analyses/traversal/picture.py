"""The picture of a traversal, for paper."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from repr_toolkit.analyses.traversal.directions import alpha_text
from repr_toolkit.runs.kept import Result
from repr_toolkit.support.console import legible
from repr_toolkit.support.pictures import (
    DPI,
    FONT_SIZE,
    PAPER_WIDTH,
    Group,
    Layout,
    lay_out,
    names_width,
    text_width,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADER, GAP = 27, 5  # points above a direction with a header, and above one without
LINE, STEPS = 13, 3  # points above the pictures, of a header's two lines


def picture(result: Result) -> "Figure":
    """A block of rows for each direction, its name at the left; a row is an image and its frames.

    The values of α stand above the directions that share them. To be saved at `DPI`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    point = DPI / 72  # pixels
    directions, arrays = result.numbers["directions"], result.arrays()
    originals = torch.from_numpy(arrays["image"])[:, None]
    names = [along["name"] for along in directions]
    aside, name_size = names_width(names)
    width = round(PAPER_WIDTH * DPI) - aside
    blocks = [
        lay_out(
            [Group(originals, ""), Group(torch.from_numpy(frames), "")],
            levels=int(arrays["levels"]),
            width=width,
        )
        for frames in arrays["frames"]
    ]
    scales = [(along["unit"], along["alphas"]) for along in directions]
    headed = [True, *(before != after for before, after in pairwise(scales))]
    above = [round((HEADER if head else GAP) * point) for head in headed]
    margin = round(3 * point)
    captions = [f"α, {unit}" for unit, _ in scales]
    size = (
        # A few columns are narrower than what stands above them.
        max(aside + blocks[0].canvas.shape[1], max(map(_width, captions))) + 2 * margin,
        sum(above) + sum(len(block.canvas) for block in blocks) + margin,
    )
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI)
    FigureCanvasAgg(figure)

    top = 0  # of the block, in pixels from above

    def write(x: float, y: float, text: str, **style: Any) -> None:
        """A text at pixels from the left and from above."""
        options: dict[str, Any] = {
            "ha": "center",
            "family": "STIXGeneral",
            "fontsize": FONT_SIZE,
            **style,
        }
        figure.text(x / size[0], 1 - y / size[1], legible(text), parse_math=False, **options)

    rows = zip(directions, blocks, headed, above, captions, strict=True)
    for along, block, head, space, caption in rows:
        top += space
        height = len(block.canvas)
        figure.figimage(block.canvas, margin + aside, size[1] - top - height, origin="upper")
        style: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": name_size}
        write(margin + aside - 4 * point, top + height / 2, along["name"], **style)
        if head:
            middles = _columns(block, len(along["alphas"]))
            left, right = (margin + aside + x for x in block.spans[1])
            original = margin + aside + sum(block.spans[0]) / 2
            write(original, top - STEPS * point, "image")
            half = _width(caption) / 2 + margin
            middle = min((left + right) / 2, size[0] - half)  # within the figure
            write(middle, top - (LINE + 1.5) * point, caption)
            line = 1 - (top - (LINE - 1) * point) / size[1]
            ends = (left / size[0], right / size[0])
            figure.add_artist(Line2D(ends, (line, line), color="0.4", linewidth=0.5))
            for alpha, x in zip(along["alphas"], middles, strict=True):
                write(margin + aside + x, top - STEPS * point, alpha_text(alpha))
        top += height
    return figure


def _width(text: str) -> int:
    """The width of a line of text in pixels."""
    return round(text_width(text) * DPI / 72)


def _columns(block: Layout, steps: int) -> list[float]:
    """The middles of the frames' columns, in pixels of the canvas."""
    (start, stop), (left, right) = block.spans
    side = stop - start
    middles: list[float] = np.linspace(left + side / 2, right - side / 2, steps).tolist()
    return middles
