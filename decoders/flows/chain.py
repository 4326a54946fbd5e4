"""Bijections one after the other, and how much of them training keeps in memory."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from repr_toolkit.decoders.flows.bijections import Bijection

MemoryKind = Literal["keep", "recompute", "invert"]


class Chain(Bijection):
    """The composition of bijections, the first first.

    In training `memory` "keep" keeps what the backward pass needs of every step; "recompute" keeps
    the input of each and computes it again; "invert" keeps the last output alone, from which each
    input is recomputed by the inverse, in float32 even under autocast.

    Raises ValueError for another kind.
    """

    def __init__(self, steps: Sequence[Bijection], memory: MemoryKind = "keep") -> None:
        super().__init__()
        if memory not in ("keep", "recompute", "invert"):
            raise ValueError(f'memory is "keep", "recompute" or "invert", not {memory!r}')
        self.steps = nn.ModuleList(steps)
        self.memory = memory

    def forward(self, x: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        memory = self.memory if self.training and torch.is_grad_enabled() else "keep"
        if memory == "invert":
            y, total = _eagerly(self, x, s)
            return y, total
        total = x.new_zeros(len(x))
        for step in self.steps:
            if memory == "recompute":
                x, log_det = checkpoint(step, x, s, use_reentrant=False, preserve_rng_state=False)
            else:
                x, log_det = step(x, s)
            total = total + log_det
        return x, total

    def inverse(self, y: Tensor, s: Tensor | None) -> Tensor:
        for step in reversed(cast("list[Bijection]", list(self.steps))):
            y = step.inverse(y, s)
        return y


def _inverting(chain: Chain, x: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
    parameters = [p for p in chain.parameters() if p.requires_grad]
    with torch.autocast(x.device.type, enabled=False):
        s = None if s is None else s.to(x.dtype)
        y, total = _ByInversion.apply(chain, x, s, *parameters)
    return y, total


_eagerly: Any = torch.compiler.disable(_inverting)
"""`_inverting`, whose backward pass no compiler sees through."""


class _ByInversion(torch.autograd.Function):
    """A chain whose backward pass goes back through the inverses of its steps."""

    @staticmethod
    def forward(
        ctx: Any, chain: Chain, x: Tensor, s: Tensor | None, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        y, total = chain(x, s)  # without gradients, as a Function's forward is
        ctx.chain, ctx.parameters = chain, parameters
        ctx.save_for_backward(y, s)
        return y, total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        grad_y, grad_total = grads
        y, s = ctx.saved_tensors
        chain: Chain = ctx.chain
        given = None if s is None else s.detach().requires_grad_()
        by_s: Tensor | None = None
        gradients: dict[int, Tensor | None] = {}
        with torch.autocast(y.device.type, enabled=False):
            for step in reversed(cast("list[Bijection]", list(chain.steps))):
                with torch.no_grad():
                    x = step.inverse(y, s)
                x.requires_grad_()
                with torch.enable_grad():
                    again, log_det = step(x, given)
                    outputs = [(again, grad_y)]
                    if log_det.requires_grad:
                        outputs.append((log_det.expand(len(x)), grad_total))
                own = [p for p in step.parameters() if p.requires_grad]
                inputs = [x, *own] if given is None else [x, *own, given]
                made, by_made = zip(*outputs, strict=True)
                by = torch.autograd.grad(made, inputs, by_made, allow_unused=True)
                if given is not None and by[-1] is not None:
                    by_s = by[-1] if by_s is None else by_s + by[-1]
                gradients |= {id(p): g for p, g in zip(own, by[1:], strict=False)}
                y, grad_y = x.detach(), by[0]
        return None, grad_y, by_s, *(gradients.get(id(p)) for p in ctx.parameters)
