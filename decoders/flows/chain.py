"""Bijections one after the other, and how much of them training keeps in memory."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from repr_toolkit.decoders.flows.bijections import Bijection
from repr_toolkit.decoders.flows.mixing import Inverses, Mixing

MemoryKind = Literal["keep", "recompute", "invert"]


class Chain(Bijection):
    """The composition of bijections, the first first.

    In training `memory` "keep" keeps what the backward pass needs of every step; "recompute" keeps
    the input of each and computes it again; "invert" keeps the last output alone, from which each
    input is recomputed by the inverse, in float32 even under autocast. No compiler sees through
    "invert": the chain then runs as written, also in a training that is compiled; "keep" and
    "recompute" are compiled.

    Raises ValueError for another kind.
    """

    def __init__(self, steps: Sequence[Bijection], memory: MemoryKind = "keep") -> None:
        super().__init__()
        if memory not in ("keep", "recompute", "invert"):
            raise ValueError(f'memory is "keep", "recompute" or "invert", not {memory!r}')
        self.steps = nn.ModuleList(steps)
        self.memory = memory
        self._inverses = Inverses([part for part in self.modules() if isinstance(part, Mixing)])

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
        with self._inverses.in_use():
            for step in self.backwards():
                y = step.inverse(y, s)
        return y

    def backwards(self) -> list[Bijection]:
        """The steps, the last first."""
        return cast("list[Bijection]", list(self.steps))[::-1]


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
        of_s = [] if s is None else [s.detach().requires_grad_()]
        gradients: dict[Tensor, Tensor] = {}
        with torch.autocast(y.device.type, enabled=False):
            for step in ctx.chain.backwards():
                with torch.no_grad():
                    x = step.inverse(y, s)
                leaves = [x.requires_grad_(), *of_s]
                leaves += [p for p in step.parameters() if p.requires_grad]
                with torch.enable_grad():
                    y, log_det = step(x, *(of_s or [None]))
                    passed_on = (y * grad_y).sum() + (log_det * grad_total).sum()
                grad_y, *others = torch.autograd.grad(passed_on, leaves, allow_unused=True)
                for leaf, grad in zip(leaves[1:], others, strict=True):
                    if grad is not None:
                        gradients[leaf] = gradients[leaf] + grad if leaf in gradients else grad
                y = x.detach()
        by_s = [gradients.get(leaf) for leaf in of_s] or [None]
        return None, grad_y, *by_s, *map(gradients.get, ctx.parameters)
