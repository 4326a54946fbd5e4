"""Directions are the known ones of constructed vectors, and moves lead where they should."""

import numpy as np
import pytest
import torch

from repr_toolkit.analyses.traversal import directions
from repr_toolkit.analyses.traversal.directions import (
    DIFFERENCE,
    coordinate,
    even_steps,
    mean_difference,
    move,
    of_one_length,
    principal,
    probe,
)
from toys.data import cloud


def test_a_coordinate_counts_standard_deviations() -> None:
    h = cloud()
    found = coordinate(h, 2)
    assert found.vector.tolist() == [0, 0, 1, 0]
    assert found.scale == pytest.approx(h[:, 2].std(), rel=1e-5)
    moved = move(torch.from_numpy(h), found, 1.5).numpy()
    np.testing.assert_allclose(moved[:, 2] - h[:, 2], 1.5 * h[:, 2].std(), rtol=1e-5)
    assert (moved[:, [0, 1, 3]] == h[:, [0, 1, 3]]).all()
    with pytest.raises(ValueError, match=r"coordinates 0…3, not 4"):
        coordinate(h, 4)


def test_principal_directions_are_those_of_a_known_covariance() -> None:
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    h = cloud(20_000) @ turn.T
    for number, (axis, deviation) in enumerate(((0, 3), (2, 2), (1, 1), (3, 0.5))):
        [found] = principal(h, [number])
        assert abs(found.vector @ turn[:, axis]) > 0.999
        assert found.scale == pytest.approx(deviation, rel=0.03)
        assert np.linalg.norm(found.vector) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"principal directions 0…3, not 4"):
        principal(h, [0, 4])
    with pytest.raises(ValueError, match=r"principal directions 0…1, not 2"):
        principal(h[:3], [2])


def test_the_first_of_many_principal_directions_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = np.random.default_rng(0)
    h = (draw.normal(size=(60, 40)) * np.geomspace(5, 0.1, 40)).astype(np.float32)
    whole = principal(h, range(3))
    monkeypatch.setattr(directions, "WIDE", 30)
    for found, wanted in zip(principal(h, range(3)), whole, strict=True):
        np.testing.assert_allclose(found.vector, wanted.vector, atol=1e-6)
        assert found.scale == pytest.approx(wanted.scale)


def test_signs_of_principal_directions_are_fixed() -> None:
    h = cloud()
    for found, mirrored in zip(principal(h, range(4)), principal(-h, range(4)), strict=True):
        np.testing.assert_allclose(found.vector, mirrored.vector, atol=1e-6)
        assert found.vector[np.abs(found.vector).argmax()] > 0


def test_a_probe_points_to_where_the_odds_rise() -> None:
    """Of two normal clouds with one covariance that is Σ⁻¹(μ₁ − μ₀), not μ₁ − μ₀."""
    draw = np.random.default_rng(2)
    mixing = np.array([[2.0, 0, 0], [1.5, 1, 0], [0, 0.3, 0.5]])
    shift = np.array([1.0, -1, 0.5])
    positive = np.arange(8000) % 2 == 0
    h = (draw.normal(size=(8000, 3)) @ mixing.T + positive[:, None] * shift).astype(np.float32)
    expected = np.linalg.solve(mixing @ mixing.T, shift)
    expected /= np.linalg.norm(expected)
    found = probe(h, positive, "7", (h[:2000], positive[:2000]))
    assert found.vector @ expected > 0.99
    assert mean_difference(h, positive, "7").vector @ expected < 0.9
    assert found.scale == pytest.approx((h @ found.vector).std(), rel=1e-5)
    assert probe(h, ~positive, "not 7", (h, ~positive)).vector @ expected < -0.99
    # In h's own scale: with a coordinate ten times as large, its weight is a tenth.
    scale = np.array([1, 10, 1], np.float32)
    stretched = probe(h * scale, positive, "7", (h * scale, positive)).vector
    plain = probe(h, positive, "7", (h, positive)).vector / scale
    np.testing.assert_allclose(stretched, plain / np.linalg.norm(plain), atol=1e-4)


def test_a_probe_says_where_its_penalty_is_at_an_end() -> None:
    draw = np.random.default_rng(0)
    h = draw.normal(size=(400, 3))
    told = h[:, 0] + 0.5 * draw.normal(size=400) > 0
    assert probe(h, told, "7", (h, told)).at_end == ()
    untold = draw.random(400) > 0.5
    assert probe(h, untold, "7", (h, ~untold)).at_end == ("C = 1e-05",)


def test_the_difference_of_means_is_the_constructed_one() -> None:
    step = np.array([3.0, 0, -4, 0])
    positive = np.array([True, False] * 50)
    base = np.repeat(cloud(50), 2, axis=0)
    h = base + positive[:, None] * step
    found = mean_difference(h, positive, "smile")
    np.testing.assert_allclose(found.vector, step / 5, atol=1e-6)
    assert found.scale == pytest.approx(5)
    assert (found.unit, found.span) == (DIFFERENCE, 1)
    without, having = (torch.from_numpy(h[flags].mean(0)) for flags in (~positive, positive))
    torch.testing.assert_close(move(without, found, 1), having)
    torch.testing.assert_close(move(having, found, -1), without)
    with pytest.raises(ValueError, match="same as without"):
        mean_difference(base, positive, "smile")


def test_an_attribute_that_all_or_none_have() -> None:
    every, none = np.ones(4, bool), np.zeros(4, bool)
    for flags, having in ((every, "every"), (none, "no")):
        with pytest.raises(ValueError, match=f"{having} training image has x"):
            mean_difference(cloud(4), flags, "x")
        with pytest.raises(ValueError, match=f"{having} training image has x"):
            probe(cloud(4), flags, "x", (cloud(4), flags))


# Moves


def test_no_move_is_exact() -> None:
    h = torch.randn(5, 4)
    for keep_length in (False, True):
        assert (move(h, principal(cloud(), [0])[0], 0.0, keep_length=keep_length) == h).all()


def test_moves_may_keep_the_length() -> None:
    h = torch.nn.functional.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))
    direction = coordinate(cloud(), 0)
    alphas = [-2, 1, 3]
    kept = torch.stack([move(h, direction, a, keep_length=True) for a in alphas], 1)
    torch.testing.assert_close(kept.norm(dim=-1), torch.ones(6, 3))
    free = torch.stack([move(h, direction, a) for a in alphas], 1)
    assert (free.norm(dim=-1) > 1.5).any()
    assert (torch.cosine_similarity(free, kept, dim=-1) > 0.9999).all()
    assert of_one_length(h.numpy())
    assert not of_one_length(cloud())
    assert not of_one_length(np.eye(10, dtype=np.float32))  # a move from one class to another


def test_moves_do_not_fit_another_space() -> None:
    with pytest.raises(
        ValueError, match="coordinate 0 is a direction in 4 dimensions, but h has 3"
    ):
        move(torch.zeros(2, 3), coordinate(cloud(), 0), 1)


def test_even_steps_go_through_zero() -> None:
    assert even_steps(3, 5) == [-3, -1.5, 0, 1.5, 3]
    for steps in range(3, 40, 2):
        found = even_steps(0.7, steps)
        assert found[steps // 2] == 0
        assert found == [-alpha for alpha in reversed(found)]
    for wrong in ((3, 1), (0, 5), (-1, 5), (float("inf"), 5), (float("nan"), 5)):
        with pytest.raises(ValueError, match="at least 2 steps and a finite span above 0"):
            even_steps(*wrong)
