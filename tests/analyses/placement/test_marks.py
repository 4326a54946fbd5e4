"""Crosses stand at the points, on images enlarged pixel by pixel."""

import torch

from repr_toolkit.analyses.placement.marks import ARM, COLOUR, SCALE, with_crosses


def test_a_cross_stands_at_its_point_and_nowhere_else() -> None:
    images = torch.full((2, 1, 8, 10), 3, dtype=torch.uint8)
    points = torch.tensor([[[2.5, 4.0]], [[7.0, 1.5]]])
    marked = with_crosses(images[:, None], points, levels=4)[:, 0]
    assert marked.shape == (2, 3, 8 * SCALE, 10 * SCALE)
    colour = torch.tensor(COLOUR)[:, None, None]
    for image, [[x, y]] in zip(marked, points, strict=True):
        is_cross = (image == colour).all(0)
        assert is_cross.sum() == 4 * ARM + 1
        rows, columns = is_cross.nonzero().unbind(1)
        assert rows.float().mean() == y * SCALE
        assert columns.float().mean() == x * SCALE
        assert (image[:, ~is_cross] == 255).all()  # the highest of the levels


def test_each_pixel_becomes_a_square() -> None:
    images = torch.randint(0, 256, (1, 3, 4, 5), dtype=torch.uint8)
    marked = with_crosses(images[:, None], torch.full((1, 1, 2), 99.0))[:, 0]
    assert torch.equal(marked[:, :, ::SCALE, ::SCALE], images)
    assert torch.equal(marked[:, :, SCALE - 1 :: SCALE, SCALE - 1 :: SCALE], images)


def test_a_cross_at_the_edge_is_cut_off() -> None:
    images = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    marked = with_crosses(images[:, None], torch.tensor([[[0.0, 0.0]]]))[:, 0]
    assert (marked[0, 1] > 0).sum() == 2 * ARM + 1
