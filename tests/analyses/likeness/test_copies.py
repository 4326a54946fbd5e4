"""Copies are found though they are shifted, and what is no copy is not taken for one."""

import numpy as np
import pytest
import torch
from torch import Tensor

from repr_toolkit.analyses.likeness.copies import nearness, shifted_distances
from repr_toolkit.analyses.likeness.matching import closeness


def smooth(count: int, seed: int) -> Tensor:
    """Images without structure finer than four pixels, uint8 (count, 1, 16, 16)."""
    coarse = torch.rand(count, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    image = torch.nn.functional.interpolate(coarse, 16, mode="bicubic").clamp(0, 1)
    return (image * 255).to(torch.uint8)


def test_the_distance_is_that_at_the_best_shift() -> None:
    one, other = smooth(3, 0), smooth(4, 1)
    found = shifted_distances(one, other)
    a, b = (x.double().numpy()[:, 0] / 255 for x in (one, other))
    for i in range(3):
        for j in range(4):
            expected = min(
                np.sqrt(((a[i, 2:14, 2:14] - b[j, r : r + 12, c : c + 12]) ** 2).mean())
                for r in range(5)
                for c in range(5)
            )
            assert found[i, j] == pytest.approx(expected, abs=1e-4)
    moved = one.roll((2, -1), (2, 3))
    assert shifted_distances(moved, one).diagonal() == pytest.approx(0, abs=1e-3)
    # Without shifts, the copy is farther away than some other images are from each other.
    assert (((moved.double() - one) / 255) ** 2).mean((1, 2, 3)).sqrt().min() > 0.05
    assert shifted_distances(one[..., :1, :1], other[..., :1, :1]).shape == (3, 4)


def test_shifted_copies_are_nearer_to_the_training_images() -> None:
    training, others = smooth(130, 2), smooth(40, 3)
    whose = np.arange(40) // 2  # two images each of 20 people
    person = np.arange(20).repeat(3)
    copies = training[:60].roll((2, 1), (2, 3))
    found = nearness(copies, person, training, others, whose)
    assert found.images == 40
    assert found.nearer.low is not None
    assert found.nearer.low > 0.01
    assert found.nearer.value == pytest.approx(found.others - found.training, abs=1e-6)
    fresh = nearness(smooth(60, 4), person, training, others, whose)
    assert fresh.nearer.low is not None
    assert fresh.nearer.high is not None
    assert fresh.nearer.low < 0.005
    assert fresh.nearer.high > -0.005


def test_images_of_the_own_person_do_not_count() -> None:
    """As many training images fewer are compared, so that neither set is the larger."""
    others = smooth(40, 3)
    whose = np.arange(40) // 2
    own = nearness(others, whose, smooth(40, 5), others, whose)
    assert own.others > 0.02  # not 0, which the images are from themselves
    few = nearness(others[:4], whose[:4], smooth(7, 6), others, whose)
    assert few.images == 7


def test_closeness_is_the_share_of_others_who_are_less_alike() -> None:
    similarity = np.array([[0.9, 0.1, 0.2], [0.3, 0.3, 0.1], [0.5, 0.4, 0.0], [0.1, 0.2, 0.3]])
    person = np.array([0, 1, 1, 2])
    # 2 of 2; half a tie and one below, and one below: 0.75 and 0.5; 2 of 2.
    assert closeness(similarity, person).tolist() == [1, (0.75 + 0.5) / 2, 1]
