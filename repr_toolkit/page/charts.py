"""Charts as SVG within the page, with its colours and its fonts, light or dark."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from repr_toolkit.support.console import legible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#010203"  # stands for the page's colour of text
SERIES = 6  # the number of the page's colours for series
DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "repr-toolkit",
    "font.size": 7.5,
    "axes.titlesize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "ytick.minor.size": 0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.4,
}


@dataclass(frozen=True)
class Series:
    """A line of a chart; `dots` marks its points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int  # the number of the page's colour, from 0
    dots: bool = False


def line_chart(
    prefix: str,
    alt: str,
    series: Sequence[Series],
    *,
    x: str,
    y: str,
    log: bool = False,
    second: tuple[str, float] | None = None,
) -> str:
    """Lines over a common axis, with `log` a logarithmic y; `prefix` makes the SVG's ids unique.

    `second` is another unit of y at the right: its name, and how many of it one of y is.
    """
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = _figure(4.0, 2.45)
        axes = figure.subplots()
        for line in series:
            axes.plot(
                line.x,
                line.y,
                label=_literal(line.name),
                color=_colour(line.colour),
                linestyle=DASHES[line.colour % len(DASHES)],
                marker="o" if line.dots else None,
                markersize=3,
            )
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if log:
            axes.set_yscale("log")
            _few_plain_ticks(axes)
        axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
        if second is not None:
            name, factor = second
            there_and_back: Any = (lambda value: value * factor, lambda value: value / factor)
            right = axes.secondary_yaxis("right", functions=there_and_back)
            right.set_ylabel(name)
            right.spines["right"].set_visible(True)
        if len(series) > 1:
            axes.legend(frameon=False, handlelength=2.6, borderaxespad=0)
        return _svg(figure, prefix, alt)


def bar_chart(
    prefix: str,
    alt: str,
    names: Sequence[str],
    values: Sequence[float],
    intervals: Sequence[tuple[float, float]] | None = None,
    *,
    x: str,
    colour: int = 0,
) -> str:
    """Horizontal bars, the first at the top, with their intervals as lines."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = _figure(4.0, 0.55 + 0.155 * max(3, len(names)))
        axes = figure.subplots()
        places = range(len(names))
        axes.barh(places, values, color=_colour(colour), height=0.68)
        if intervals is not None:
            axes.hlines(places, *zip(*intervals, strict=True), color=INK, linewidth=0.9)
        axes.axvline(0, color=INK, linewidth=0.6)
        axes.set_yticks(places, [_literal(name) for name in names])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel(x)
        axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
        axes.set_axisbelow(True)
        return _svg(figure, prefix, alt)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _few_plain_ticks(axes: Any) -> None:
    """Ticks of a logarithmic axis as plain numbers: 1, 2 and 5 times the powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _literal(text: str) -> str:
    """A text for matplotlib, in which a dollar begins no mathematics and "_" hides no label."""
    return legible(text).replace("$", r"\$").lstrip("_")


def _colour(number: int) -> str:
    """A colour that stands for the page's colour of series `number`, from 0."""
    return f"#0102f{number % SERIES}"


def _svg(figure: "Figure", prefix: str, alt: str) -> str:
    """The figure as an SVG element, with `alt` for readers who do not see it."""
    written = io.StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    text = written.getvalue()
    text = re.sub(
        r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.S
    )
    # The ids of all charts on a page must differ; an id without a reference can go.
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    text = re.sub(
        r' id="([^"]*)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", text
    )
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub(r'(?:xlink:)?href="#', f'href="#{prefix}-', text)
    text = re.sub(r"#0102f(\d)", lambda m: f"var(--series-{int(m[1]) + 1})", text)
    text = text.replace(INK, "currentColor")
    box = re.search(r'viewBox="[^"]*"', text)
    assert box
    named = f'<svg {box[0]} role="img" aria-label="{escape(alt)}">'
    return re.sub(r"<svg[^>]*>", lambda _: named, text, count=1)  # backslashes as they are
