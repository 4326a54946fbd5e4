"""The picture and the table of moves in h."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from repr_toolkit.analyses.traversal.directions import DIFFERENCE
from repr_toolkit.analyses.traversal.measure import Along, Moves
from repr_toolkit.support.pictures import (
    DPI,
    FONT_SIZE,
    PAPER_WIDTH,
    Group,
    Layout,
    lay_out,
    names_width,
)
from repr_toolkit.support.tables import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADER, GAP = 27, 5  # points above directions that count α alike, and between directions
LINE, STEPS = 13, 3  # points above the pictures, of the two lines of a header


def picture(moves: Moves) -> "Figure":
    """A block of rows for each direction, its name at the left; a row is an image and its frames.

    The values of α stand above the directions that share them. Save it with ``dpi=DPI``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    point = DPI / 72  # pixels
    names = [along.direction.name for along in moves.along]
    aside, name_size = names_width(names)
    width = round(PAPER_WIDTH * DPI) - aside
    blocks = [
        lay_out(
            [Group(moves.images[:, None], ""), Group(along.frames, "")],
            levels=moves.levels,
            width=width,
        )
        for along in moves.along
    ]
    headed = [True, *(a.alphas != b.alphas or a.direction.unit != b.direction.unit
                      for a, b in pairwise(moves.along))]  # fmt: skip
    above = [round((HEADER if head else GAP) * point) for head in headed]
    margin = round(3 * point)
    captions = [f"α, {along.direction.unit}" for along in moves.along]
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
        figure.text(x / size[0], 1 - y / size[1], text, parse_math=False, **options)

    rows = zip(moves.along, blocks, headed, above, captions, strict=True)
    for along, block, head, space, caption in rows:
        top += space
        height = len(block.canvas)
        figure.figimage(block.canvas, margin + aside, size[1] - top - height, origin="upper")
        style: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": name_size}
        write(margin + aside - 4 * point, top + height / 2, along.direction.name, **style)
        if head:
            middles = _columns(block, len(along.alphas))
            left, right = (margin + aside + x for x in block.spans[1])
            own = (margin + aside) + sum(block.spans[0]) / 2
            write(own, top - STEPS * point, "image")
            half = _width(caption) / 2 + margin
            middle = min((left + right) / 2, size[0] - half)  # within the figure
            write(middle, top - (LINE + 1.5) * point, caption)
            line = 1 - (top - (LINE - 1) * point) / size[1]
            ends = (left / size[0], right / size[0])
            figure.add_artist(Line2D(ends, (line, line), color="0.4", linewidth=0.5))
            for alpha, x in zip(along.alphas, middles, strict=True):
                write(margin + aside + x, top - STEPS * point, alpha_text(alpha))
        top += height
    return figure


def _width(text: str) -> int:
    """The pixels that a line of text takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family="STIXGeneral", size=FONT_SIZE)
    return round(TextPath((0, 0), text, prop=font).get_extents().width * DPI / 72)


def _columns(block: Layout, steps: int) -> list[float]:
    """The middles of the frames' columns, in pixels of the canvas."""
    (start, stop), (left, right) = block.spans
    side = stop - start
    middles: list[float] = np.linspace(left + side / 2, right - side / 2, steps).tolist()
    return middles


def alpha_text(alpha: float) -> str:
    """α with its sign, to three digits, without trailing zeros.

    >>> alpha_text(-0.75), alpha_text(0.0), alpha_text(0.005), alpha_text(15 / 7)
    ('−0.75', '0', '0.005', '2.14')
    """
    return f"{alpha:.{3 if abs(alpha) < 1000 else 17}g}".replace("-", "−")


def table(moves: Moves) -> str:
    """One line a direction, of at most 100 columns."""
    protocol = moves.protocol
    count = protocol["measured_images"]
    lines = [
        f"{protocol['run']}, {protocol['data']}, {protocol['split']}: {count} images",
        f"directions in the h of {protocol['train_images']:,} training images"
        + ("; moves keep the length of h" if protocol["keep_length"] else ""),
        "",
    ]
    columns = [["along"], ["α"], ["scale"], ["change a step"], ["judged, first α"]]
    columns += [["nearest 0"], ["last"]]
    for along in moves.along:
        ends = f"{alpha_text(along.alphas[0])} … {alpha_text(along.alphas[-1])}"
        cells = [along.direction.name, ends, f"{along.direction.scale:.3f}"]
        cells.append(f"{np.mean(along.change):.4f}" if along.change else "–")
        cells += _shares(along)
        for column, cell in zip(columns, cells, strict=True):
            column.append(cell)
    columns = [column for column in columns if set(column[1:]) != {"–"}]
    lines.append(aligned(columns))
    units = {along.direction.unit for along in moves.along}
    if units - {DIFFERENCE}:
        lines.append("α counts standard deviations of the training h along the direction;")
    if DIFFERENCE in units:
        lines.append("mean: α = 1 is the way from the mean h without the attribute to that with it")
    if moves.between_images is not None and count:
        lines.append(
            f"change: mean absolute intensity of [0, 1]; two real images differ by "
            f"{moves.between_images:.4f}"
        )
    lines += [
        f"judged: % with the attribute, 95 % interval, by a classifier of {judge.key} trained on\n"
        f"{judge.train_images:,} real images, right on {100 * judge.accuracy.value:.1f} % of "
        f"{judge.test_images:,} real {judge.split} images"
        for judge in moves.judges
    ]
    return "\n".join(lines)


def _shares(along: Along) -> list[str]:
    """At the first step, the one nearest to 0 where it is another, and the last."""
    if along.judged is None:
        return ["–"] * 3
    first, *between, last = told_steps(along.alphas)
    chosen = [along.judged[first], along.judged[between[0]] if between else None]
    chosen.append(along.judged[last])
    return [
        "–"
        if s is None
        else f"{100 * s.value:.0f} ({100 * (s.low or 0):.0f}–{100 * (s.high or 0):.0f})"
        for s in chosen
    ]


def told_steps(alphas: Sequence[float]) -> list[int]:
    """The places of the first α, of the one nearest to 0 (the lower of two), and of the last.

    The second only where it is neither of the others.

    >>> told_steps([-3, -1.5, 0, 1.5, 3]), told_steps([-3, -1, 1, 3]), told_steps([-1, 1])
    ([0, 2, 4], [0, 1, 3], [0, 1])
    """
    nearest = min(range(len(alphas)), key=lambda at: abs(alphas[at]))
    return [0, *({nearest} - {0, len(alphas) - 1}), len(alphas) - 1]
