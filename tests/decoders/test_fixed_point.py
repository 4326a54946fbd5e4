"""The fixed-point engine ends, exactly, and after as many forwards as the dependence asks for."""

import logging

import pytest
import torch
import torch.nn.functional as F
from cases import Case, draw_for, is_autoregressive, those
from torch import Tensor, nn

from repr_toolkit.decoders import AutoregressiveDecoder
from repr_toolkit.decoders.engines import naive
from repr_toolkit.decoders.engines.draw import Draw
from repr_toolkit.decoders.engines.fixed_point import solve

DIMS = 12


class Chain(AutoregressiveDecoder):
    """Every sub-pixel is its predecessor plus one, for certain; the first is `start`.

    With `wavering`, start is another one in every call, as rounding can have it at a tie.
    """

    def __init__(self, *, independent: bool = False, wavering: bool = False) -> None:
        super().__init__((3, 2, 2), levels=16)
        self.weight = nn.Parameter(torch.zeros(1))
        self.independent = independent
        self.wavering = wavering
        self.batches: list[int] = []

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        start = len(self.batches) % 2 if self.wavering else 0
        self.batches.append(len(x))
        assert len(self.batches) < 100, "it does not end"
        before = x.permute(0, 2, 3, 1).flatten(1)[:, :-1]  # in the order of generation
        if self.independent:
            before = torch.zeros_like(before)
        level = F.pad(before.long() + 1, (1, 0), value=start) % self.levels
        level = level.view(len(x), 2, 2, 3).permute(0, 3, 1, 2)
        return F.one_hot(level, self.levels) * 1e4 + self.weight


def unlike_any(batch: int) -> Tensor:
    """Noise from which the first guess is 15 everywhere, and right nowhere."""
    return torch.full((batch, 3, 2, 2), 0.99)


def in_order(images: Tensor) -> list[list[int]]:
    values: list[list[int]] = images.permute(0, 2, 3, 1).flatten(1).tolist()
    return values


@those(lambda case: is_autoregressive(case) and case.shape[1] > 1)
@torch.inference_mode()
def test_it_draws_the_naive_images_in_fewer_forwards(case: Case) -> None:
    torch.manual_seed(0)
    model = case.build()
    draw = draw_for(model, case, batch=5)
    result = solve(model, draw)
    assert torch.equal(result.images, naive.sample(model, draw))
    assert result.forwards.shape == (5,)
    assert result.forwards.max() < draw.noise[0].numel()


@torch.inference_mode()
def test_at_worst_it_takes_a_forward_for_every_subpixel() -> None:
    model = Chain()
    result = solve(model, Draw(None, unlike_any(2)))
    assert in_order(result.images) == [list(range(DIMS))] * 2
    assert result.forwards.tolist() == [DIMS, DIMS]
    assert len(model.batches) == DIMS


@torch.inference_mode()
def test_independent_subpixels_take_one_forward_and_one_that_confirms() -> None:
    fractions: list[float] = []
    result = solve(Chain(independent=True), Draw(None, unlike_any(3), progress=fractions.append))
    assert in_order(result.images) == [[0] + [1] * (DIMS - 1)] * 3
    assert fractions == pytest.approx([1 / DIMS, 1])
    assert result.forwards.tolist() == [2, 2, 2]


@torch.inference_mode()
def test_images_leave_when_they_are_done() -> None:
    model = Chain()
    known = torch.arange(DIMS, dtype=torch.uint8).view(1, 2, 2, 3).permute(0, 3, 1, 2)
    # The last image is given, of the second one all but the last two, of the first one nothing.
    given = torch.tensor([0, DIMS - 2, DIMS])[:, None, None, None]
    known = known.expand(3, 3, 2, 2)
    fractions: list[float] = []
    draw = Draw(None, unlike_any(3), 1.0, known, known < given, fractions.append)
    result = solve(model, draw)
    assert in_order(result.images) == [list(range(DIMS))] * 3
    assert result.forwards.tolist() == [DIMS, 2, 1]
    assert model.batches == [3, 2] + [1] * (DIMS - 2)
    # In the end one more sub-pixel of three images a forward.
    assert fractions[-3:] == pytest.approx([1 - 2 / (3 * DIMS), 1 - 1 / (3 * DIMS), 1])
    assert fractions == sorted(fractions)


@torch.inference_mode()
def test_it_ends_though_rounding_moves_a_subpixel_in_every_forward() -> None:
    result = solve(Chain(wavering=True), Draw(None, unlike_any(1)))
    assert result.forwards.item() <= DIMS
    first = int(result.images[0, 0, 0, 0])
    assert in_order(result.images) == [list(range(first, first + DIMS))]


def test_every_autoregressive_model_has_it_and_it_logs_its_forwards(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = Chain()
    with caplog.at_level(logging.INFO, "repr_toolkit.sampling"):
        drawn = model.sample(noise=unlike_any(1))
    assert in_order(drawn) == [list(range(DIMS))]
    assert caplog.messages == [
        "Chain samples by fixed_point, the fastest that works here",
        "fixed point after 12 forwards instead of 12",
    ]
