"""LSTMs over the rows or diagonals of a map (1601.06759 §3.1, §3.2), as one operator.

A step is a row, or a diagonal of pixels (r, c) with r + c the same, which is a column of the
paper's skewed map without its padding. Cells are kept in the order of steps, so that those of a
step are a slice, and so is what they see of the step before; states outside the image stand between
them. Nothing is copied within a step, and nothing is computed for a pixel that is none. On a CPU a
kernel in C++ makes the steps where it can be built, elsewhere PyTorch does.

A step costs a few calls, and the steps follow one another: H of them over rows, H + W − 1 over
diagonals. Backward keeps the gates, cells and states: 6·h values a pixel and direction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders import recurrence_native as native


@dataclass(frozen=True)
class Steps:
    """The way through a map of H×W pixels, in D directions. States have E places, some outside.

    Indices are int64 on the device.
    """

    cells: tuple[slice, ...]
    """Of every step, its cells among the H·W."""
    inside: tuple[slice, ...]
    """Of every step, the places of its cells among the E of states."""
    taps: tuple[tuple[slice, ...], ...]
    """Of every step, the places that its cells see, by taps of the kernel."""
    carried: int
    """The tap that the cell's own state comes from."""
    order: Tensor
    """(D, H·W), the pixel, in raster order, of every cell."""
    turned: Tensor
    """(D, H·W), the cell of every pixel."""
    seen: Tensor
    """(taps, H·W), the places that each cell sees."""
    places: Tensor
    """(H·W), the place of each cell."""
    count: int
    """E"""
    tables: Mapping[str, Tensor]
    """For the kernel `order`, and of every step `lengths` and first places, `inside` and `seen`."""


def lstm(
    gates: Tensor, weight: Tensor, state: Tensor, cell: Tensor, *, diagonal: bool = False
) -> Tensor:
    """The states (D, H, W, B, h) of convolutional LSTMs in D directions.

    `gates` (B, D·4·h, H, W) is what each cell takes from its input, for o, f, i and g of each
    direction in turn (Eq. 3); `weight` (D·4·h, h, n) what it takes from the states of the step
    before; `state` and `cell` (D, h) stand everywhere outside the image.

    Over rows D is 1 and the n taps are columns c−⌊n/2⌋…c+⌊n/2⌋ of the row above; the cell comes
    from right above. Over diagonals D is 2, the second direction from the right, and the 2 taps are
    the pixel above and the one before in the row, of which the cell comes from the latter.

    In the dtype of `weight`, whatever autocast does.
    """
    _, _, height, width = gates.shape
    with torch.autocast(gates.device.type, enabled=False):
        outside = torch.stack([state, cell])
        out = _forward(gates.to(weight.dtype), weight, outside, diagonal)[0]
    states: Tensor = out.unflatten(1, (height, width))
    return states


@torch.library.custom_op("repr_toolkit::lstm", mutates_args=())
def _forward(
    x: Tensor, weight: Tensor, outside: Tensor, diagonal: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The states in raster order (D, H·W, B, h), and by cells and places what backward needs.

    That is the gates (D, H·W, B, 4·h), the states and the cells (D, E, B, h).
    """
    (batch, _, height, width), (_, directions, h) = x.shape, outside.shape
    steps = steps_of(height, width, weight.shape[2], diagonal, x.device)
    taps = _taps(weight, directions)
    x = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    x = x.reshape(batch, height * width, directions, 4 * h)
    if kernel := native.kernel(x):
        return native.forward(kernel, steps, x, taps, outside)
    return _forward_steps(steps, x, taps, outside)


def _forward_steps(
    steps: Steps, x: Tensor, taps: Tensor, outside: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `_forward` returns, given x (B, H·W, D, 4·h) and `outside` (2, D, h)."""
    batch, h = len(x), outside.shape[2]
    gates = _select(x.permute(2, 1, 0, 3), steps.order)  # (D, H·W, B, 4·h)
    states, cells = (
        one[:, None, None].expand(-1, steps.count, batch, -1).contiguous() for one in outside
    )
    for here, inside, seen in zip(steps.cells, steps.inside, steps.taps, strict=True):
        pre = gates[:, here].flatten(1, 2)  # (D, N·B, 4·h)
        for tap, matrix in zip(seen, taps, strict=True):
            pre.baddbmm_(states[:, tap].flatten(1, 2), matrix)
        pre[..., : 3 * h].sigmoid_()
        pre[..., 3 * h :].tanh_()
        o, f, i, g = pre.chunk(4, dim=-1)
        c, s = (t[:, inside].flatten(1, 2) for t in (cells, states))
        torch.mul(f, cells[:, seen[steps.carried]].flatten(1, 2), out=c).addcmul_(i, g)
        torch.tanh(c, out=s).mul_(o)
    return _select(states, steps.places[steps.turned]), gates, states, cells


@_forward.register_fake
def _(
    x: Tensor, weight: Tensor, outside: Tensor, diagonal: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    (batch, _, height, width), (_, directions, h) = x.shape, outside.shape
    around = (height + 1) * (width + (1 if diagonal else weight.shape[2] - 1))
    return (
        x.new_empty(directions, height * width, batch, h),
        x.new_empty(directions, height * width, batch, 4 * h),
        x.new_empty(directions, around, batch, h),
        x.new_empty(directions, around, batch, h),
    )


@torch.library.custom_op("repr_toolkit::lstm_backward", mutates_args=())
def _backward(
    grad: Tensor,
    gates: Tensor,
    states: Tensor,
    cells: Tensor,
    weight: Tensor,
    height: int,
    width: int,
    diagonal: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by x, weight and what is outside, given that by the states (D, H·W, B, h)."""
    directions, _, batch, _ = states.shape
    steps = steps_of(height, width, weight.shape[2], diagonal, grad.device)
    kept = (gates, states, cells)
    taps = _taps(weight, directions).mT.contiguous()
    if kernel := native.kernel(grad):
        by_gates, by_x, by_outside = native.backward(kernel, steps, grad, *kept, taps)
    else:
        by_gates, by_x, by_outside = _backward_steps(steps, grad, *kept, taps)
    cells_first = by_gates.flatten(1, 2)
    by_weight = torch.stack(
        [states.index_select(1, at).flatten(1, 2).mT @ cells_first for at in steps.seen], dim=-1
    )  # (D, h, 4·h, n)
    return (
        by_x.view(batch, height, width, -1).permute(0, 3, 1, 2),
        by_weight.transpose(1, 2).reshape(weight.shape).contiguous(),
        by_outside,
    )


def _backward_steps(
    steps: Steps, grad: Tensor, gates: Tensor, states: Tensor, cells: Tensor, taps: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by the gates (D, H·W, B, 4·h), by x (B, H·W, D, 4·h) and by what is outside."""
    directions, count, batch, width = gates.shape
    h = width // 4
    o, f, i, g = gates.chunk(4, dim=-1)
    # All factors that no later step has a part in, for all cells at once.
    tanh = cells.index_select(1, steps.places).tanh_()
    to_cell = torch.addcmul(o, o * tanh, tanh, value=-1)  # o·(1 − tanh²)
    factors = torch.empty_like(gates)
    into_o, into_f, into_i, into_g = factors.chunk(4, dim=-1)
    for into, one, gate in (
        (into_o, tanh, o),
        (into_f, cells.index_select(1, steps.seen[steps.carried]), f),
        (into_i, g, i),
    ):
        scaled = torch.mul(one, gate)
        torch.addcmul(scaled, scaled, gate, value=-1, out=into)  # one·σ·(1 − σ)
    torch.addcmul(i, i * g, g, value=-1, out=into_g)
    by_state, by_cell = torch.zeros_like(states), torch.zeros_like(cells)
    for d, (into, at) in enumerate(zip(by_state, steps.order, strict=True)):
        into.index_copy_(0, steps.places, grad[d].index_select(0, at))
    for here, inside, seen in zip(
        steps.cells[::-1], steps.inside[::-1], steps.taps[::-1], strict=True
    ):
        ds, dc = by_state[:, inside], by_cell[:, inside]  # (D, N, B, h)
        dc.addcmul_(ds, to_cell[:, here])
        by_gates = factors[:, here]  # becomes the gradient
        by_gates[..., :h] *= ds
        by_gates[..., h:].unflatten(-1, (3, h)).mul_(dc.unsqueeze(-2))
        by_cell[:, seen[steps.carried]].addcmul_(dc, f[:, here])
        for tap, matrix in zip(seen, taps, strict=True):
            by_state[:, tap].flatten(1, 2).baddbmm_(by_gates.flatten(1, 2), matrix)
    by_x = grad.new_empty(batch, count, directions, width)
    by_x.permute(2, 1, 0, 3).copy_(_select(factors, steps.turned))
    outside = torch.ones(steps.count, dtype=torch.bool, device=grad.device)
    outside[steps.places] = False
    by_outside = torch.stack([t[:, outside].sum((1, 2)) for t in (by_state, by_cell)])
    return factors, by_x, by_outside


@_backward.register_fake
def _(
    grad: Tensor,
    gates: Tensor,
    states: Tensor,
    cells: Tensor,
    weight: Tensor,
    height: int,
    width: int,
    diagonal: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    directions, _, batch, h = states.shape
    by_x = grad.new_empty(batch, directions * 4 * h, height, width)
    return (
        by_x.contiguous(memory_format=torch.channels_last),
        weight.new_empty(weight.shape),
        grad.new_empty(2, directions, h),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, _, ctx.diagonal = inputs
    ctx.size = x.shape[2:]
    ctx.set_materialize_grads(False)  # no zeros for what has no gradient
    ctx.save_for_backward(weight, *output[1:])
    ctx.mark_non_differentiable(*output[1:])


def _gradients(ctx: Any, grad: Tensor, *others: Tensor) -> tuple[Tensor | None, ...]:
    weight, gates, states, cells = ctx.saved_tensors
    return *_backward(grad, gates, states, cells, weight, *ctx.size, ctx.diagonal), None


_forward.register_autograd(_gradients, setup_context=_save)


def _select(parts: Tensor, at: Tensor) -> Tensor:
    """Of each direction's (N, B, p) those at its indices (M): (D, M, B, p)."""
    chosen = parts.new_empty(len(parts), at.shape[1], *parts.shape[2:])
    for one, index, into in zip(parts, at, chosen, strict=True):
        torch.index_select(one, 0, index, out=into)
    return chosen


def _taps(weight: Tensor, directions: int) -> Tensor:
    """The matrices (n, D, h, 4·h) of a kernel (D·4·h, h, n)."""
    taps: Tensor = weight.unflatten(0, (directions, -1)).permute(3, 0, 2, 1).contiguous()
    return taps


@lru_cache(maxsize=32)
def steps_of(height: int, width: int, taps: int, diagonal: bool, device: torch.device) -> Steps:
    """The steps over the rows of a map, or over its diagonals."""
    lines = _diagonals(height, width) if diagonal else _rows(height, width, taps)
    pixels, inside, seen, count = lines
    lengths = [len(line) for line in pixels]
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    order = torch.tensor([*chain(*pixels)])
    columns = order % width
    orders = torch.stack([order, order - columns + (width - 1 - columns)][: 1 + diagonal])
    places = torch.cat([torch.arange(s.start, s.stop) for s in inside])
    by_taps = zip(*seen, strict=True)
    sees = [torch.cat([torch.arange(s.start, s.stop) for s in slices]) for slices in by_taps]
    tables = {
        "lengths": torch.tensor(lengths),
        "inside": torch.tensor([s.start for s in inside]),
        "seen": torch.tensor([[s.start for s in slices] for slices in seen]),
        "order": orders,
    }
    return Steps(
        tuple(slice(end - n, end) for end, n in zip(ends, lengths, strict=True)),
        tuple(inside),
        tuple(seen),
        1 if diagonal else taps // 2,
        orders.to(device),
        orders.argsort(1).to(device),
        torch.stack(sees).to(device),
        places.to(device),
        count,
        tables,
    )


Lines = tuple[list[range], list[slice], list[tuple[slice, ...]], int]
"""Of every step the pixels, their places, and what they see by taps; and the number of places."""


def _rows(height: int, width: int, taps: int) -> Lines:
    """Places: the rows with one above, and with ⌊n/2⌋ more at either end."""
    wide = width + taps - 1
    starts = range(0, height * wide, wide)  # of the rows above
    pixels = [range(r * width, (r + 1) * width) for r in range(height)]
    inside = [_slice(start + wide + taps // 2, width) for start in starts]
    seen = [tuple(_slice(start + tap, width) for tap in range(taps)) for start in starts]
    return pixels, inside, seen, (height + 1) * wide


def _diagonals(height: int, width: int) -> Lines:
    """Places: the map with a row above and a column before it, diagonal by diagonal."""
    firsts = [max(0, j - width) for j in range(height + width + 1)]  # the first row of each
    counts = [min(height, j) - first + 1 for j, first in enumerate(firsts)]
    starts = [sum(counts[:j]) - firsts[j] for j in range(len(counts))]
    pixels, inside = list[range](), list[slice]()
    seen = list[tuple[slice, ...]]()
    for j in range(2, height + width + 1):
        r, last = max(1, j - width), min(height, j - 1)
        n = last - r + 1
        first = (r - 1) * width + j - r - 1
        step = max(width - 1, 1)
        pixels.append(range(first, first + n * step, step))
        inside.append(_slice(starts[j] + r, n))
        seen.append((_slice(starts[j - 1] + r - 1, n), _slice(starts[j - 1] + r, n)))
    return pixels, inside, seen, sum(counts)


def _slice(start: int, length: int) -> slice:
    return slice(start, start + length)
