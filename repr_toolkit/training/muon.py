"""Muon: momentum, made orthogonal matrix by matrix; and Adam for what is no matrix."""

from collections.abc import Callable, Iterable
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adam import adam

from repr_toolkit.decoders.matrices import matrices

QUINTIC = (3.4445, -4.7750, 2.0315)
"""a, b, c of x ← a·x + b·x³ + c·x⁵, which brings singular values in (0, 1] to about 1."""


class Muon(Optimizer):
    """Steps along the orthogonal factor of the momentum: all its singular values become about 1.

    For a weight with gradient g, momentum μ and rate lr:

        m ← μ·m + (1 − μ)·g
        W ← (1 − lr·weight_decay)·W − lr·√max(1, rows/columns)·orthogonalised((1 − μ)·g + μ·m)

    A kernel (out, in, …) is the matrix (out, in·…), unless it states that it consists of several
    (`decoders.matrices`), such as the halves of a gate. Entries that never had a gradient, such as
    masked ones, are not moved by it.

    Groups with `orthogonal` False take Adam with `betas` and `eps` instead, as vectors must. The
    first layer and the logits may take either; here they learn faster by Muon too.

    A step where `found_inf`, a float tensor () on the device, is 1 changes neither weights nor
    state, whatever the gradients are.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".

    Raises ValueError for a rate or a momentum that cannot be, and for a vector in an orthogonal
    group.
    """

    found_inf: Tensor | None = None

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        orthogonal: bool = True,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        steps: int = 5,
    ) -> None:
        if lr < 0 or not 0 <= momentum < 1:
            raise ValueError(f"lr is at least 0, not {lr}; momentum is in [0, 1), not {momentum}")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "orthogonal": orthogonal,
            "betas": betas,
            "eps": eps,
            "steps": steps,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for parameter in group["params"]:
            if group["orthogonal"] and parameter.ndim < 2:
                raise ValueError(
                    f"Muon makes matrices orthogonal, not a parameter of shape "
                    f"{tuple(parameter.shape)}: put it into a group with orthogonal: false"
                )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the value of the closure, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights and group["orthogonal"]:
                self._orthogonal_step(weights, group)
            elif weights:
                self._adam_step(weights, group)
        return loss

    def _orthogonal_step(self, weights: list[nn.Parameter], group: dict[str, Any]) -> None:
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {"momentum": torch.zeros_like(weight)}
        momenta = [self.state[weight]["momentum"] for weight in weights]
        skipped, decay = self.found_inf, 1 - group["lr"] * group["weight_decay"]
        if skipped is not None:  # then momentum moves to where it is
            both = zip(momenta, gradients, strict=True)
            gradients = [torch.where(skipped > 0, *pair) for pair in both]
            decay = torch.where(skipped > 0, 1.0, decay)
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        updates = torch._foreach_lerp(gradients, momenta, group["momentum"])
        if group["weight_decay"]:
            torch._foreach_mul_(list[Tensor](weights), decay)
        # Matrices of one shape are made orthogonal together.
        together: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
        for weight, update in zip(weights, updates, strict=True):
            for target, part in zip(
                matrices(weight, weight), matrices(weight, update), strict=True
            ):
                matrix = part.flatten(1)
                together.setdefault(matrix.shape, []).append((target, matrix))
        for (rows, columns), pairs in together.items():
            stacked = torch.stack([matrix for _, matrix in pairs])
            step = orthogonalised(stacked, group["steps"]).masked_fill_(stacked == 0, 0)
            if skipped is not None:
                step *= 1 - skipped
            scale = -group["lr"] * sqrt(max(1.0, rows / columns))
            changes = step.to(stacked.dtype).unbind()
            targets = [target for target, _ in pairs]
            shaped = [c.reshape(t.shape) for c, t in zip(changes, targets, strict=True)]
            torch._foreach_add_(targets, shaped, alpha=scale)

    def _adam_step(self, weights: list[nn.Parameter], group: dict[str, Any]) -> None:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {
                    # Not "step", which torch and Lightning leave on the CPU when they load it.
                    "count": torch.zeros((), device=weight.device),
                    "mean": torch.zeros_like(weight),
                    "square": torch.zeros_like(weight),
                }
        states = [self.state[weight] for weight in weights]
        fused, skipped = weights[0].device.type in ("cpu", "cuda"), self.found_inf
        if skipped is not None and not fused and skipped:  # only the fused kernel takes it
            return
        adam(
            list[Tensor](weights),
            [weight.grad for weight in weights if weight.grad is not None],
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["count"] for state in states],
            fused=fused,
            found_inf=skipped if fused else None,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def orthogonalised(stacked: Tensor, steps: int = 5) -> Tensor:
    """Matrices (N, rows, columns) with singular values brought to 0.7…1.2, in float32.

    By Newton–Schulz iterations; a matrix of zeros stays one.
    """
    x: Tensor = stacked.float()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    a, b, c = QUINTIC
    # x ← p(xxᵀ)·x with p(s) = a + b·s + c·s²: the factors p commute with xxᵀ, so that the small
    # square matrices are iterated alone, and x is multiplied once, by their product.
    identity = torch.eye(x.shape[1], device=x.device)
    square, factors = x @ x.mT, identity
    for i in range(steps):
        factor = a * identity + b * square + c * (square @ square)
        factors = factor @ factors if i else factor
        if i < steps - 1:
            square = factor @ square @ factor
    x = factors @ x
    return x.mT if tall else x
