"""Pictures of images: plain grids, and Figures 3 and 6 of arXiv:1606.05328.

Images are uint8 tensors (N, C, H, W) with values 0…levels−1 and one or three channels.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from repr_toolkit.support.console import legible
from repr_toolkit.support.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEPARATOR = 2  # pixels between the cells of a grid, in the enlarged picture
VISIBLE_SIDE = 64  # a grid enlarges smaller images to about this many pixels
LEAST_WIDTH = 600  # pixels of any picture
MOST_HEIGHT = 6000  # pixels of a grid that is enlarged to be wide enough
LABEL_SIZE, LEAST_LABEL_SIZE = 14, 9  # pixels
MOST_LABEL = 220  # pixels of a row's name


def displayable(images: Tensor, levels: int = 256) -> npt.NDArray[np.uint8]:
    """Images (N, C, H, W) with values stretched to 0…255 and channels last, uint8 (N, H, W, C).

    Raises TypeError unless the images are uint8, and ValueError for another shape or a value above
    levels−1.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8 with values 0…{levels - 1}, not {images.dtype}")
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"images must have the shape (N, C, H, W) with C = 1 or 3, not {tuple(images.shape)}"
        )
    array = images.cpu().numpy()
    if array.size and array.max() >= levels:
        raise ValueError(
            f"an image has the value {array.max()}, but levels={levels} end at {levels - 1}"
        )
    stretched: npt.NDArray[np.uint8] = np.rint(array * (255 / (levels - 1))).astype(np.uint8)
    return np.ascontiguousarray(stretched.transpose(0, 2, 3, 1))


def image_grid(
    images: Tensor,
    *,
    columns: int,
    levels: int = 256,
    column_names: Sequence[str] = (),
    row_names: Sequence[str] = (),
) -> Image.Image:
    """Images (N, C, H, W) row by row on white, thinly separated, each pixel enlarged to a square.

    An image's shorter side becomes about 64 pixels, or stays if it is longer, and more where the
    picture would be narrower than `LEAST_WIDTH`; one of many rows, which would be too high, gets
    white at its right. The rest of the last row stays white. Names stand above the columns and at
    the left of the rows. Raises ValueError for no images, for `columns` below 1, and for names that
    are not one for each, and what `displayable` raises.
    """
    pixels = displayable(images, levels)
    count, height, width, channels = pixels.shape
    if count == 0:
        raise ValueError("there are no images to lay out")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    rows = -(-count // columns)
    least = ceil(((LEAST_WIDTH - SEPARATOR) / columns - SEPARATOR) / width)
    most = MOST_HEIGHT // (rows * height)
    scale = max(1, round(VISIBLE_SIDE / min(height, width)), min(least, most))
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    cell_height, cell_width = height * scale + SEPARATOR, width * scale + SEPARATOR
    shape = (rows * cell_height + SEPARATOR, columns * cell_width + SEPARATOR, channels)
    canvas = np.full(shape, 255, np.uint8)
    for index, image in enumerate(pixels):
        top = SEPARATOR + index // columns * cell_height
        left = SEPARATOR + index % columns * cell_width
        canvas[top : top + height * scale, left : left + width * scale] = image
    for what, names, places in (("columns", column_names, columns), ("rows", row_names, rows)):
        if names and len(names) != places:
            raise ValueError(f"there are {len(names)} names for {places} {what}")
    grid = Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)
    named = labelled(grid, column_names, row_names)
    if named.width >= LEAST_WIDTH:
        return named
    wide = Image.new(named.mode, (LEAST_WIDTH, named.height), "white")
    wide.paste(named)
    return wide


def labelled(
    picture: Image.Image, columns: Sequence[str] = (), rows: Sequence[str] = ()
) -> Image.Image:
    """A picture of equal cells with the names of its columns above and of its rows at the left.

    A name that is too long becomes smaller, and then ends in an ellipsis.
    """
    columns, rows = ([legible(name) for name in names] for names in (columns, rows))
    font = _font(LABEL_SIZE)
    left = min(MOST_LABEL, ceil(max(map(font.getlength, rows), default=-10)) + 10)
    top = LABEL_SIZE + 8 if columns else 0
    canvas = Image.new(picture.mode, (picture.width + left, picture.height + top), "white")
    canvas.paste(picture, (left, top))
    draw = ImageDraw.Draw(canvas)
    width, height = (picture.width / max(1, len(columns)), picture.height / max(1, len(rows)))
    for number, name in enumerate(columns):
        text, font = _fitted(name, width - 4)
        draw.text((left + (number + 0.5) * width, top - 5), text, "black", font, "ms")
    for number, name in enumerate(rows):
        text, font = _fitted(name, left - 10)
        draw.text((left - 5, top + (number + 0.5) * height), text, "black", font, "rm")
    return canvas


def _fitted(name: str, width: float) -> tuple[str, ImageFont.FreeTypeFont]:
    """A name, shortened if it must be, and the font in which it is no wider than so many pixels."""
    for size in range(LABEL_SIZE, LEAST_LABEL_SIZE - 1, -1):
        if _font(size).getlength(name) <= width:
            return name, _font(size)
    font = _font(LEAST_LABEL_SIZE)
    while name and font.getlength(f"{name}…") > width:
        name = name[:-1]
    return f"{name}…", font


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """A font that has the papers' symbols."""
    from matplotlib import get_data_path

    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def write_png(path: Path, picture: "Image.Image | Figure") -> None:
    """Write a picture of Pillow's, or a figure of matplotlib's, as PNG, whole or not at all."""
    with atomic_write(path) as file:
        file.write(png_of(picture))


def png_of(picture: "Image.Image | Figure") -> bytes:
    """A picture of Pillow's, or a figure of matplotlib's, as PNG."""
    png = io.BytesIO()
    if isinstance(picture, Image.Image):
        picture.save(png, "PNG")
    else:
        picture.savefig(png, dpi=DPI, format="png")
    return png.getvalue()


@dataclass(frozen=True)
class Group:
    """Adjacent columns of a comparison figure that belong to one model.

    `images` is uint8 (rows, columns, C, H, W). Adjacent groups of the same `heading` share it. The
    `title`, which may be empty, stands below the heading over the group's columns. Both may hold
    mathematics between dollar signs.
    """

    images: Tensor
    heading: str
    title: str = ""


@dataclass(frozen=True)
class Layout:
    """The pixels of a comparison figure before any text."""

    canvas: npt.NDArray[np.uint8]  # (height, width, 3), white between the images
    spans: list[tuple[int, int]]  # each group's first column of pixels and the one past its last


DPI = 300
PAPER_WIDTH = 5.5  # inches of text on a page
WIDEST_CELL = 0.45  # inches
FONT_SIZE = 9  # points, at most
WIDEST_NAME = 1.2  # inches of a row's name, which is written smaller if need be
GAP_IN_GROUP, GAP_OF_GROUPS = 0.04, 0.2  # of an image's side


def lay_out(groups: Sequence[Group], *, levels: int = 256, width: int = 1650) -> Layout:
    """Put the groups side by side, a row for each original, enlarged to about `width` pixels.

    Each pixel of an image becomes a square of whole pixels, and no column is wider than
    `WIDEST_CELL`, unless the whole would be narrower than `LEAST_WIDTH`. Raises ValueError for no
    groups or groups of different rows or image shapes, and what `displayable` raises.
    """
    if not groups:
        raise ValueError("there is nothing to lay out")
    shapes = {(len(group.images), *group.images.shape[2:]) for group in groups}
    if len(shapes) > 1:
        raise ValueError(f"the groups differ in rows or image shape (rows, C, H, W): {shapes}")
    rows, _, height, side = shapes.pop()
    columns = [group.images.shape[1] for group in groups]
    gaps = GAP_IN_GROUP * (sum(columns) - len(groups)) + GAP_OF_GROUPS * (len(groups) - 1)
    cells = sum(columns) + gaps
    enlarged_side = min(width / cells, WIDEST_CELL * DPI)
    scale = max(1, round(enlarged_side / side), ceil(LEAST_WIDTH / cells / side))
    height, side = height * scale, side * scale
    thin, wide = max(1, round(GAP_IN_GROUP * side)), max(3, round(GAP_OF_GROUPS * side))
    lengths = [count * (side + thin) - thin for count in columns]
    ends = np.cumsum([length + wide for length in lengths]) - wide
    spans = [(int(end) - length, int(end)) for length, end in zip(lengths, ends, strict=True)]
    canvas = np.full((rows * (height + thin) - thin, spans[-1][1], 3), 255, np.uint8)
    for group, (left, _) in zip(groups, spans, strict=True):
        for row, images in enumerate(group.images):
            for column, image in enumerate(displayable(images, levels)):
                top, start = row * (height + thin), left + column * (side + thin)
                enlarged = image.repeat(scale, axis=0).repeat(scale, axis=1)
                canvas[top : top + height, start : start + side] = enlarged
    return Layout(canvas, spans)


def paper_figure(
    groups: Sequence[Group], names: Sequence[str] = (), *, levels: int = 256
) -> "Figure":
    """Groups of images under their headings, as in Figures 3 and 6 of arXiv:1606.05328.

    In Figure 3 the groups are samples of models, and each row is a class, whose name stands at the
    left. In Figure 6 each row is an original; the groups are the originals, the reconstructions of
    each baseline and several samples of each conditional model. `write_png` saves it without
    trimming, since its size fits its pixels. Raises ValueError for `names` that are not one for
    each row, and what `lay_out` raises.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    rows = {len(group.images) for group in groups}
    if names and rows and rows != {len(names)}:
        raise ValueError(f"there are {len(names)} names for {', '.join(map(str, rows))} rows")
    point = DPI / 72  # pixels
    aside, name_size = names_width(names)
    layout = lay_out(groups, levels=levels, width=round(PAPER_WIDTH * DPI) - aside)
    height, width, _ = layout.canvas.shape
    lines = 2 if any(group.title for group in groups) else 1
    margin, header = round(3 * point), round((2 + 11 * lines) * point)
    size = (width + 2 * margin + aside, height + header + margin)
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI)
    FigureCanvasAgg(figure)  # measures texts
    figure.figimage(layout.canvas, margin + aside, margin, origin="upper")

    def place(x: float, up: float) -> tuple[float, float]:
        """A column of the canvas, and points above it, as fractions of the figure."""
        return (margin + aside + x) / size[0], (margin + height + up * point) / size[1]

    texts, shrink = [], 1.0
    members = list(zip(groups, layout.spans, strict=True))
    for heading, run in groupby(members, key=lambda member: member[0].heading):
        same = list(run)
        left, right = same[0][1][0], same[-1][1][1]
        captions = [(group.title, start, stop, 3) for group, (start, stop) in same if group.title]
        if captions:
            ends = [place(left, 11), place(right, 11)]
            figure.add_artist(Line2D(*zip(*ends, strict=True), color="0.4", linewidth=0.5))
        for text, start, stop, up in [(heading, left, right, 14 if captions else 3), *captions]:
            x, y = place((start + stop) / 2, up)
            label = figure.text(
                x, y, legible(text), ha="center", family="STIXGeneral", fontsize=FONT_SIZE
            )
            label.set_math_fontfamily("stix")
            shrink = min(shrink, (stop - start) / label.get_window_extent().width)
            texts.append(label)
    heading_size = max(5.0, FONT_SIZE * shrink)  # with which the longest fits over its columns
    for label in texts:
        label.set_fontsize(heading_size)
    step = height / max(1, len(names))
    for row, name in enumerate(names):
        x, y = place(-4 * point, -(row + 0.5) * step / point)
        style: dict[str, Any] = {"ha": "right", "va": "center_baseline", "family": "STIXGeneral"}
        size_of_row = min(name_size, heading_size, step / point)
        figure.text(x, y, legible(name), fontsize=size_of_row, parse_math=False, **style)
    return figure


def names_width(names: Sequence[str]) -> tuple[int, float]:
    """The width in pixels of the names of rows, with a margin, and their font size in points."""
    widest = max(map(text_width, names), default=0)
    shrink = min(1, WIDEST_NAME * 72 / widest) if widest else 1
    return (round((widest * shrink + 6) * DPI / 72) if names else 0), FONT_SIZE * shrink


def text_width(text: str) -> float:
    """The width of a line of text in points, at `FONT_SIZE`."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family="STIXGeneral", size=FONT_SIZE)
    return float(TextPath((0, 0), legible(text), prop=font).get_extents().width) if text else 0.0
