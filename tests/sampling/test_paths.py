"""Paths from one h to another, and the measure of how smoothly pictures follow."""

import math

import pytest
import torch

from repr_toolkit.sampling.paths import path, smoothness


def test_a_straight_line() -> None:
    a, b = torch.tensor([0.0, 2.0]), torch.tensor([4.0, 0.0])
    torch.testing.assert_close(path(a, b, 3), torch.tensor([[0.0, 2.0], [2.0, 1.0], [4.0, 0.0]]))


def test_a_turn_at_constant_speed() -> None:
    a, b = torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 3.0]).double()
    found = path(a, b, 4, "spherical")
    angles = torch.atan2(found[:, 1], found[:, 0])
    torch.testing.assert_close(angles, torch.linspace(0, math.pi / 2, 4).double())
    torch.testing.assert_close(found.norm(dim=1), torch.linspace(1, 3, 4).double())


@pytest.mark.parametrize("way", ["linear", "spherical"])
def test_both_ends_are_reached(way: str) -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 512).double()
    found = path(a, b, 7, way)  # type: ignore[arg-type]
    torch.testing.assert_close(found[[0, -1]], torch.stack([a, b]))


def test_unit_vectors_stay_unit_vectors() -> None:
    torch.manual_seed(0)
    a, b = torch.nn.functional.normalize(torch.randn(2, 64), dim=1)
    torch.testing.assert_close(path(a, b, 9, "spherical").norm(dim=1), torch.ones(9))
    assert path(a, b, 9).norm(dim=1).min() < 0.9


def test_equal_ends_stay_where_they_are() -> None:
    a = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(path(a, a, 3, "spherical"), a.expand(3, 3))
    torch.testing.assert_close(path(a, 2 * a, 3, "spherical"), path(a, 2 * a, 3))


def test_paths_that_cannot_be() -> None:
    a = torch.tensor([1.0, 0.0])
    with pytest.raises(ValueError, match="opposite"):
        path(a, -a, 3, "spherical")
    with pytest.raises(ValueError, match="zero vector"):
        path(a, 0 * a, 3, "spherical")
    with pytest.raises(ValueError, match="at least 2 steps"):
        path(a, a, 1)
    with pytest.raises(ValueError, match='"linear" or "spherical"'):
        path(a, a, 3, "round")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="two vectors"):
        path(a, torch.zeros(3), 3)


def test_smoothness_of_known_pictures() -> None:
    """Rows that change by one level a step, and are ten levels apart."""
    rows, steps = torch.arange(3)[:, None], torch.arange(4)[None]
    images = (10 * rows + steps).to(torch.uint8)[:, :, None, None, None].expand(3, 4, 1, 2, 2)
    adjacent, other_noise = smoothness(images, levels=101)
    assert adjacent.tolist() == pytest.approx([0.01] * 3)
    assert other_noise.tolist() == pytest.approx([0.15, 0.1, 0.15])
    adjacent, other_noise = smoothness(images.transpose(0, 1), levels=101)
    assert (adjacent > other_noise).all()


def test_smoothness_needs_something_to_compare() -> None:
    with pytest.raises(ValueError, match="2 rows of 2 steps"):
        smoothness(torch.zeros(1, 4, 1, 2, 2, dtype=torch.uint8))
