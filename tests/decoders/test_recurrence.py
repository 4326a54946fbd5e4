"""The recurrence, and its gradients, are those of a plain loop over pixels."""

import pytest
import torch
from torch import Tensor

from repr_toolkit.decoders import recurrence_native
from repr_toolkit.decoders.recurrence import lstm


def plain(gates: Tensor, weight: Tensor, state: Tensor, cell: Tensor, diagonal: bool) -> Tensor:
    """The states (D, H, W, B, h), a pixel at a time, by autograd."""
    batch, _, height, width = gates.shape
    directions, h = state.shape
    taps = weight.shape[2]
    results = []
    for d in range(directions):
        x = gates[:, 4 * h * d : 4 * h * (d + 1)]
        x = x.flip(3) if d else x
        kernel = weight[4 * h * d : 4 * h * (d + 1)]  # (4·h, h, n)
        outside = (state[d].expand(batch, -1), cell[d].expand(batch, -1))
        at: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        for r in range(height):
            for c in range(width):
                places = [(r - 1, c), (r, c - 1)]
                if not diagonal:
                    places = [(r - 1, c + tap - taps // 2) for tap in range(taps)]
                pre = x[:, :, r, c]
                for tap, place in enumerate(places):
                    pre = pre + at.get(place, outside)[0] @ kernel[:, :, tap].T
                o, f, i, g = pre.chunk(4, dim=1)
                before = at.get((r, c - 1) if diagonal else (r - 1, c), outside)[1]
                now = f.sigmoid() * before + i.sigmoid() * g.tanh()
                at[r, c] = (o.sigmoid() * now.tanh(), now)
        rows = [torch.stack([at[r, c][0] for c in range(width)]) for r in range(height)]
        both = torch.stack(rows)  # (H, W, B, h)
        results.append(both.flip(1) if d else both)
    return torch.stack(results)


def arguments(
    size: tuple[int, int], taps: int, directions: int, h: int = 3, batch: int = 2
) -> list[Tensor]:
    shapes = [
        (batch, 4 * h * directions, *size),
        (4 * h * directions, h, taps),
        (directions, h),
        (directions, h),
    ]
    return [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]


@pytest.mark.parametrize("engine", ["kernel", "steps"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(3, 4), (5, 3), (1, 5), (4, 1), (1, 1), (4, 4)])
@pytest.mark.parametrize("taps", [1, 3, 5, 0])  # 0: diagonals
def test_it_is_the_plain_loop(
    size: tuple[int, int],
    taps: int,
    layout: torch.memory_format,
    engine: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if engine == "steps":
        monkeypatch.setattr(recurrence_native, "kernel", lambda like: None)
    elif recurrence_native.kernel(torch.empty(0)) is None:
        pytest.skip("no C++ compiler")
    torch.manual_seed(0)
    diagonal = taps == 0
    inputs = arguments(size, taps or 2, 1 + diagonal)
    given = [inputs[0].contiguous(memory_format=layout), *inputs[1:]]
    expected = plain(*given, diagonal)
    states = lstm(*given, diagonal=diagonal)
    torch.testing.assert_close(states, expected, rtol=0, atol=1e-12)
    grad = torch.randn_like(expected)
    by_loop = torch.autograd.grad(expected, inputs, grad)
    for mine, theirs in zip(torch.autograd.grad(states, inputs, grad), by_loop, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)


@pytest.mark.skipif(recurrence_native.kernel(torch.empty(0)) is None, reason="no C++ compiler")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("diagonal", "h", "batch"), [(True, 16, 20), (False, 21, 5), (True, 1, 2)])
def test_the_kernel_in_float32_is_the_steps(
    diagonal: bool, h: int, batch: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients within the rounding of sums of some thousands of terms."""
    torch.manual_seed(0)
    taps, directions = (2, 2) if diagonal else (5, 1)
    inputs = [x.detach().float() for x in arguments((9, 7), taps, directions, h, batch)]
    inputs[1] *= 0.5 / h**0.5  # with larger weights rounding grows from step to step
    inputs = [x.requires_grad_() for x in inputs]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        states = lstm(*inputs, diagonal=diagonal)
        grad = torch.randn_like(states)
        mine = torch.autograd.grad(states, inputs, grad)
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(recurrence_native, "kernel", lambda like: None)
    expected = lstm(*inputs, diagonal=diagonal)
    torch.testing.assert_close(states, expected, rtol=0, atol=2e-6)
    for a, b in zip(mine, torch.autograd.grad(expected, inputs, grad), strict=True):
        assert (a - b).norm() < 1e-5 * b.norm()


def test_gradients_may_be_asked_for_twice() -> None:
    torch.manual_seed(0)
    inputs = arguments((3, 4), 2, 2)
    total = lstm(*inputs, diagonal=True).square().sum()
    first = torch.autograd.grad(total, inputs, retain_graph=True)
    for a, b in zip(first, torch.autograd.grad(total, inputs), strict=True):
        assert torch.equal(a, b)


def test_compiled_it_is_one_operator() -> None:
    torch.manual_seed(0)
    inputs = arguments((3, 4), 3, 1)
    compiled = torch.compile(lstm, fullgraph=True, backend="aot_eager")
    expected, states = lstm(*inputs), compiled(*inputs)
    assert torch.equal(states, expected)
    by_compiled = torch.autograd.grad(states.sum(), inputs)
    for a, b in zip(by_compiled, torch.autograd.grad(expected.sum(), inputs), strict=True):
        assert torch.equal(a, b)
    torch.compiler.reset()


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_operators_state_what_they_return(diagonal: bool) -> None:
    inputs = arguments((3, 4), 2 if diagonal else 3, 1 + diagonal)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    operator = torch.ops.repr_toolkit.lstm.default
    x, weight, *outside = (t.detach().requires_grad_() for t in inputs)
    given = (x, weight, torch.stack(outside).detach().requires_grad_(), diagonal)
    torch.library.opcheck(operator, given, test_utils=checks)
    with torch.no_grad():
        out, *kept = operator(*given)
    arguments_of_backward = (torch.randn_like(out), *kept, inputs[1].detach(), 3, 4, diagonal)
    backward = torch.ops.repr_toolkit.lstm_backward.default
    torch.library.opcheck(backward, arguments_of_backward, test_utils="test_faketensor")


def test_autocast_changes_nothing() -> None:
    torch.manual_seed(0)
    inputs = [x.detach().float() for x in arguments((3, 4), 3, 1)]
    expected = lstm(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(lstm(*inputs), expected)
