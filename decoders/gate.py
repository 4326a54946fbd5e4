"""The gate y = tanh(f) ⊙ σ(g) of every gated convolution (1606.05328, Eq. 2)."""

from math import log
from typing import Any

import torch
from torch import Tensor


def gate(x: Tensor) -> Tensor:
    """tanh of the first half of the channels times σ of the second half, (B, 2p, …) to (B, p, …).

    Compiled it is the same function, written for the compiler (see `_CompiledGate`).
    """
    if torch.compiler.is_compiling():
        y: Tensor = _CompiledGate.apply(x)
        return y
    f, g = x.chunk(2, dim=1)
    return torch.tanh(f) * torch.sigmoid(g)


class _CompiledGate(torch.autograd.Function):
    """The gate as a compiler turns it into two passes over memory, one forward, one backward.

    In float32 at least, which a compiled kernel computes in anyway, 2σ(2f) − 1 is tanh(f) to within
    1e−7, at half the time of a vector library's tanh. The backward pass computes tanh and σ again,
    from x, written with exp2, which Inductor recomputes in the fused kernel; it would materialise
    tanh, σ or exp in a pass each. No infinity can spoil them: 1/(1 + ∞) is 0.
    """

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        f, g = _at_least_float32(x).chunk(2, dim=1)
        return ((2 * torch.sigmoid(2 * f) - 1) * torch.sigmoid(g)).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (grad,) = grads
        (x,) = ctx.saved_tensors
        f, g = _at_least_float32(x).chunk(2, dim=1)
        tanh, sigmoid = 2 * _sigmoid(2 * f) - 1, _sigmoid(g)
        halves = [grad * sigmoid * (1 - tanh * tanh), grad * tanh * sigmoid * (1 - sigmoid)]
        return torch.cat([half.to(x.dtype) for half in halves], dim=1)


def _sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp2(x * (-1 / log(2))))


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
