"""PixelRNNs: a training step against plain loops by autograd, and samples against the naive engine.

The loops are what public code does: over rows, over the columns of a skewed map with one direction
after the other, and over pixels. Only the recurrence differs, the layers around it are the same.
"""

from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.results import Results, compared
from benchmarks.timing import alternate
from repr_toolkit.decoders import DiagonalBiLSTM, PixelCNN, RowLSTM
from repr_toolkit.decoders.engines import naive
from repr_toolkit.decoders.engines.draw import Draw
from repr_toolkit.decoders.pixel_network import PixelNetwork
from repr_toolkit.decoders.recurrence import lstm
from repr_toolkit.training.memory import keep_freed_memory

BATCH = 16
STEPS = 12
"""Sub-pixels that the naive engine draws before its time is scaled."""

Recurrence = Callable[..., Tensor]


def digits(make: type[RowLSTM] | type[DiagonalBiLSTM]) -> PixelNetwork:
    """7 layers × 16 features for 28×28 images of two levels, channels last."""
    torch.manual_seed(0)
    net = make((1, 28, 28), levels=2, features=16, layers=7, likelihood="bernoulli")
    return net.to(memory_format=torch.channels_last)


def run(rounds: int) -> Results:
    """Training steps of both PixelRNNs, then sampling 16 images of all three networks."""
    keep_freed_memory()
    results = Results()
    loops: dict[type[RowLSTM] | type[DiagonalBiLSTM], dict[str, Recurrence]] = {
        RowLSTM: {"loop over rows": by_rows},
        DiagonalBiLSTM: {"loop over diagonals": by_diagonals, "loop over pixels": by_pixels},
    }
    for make, others in loops.items():
        net = digits(make)
        sides = {name: partial(step, net, loop) for name, loop in others.items()}
        work = f"training step, {make.__name__} 7 × 16, 28×28, batch {BATCH}, fp32, seconds"
        comparison = alternate(work, {**sides, "operator": partial(step, net)}, rounds=rounds)
        results.add(compared(comparison, "operator"))
    photos = PixelCNN((3, 32, 32), features=48, layers=15)
    for net in (digits(RowLSTM), digits(DiagonalBiLSTM), photos):
        work = f"sampling {BATCH} images, {type(net).__name__}, seconds"
        slow = "naive (scaled)"
        sides = {slow: partial(sampled, net, STEPS), "cached": partial(sampled, net)}
        scale = {slow: net.order.numel() / STEPS}
        results.add(compared(alternate(work, sides, rounds=rounds, scale=scale), "cached"))
    return results


def step(net: PixelNetwork, recurrence: Recurrence = lstm) -> Tensor:
    """The loss of random images and its gradients, with another recurrence in all layers."""
    x = torch.randint(0, net.levels, (BATCH, *net.image_shape)).to(torch.uint8)
    net.zero_grad()
    with patch("repr_toolkit.decoders.lstm.lstm", recurrence):
        loss = net.loss(x)
        loss.backward()
    return loss.detach()


@torch.inference_mode()
def sampled(net: PixelNetwork, steps: int | None = None) -> Tensor:
    """Images by the cached engine, or some sub-pixels of them by the naive one."""
    draw = Draw(None, torch.rand(BATCH, *net.image_shape))
    return net.draw(draw, "cached") if steps is None else naive.sample(net, draw, steps=steps)


def by_rows(
    gates: Tensor, weight: Tensor, state: Tensor, cell: Tensor, *, diagonal: bool
) -> Tensor:
    """`lstm` over rows."""
    batch, _, _, width = gates.shape
    s, c = (t[0][None, :, None].expand(batch, -1, width) for t in (state, cell))
    edge = state[0][None, :, None].expand(batch, -1, weight.shape[2] // 2)
    rows = []
    for row in gates.unbind(2):
        s, c = _update(row + F.conv1d(torch.cat([edge, s, edge], 2), weight), c)
        rows.append(s)
    return torch.stack(rows).permute(0, 3, 1, 2)[None]  # (1, H, W, B, h)


def by_diagonals(
    gates: Tensor, weight: Tensor, state: Tensor, cell: Tensor, *, diagonal: bool
) -> Tensor:
    """`lstm` over the columns of skewed maps, also through their padding, as the paper skews them.

    That is the same where the states outside are zeros.
    """
    batch, _, height, width = gates.shape
    directions = []
    for d, (x, kernel) in enumerate(zip(gates.chunk(2, 1), weight.chunk(2), strict=True)):
        x = x.flip(3) if d else x
        skewed = torch.stack(
            [F.pad(row, (r, height - 1 - r)) for r, row in enumerate(x.unbind(2))], 2
        )
        s, c = (t[d][None, :, None].expand(batch, -1, height) for t in (state, cell))
        top = state[d][None, :, None].expand(batch, -1, 1)
        columns = []
        for column in skewed.unbind(3):
            s, c = _update(column + F.conv1d(torch.cat([top, s], 2), kernel), c)
            columns.append(s)
        maps = torch.stack(columns, 3)
        maps = torch.stack([maps[:, :, r, r : r + width] for r in range(height)], 2)
        directions.append((maps.flip(3) if d else maps).permute(2, 3, 0, 1))
    return torch.stack(directions)


def by_pixels(
    gates: Tensor, weight: Tensor, state: Tensor, cell: Tensor, *, diagonal: bool
) -> Tensor:
    """`lstm` over diagonals, pixel by pixel."""
    batch, _, height, width = gates.shape
    directions = []
    for d, (x, kernel) in enumerate(zip(gates.chunk(2, 1), weight.chunk(2), strict=True)):
        above, before = kernel.unbind(2)
        outside, first = (t[d].expand(batch, -1) for t in (state, cell))
        row = [outside] * width
        rows = []
        for r in range(height):
            s, c = outside, first
            for k in range(width):
                gate = x[:, :, r, width - 1 - k if d else k]
                s, c = _update(gate + row[k] @ above.T + s @ before.T, c)
                row[k] = s
            rows.append(torch.stack(row[::-1] if d else row))
        directions.append(torch.stack(rows))
    return torch.stack(directions)


def _update(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    o, f, i, g = gates.chunk(4, 1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell
