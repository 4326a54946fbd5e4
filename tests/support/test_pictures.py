"""Grids and Figure 6 show the right pixels in the right places."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from repr_toolkit.support.choose import choose_evenly, choose_originals
from repr_toolkit.support.pictures import (
    DPI,
    LEAST_WIDTH,
    PAPER_WIDTH,
    SEPARATOR,
    Group,
    displayable,
    image_grid,
    lay_out,
    names_width,
    paper_figure,
)


def numbered(*shape: int, levels: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, levels, shape, generator=torch.Generator().manual_seed(seed)).byte()


def test_levels_are_stretched_to_the_whole_range() -> None:
    shown = displayable(torch.arange(17).byte().view(1, 1, 1, 17), levels=17)
    np.testing.assert_array_equal(shown.ravel(), np.rint(np.arange(17) * 255 / 16))
    every = torch.arange(256).byte().view(1, 1, 16, 16)
    assert (displayable(every).ravel() == np.arange(256)).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_shows_every_image_in_its_place(channels: int) -> None:
    images = numbered(5, channels, 4, 6)
    grid = np.asarray(image_grid(images, columns=3, levels=16))
    grid = grid.reshape(*grid.shape[:2], channels)
    s = 33  # 3 · (6 · 33 + 2) + 2 pixels are 600 at least
    assert grid.shape[:2] == (
        2 * (4 * s + SEPARATOR) + SEPARATOR,
        3 * (6 * s + SEPARATOR) + SEPARATOR,
    )
    for index, image in enumerate(displayable(images, 16)):
        top = SEPARATOR + index // 3 * (4 * s + SEPARATOR)
        left = SEPARATOR + index % 3 * (6 * s + SEPARATOR)
        cell = grid[top : top + 4 * s, left : left + 6 * s]
        for dy, dx in ((0, 0), (s - 1, s - 1)):
            assert (cell[dy::s, dx::s] == image).all()
    assert (grid[-1] == 255).all()
    assert grid.shape[1] >= LEAST_WIDTH


def test_names_stand_beside_the_grid_and_leave_it_as_it_is() -> None:
    images = numbered(4, 1, 28, 28)
    plain = np.asarray(image_grid(images, columns=2, levels=16))
    names = ["the first of a very long name" * 9, "→ 2 ± 1"]
    shown = image_grid(images, columns=2, levels=16, column_names=names, row_names=["a", "b"])
    pixels = np.asarray(shown)
    height, width = plain.shape
    assert shown.mode == "L"
    np.testing.assert_array_equal(pixels[-height:, -width:], plain)
    above, aside = pixels[:-height, -width:], pixels[-height:, :-width]
    for half in (above[:, : width // 2], above[:, width // 2 :], aside[: height // 2]):
        assert half.min() == 0  # print
    assert (above[:, width // 2 - 2 : width // 2 + 2] == 255).all()  # each within its column
    with pytest.raises(ValueError, match="3 names for 2 rows"):
        image_grid(images, columns=2, levels=16, row_names=["a", "b", "c"])


@pytest.mark.parametrize(
    ("images", "arguments", "error", "message"),
    [
        (torch.zeros(1, 1, 2, 2), {}, TypeError, "float32"),
        (numbered(2, 4, 4), {}, ValueError, "C = 1 or 3"),
        (numbered(1, 2, 4, 4), {}, ValueError, "C = 1 or 3"),
        (numbered(0, 1, 4, 4), {}, ValueError, "no images"),
        (torch.full((1, 1, 2, 2), 9).byte(), {"levels": 9}, ValueError, "value 9"),
        (numbered(1, 1, 4, 4), {"columns": 0}, ValueError, "columns"),
    ],
)
def test_what_no_grid_can_show(
    images: torch.Tensor, arguments: dict[str, int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        image_grid(images, **{"columns": 2, **arguments})


@pytest.mark.parametrize("channels", [1, 3])
def test_layout_has_a_cell_for_every_image(channels: int) -> None:
    counts = [1, 1, 5, 2]
    blocks = [numbered(4, n, channels, 6, 8, seed=n) for n in counts]
    layout = lay_out([Group(block, "x") for block in blocks], levels=16, width=900)
    assert len(layout.spans) == len(counts)
    assert layout.spans[0][0] == 0
    assert layout.spans[-1][1] == layout.canvas.shape[1]
    assert abs(layout.canvas.shape[1] - 900) < 100
    side = layout.spans[0][1]
    scale = side // 8
    thin = (layout.spans[2][1] - layout.spans[2][0] - 5 * side) // 4
    assert thin > 0
    for block, (left, right) in zip(blocks, layout.spans, strict=True):
        count = block.shape[1]
        assert right - left == count * side + (count - 1) * thin
        for row in range(4):
            for column, image in enumerate(displayable(block[row], 16)):
                top, start = row * (6 * scale + thin), left + column * (side + thin)
                cell = layout.canvas[top : top + 6 * scale, start : start + side]
                expected = np.broadcast_to(image.repeat(scale, 0).repeat(scale, 1), cell.shape)
                assert (cell == expected).all()
    for (_, end), (start, _) in zip(layout.spans, layout.spans[1:], strict=False):
        assert start - end > thin
        assert (layout.canvas[:, end:start] == 255).all()


@pytest.mark.parametrize("count", [1, 2])
def test_few_columns_are_wide_enough_and_no_wider(count: int) -> None:
    layout = lay_out([Group(numbered(2, count, 1, 8, 8), "x")], levels=16)
    assert LEAST_WIDTH <= layout.canvas.shape[1] <= LEAST_WIDTH + 20


def test_groups_that_do_not_fit_together() -> None:
    with pytest.raises(ValueError, match="nothing"):
        lay_out([])
    with pytest.raises(ValueError, match="differ in rows"):
        lay_out([Group(numbered(2, 1, 1, 4, 4), "a"), Group(numbered(3, 1, 1, 4, 4), "b")])


def test_figure_keeps_its_pixels_and_writes_its_titles() -> None:
    groups = [
        Group(numbered(3, 1, 1, 7, 7), "Original"),
        Group(numbered(3, 1, 1, 7, 7, seed=1), "MSE", "$m$ = 10"),
        Group(numbered(3, 4, 1, 7, 7, seed=2), "PixelCNN", "$m$ = 10"),
        Group(numbered(3, 4, 1, 7, 7, seed=3), "PixelCNN", "$m$ = 100"),
    ]
    figure = paper_figure(groups, levels=16)
    texts = [text.get_text() for text in figure.texts]
    assert sorted(texts) == sorted(
        ["Original", "MSE", "$m$ = 10", "PixelCNN", "$m$ = 10", "$m$ = 100"]
    )
    assert len({text.get_fontsize() for text in figure.texts}) == 1
    written = BytesIO()
    figure.savefig(written, dpi=DPI, format="png")
    with Image.open(written) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    canvas = lay_out(groups, levels=16).canvas
    height, width, _ = canvas.shape
    margin = (pixels.shape[1] - width) // 2
    bottom = pixels.shape[0] - margin
    shown = pixels[bottom - height : bottom, margin : margin + width]
    assert (shown == canvas).all()
    assert (pixels[: bottom - height] < 128).any()  # the titles
    boxes = [text.get_window_extent() for text in figure.texts]
    assert all(box.x0 >= 0 and box.y1 <= pixels.shape[0] for box in boxes)
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert not (a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1)


def test_figure_3_names_its_rows_beside_them() -> None:
    names = ["golden retriever", "$x_", "", "7"]  # no mathematics
    groups = [Group(numbered(4, 6, 1, 7, 7, seed=n), heading) for n, heading in enumerate("ab")]
    figure = paper_figure(groups, names, levels=16)
    beside = figure.texts[2:]
    assert [text.get_text() for text in beside] == names
    written = BytesIO()
    figure.savefig(written, dpi=DPI, format="png")
    with Image.open(written) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] == pytest.approx(PAPER_WIDTH * DPI, abs=120)
    margin = round(3 * DPI / 72)
    aside, _ = names_width(names)
    canvas = lay_out(groups, levels=16, width=round(PAPER_WIDTH * DPI) - aside).canvas
    height, width, _ = canvas.shape
    bottom, left = pixels.shape[0] - margin, margin + aside
    assert pixels.shape[1] == left + width + margin
    assert (pixels[bottom - height : bottom, left : left + width] == canvas).all()
    step = height / 4
    for row, text in enumerate(beside):
        box = text.get_window_extent()
        if not names[row]:
            continue
        assert box.x0 >= 0
        assert box.x1 <= left
        middle = (box.y0 + box.y1) / 2  # from below
        assert abs(middle - (margin + height - (row + 0.5) * step)) < step / 4
        beside_row = pixels[bottom - height + round(row * step) :][: round(step), :left]
        assert (beside_row < 128).any()


def test_figure_3_needs_a_name_for_each_row() -> None:
    with pytest.raises(ValueError, match="3 names for 2 rows"):
        paper_figure([Group(numbered(2, 1, 1, 4, 4), "x")], ["a", "b", "c"])
    with pytest.raises(ValueError, match="nothing"):
        paper_figure([], ["a"])


def test_long_names_are_written_smaller() -> None:
    group = Group(numbered(2, 3, 1, 8, 8), "x")
    short = paper_figure([group], ["a", "b"], levels=16)
    long = paper_figure(
        [group], ["a", "a name of many words that never comes to an end"], levels=16
    )
    assert long.texts[1].get_fontsize() < short.texts[1].get_fontsize()
    assert long.texts[2].get_window_extent().x0 >= 0


def test_evenly_spaced_choice() -> None:
    assert choose_evenly(10, 5) == [0, 2, 4, 6, 8]
    assert choose_evenly(3, 5) == [0, 1, 2]
    assert len(set(choose_evenly(1000, 128))) == 128


def test_originals_show_every_class() -> None:
    labels = torch.tensor([2, 2, 0, 1, 0, 1, 2])
    assert choose_originals(7, 3, labels) == [2, 3, 0]
    assert choose_originals(7, 5, labels) == [2, 4, 3, 5, 0]
    assert choose_originals(7, 100, labels) == [2, 4, 3, 5, 0, 1, 6]
    many = torch.arange(40) % 20
    assert many[choose_originals(40, 10, many)].tolist() == list(range(0, 20, 2))


def test_originals_without_classes_are_spread() -> None:
    assert choose_originals(100, 4) == [0, 25, 50, 75]
    assert choose_originals(100, 4, torch.zeros(100).long()) == [0, 25, 50, 75]
