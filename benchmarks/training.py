"""Training steps at batch 16: the recipe's settings against the eager, fp32, masked form.

Both sides start from the same weights and see the same images, so that their losses can be held
beside each other.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from benchmarks.masked import masked_form
from benchmarks.timing import Comparison, alternate
from repr_toolkit.config import load_recipe
from repr_toolkit.data import load
from repr_toolkit.decoders import GatedPixelCNN

BATCH = 16
RECIPE = "bottleneck_tinyimagenet"


class Trainer:
    """Steps on a fixed sequence of batches; remembers the losses (bits/dim)."""

    def __init__(self, model: GatedPixelCNN, images: Tensor, *, recipe: bool) -> None:
        config = load_recipe(RECIPE)
        lr = config["training"]["optimizer"]["init_args"]["lr"]
        self.images = images
        self.losses: list[Tensor] = []
        self.loss: Callable[[Tensor], Tensor] = model.loss
        self.autocast: AbstractContextManager[object] = nullcontext()
        if recipe:
            if config["training"]["channels_last"]:
                model.to(memory_format=torch.channels_last)
            if config["trainer"]["precision"] == "bf16-mixed":
                self.autocast = torch.autocast("cpu", torch.bfloat16)
            if config["training"]["compile"]:
                self.loss = torch.compile(model.loss, dynamic=False)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=recipe)

    def step(self) -> None:
        start = len(self.losses) * BATCH % (len(self.images) - BATCH)
        with self.autocast:
            loss = self.loss(self.images[start : start + BATCH])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.detach())


def run(rounds: int, steps: int = 10) -> tuple[Comparison, dict[str, float]]:
    """Seconds a step, and each side's mean loss over its last rounds·steps/3 steps."""
    torch.manual_seed(0)
    model = GatedPixelCNN((3, 32, 32), features=66, layers=8)
    split = load("photos", size=32).splits["train"]
    order = np.random.default_rng(0).permutation(len(split)).tolist()
    images = split.__getitems__(order[: BATCH * steps * (rounds + 1)])["image"]
    sides = {
        "eager fp32 masked": Trainer(masked_form(model), images, recipe=False),
        "recipe": Trainer(model, images, recipe=True),
    }

    def steps_of(trainer: Trainer) -> Callable[[], None]:
        def block() -> None:
            for _ in range(steps):
                trainer.step()

        return block

    comparison = alternate(
        f"training at batch {BATCH}, seconds a step",
        {name: steps_of(trainer) for name, trainer in sides.items()},
        rounds=rounds,
        scale=dict.fromkeys(sides, 1 / steps),
    )
    last = rounds * steps // 3
    losses = {name: float(torch.stack(t.losses[-last:]).mean()) for name, t in sides.items()}
    return comparison, losses
