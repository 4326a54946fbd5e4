"""Small configurations that train an encoder alone, and encoders to put into them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from repr_toolkit.config.recipe import apply_settings, complete

CONV = {
    "class_path": "repr_toolkit.encoders.ConvBottleneck",
    "init_args": {"h_dim": 6, "features": 4},
}
TRIPLET = {
    "class_path": "repr_toolkit.encoders.TripletNet",
    "init_args": {"h_dim": 6, "features": 8, "augment": False},
}


def small_metric(**settings: Any) -> dict[str, Any]:
    """A face net on the 8×8 digits, seconds to train; double underscores are dots."""
    config = complete(
        {
            "data": {"source": "digits", "batch_size": 24, "images_per_identity": 4},
            "model": {"encoder": TRIPLET, "metric": {}},
            "training": {
                "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}},
                "schedule": "cosine",
                "warmup": 2,
                "steps": 12,
                "validate_every": 4,
                "ema_decay": 0.9,
            },
            "trainer": {"accelerator": "cpu", "devices": 1, "gradient_clip_val": 1.0},
        }
    )
    return apply_settings(config, {k.replace("__", "."): v for k, v in settings.items()})


class Narrow(nn.Module):
    """Unit vectors that differ by no more than about `width`, which each step multiplies by `fade`.

    As in a collapse: all that comes before is the same constant.
    """

    source = "image"
    h_dim = 4

    def __init__(self, width: float, fade: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("width", torch.tensor(width))
        self.fade = fade
        self.linear = nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.linear(x.flatten(1).float() / 16)
        if self.training:
            self.width *= self.fade
        return functional.normalize(torch.ones(4) + self.width * h.tanh(), dim=1)


class Long(nn.Module):
    """h of any length: the two means of an image's halves, times a weight."""

    source = "image"
    h_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        upper, lower = x.float().mean((1, 3)).tensor_split(2, 1)
        return self.weight * torch.cat([upper.mean(1, True), lower.mean(1, True)], 1)


def write_faces(path: Path, people: int = 16, images: int = 5, **more: Any) -> Path:
    """An .npz of noisy 8×8 pictures of people, a pattern each, in no splits of their own."""
    draw = np.random.default_rng(0)
    codes = np.repeat(np.arange(people), images)
    patterns = draw.normal(128, 40, (people, 1, 8, 8))
    noisy = patterns[codes] + draw.normal(0, 40, (len(codes), 1, 8, 8))
    image = noisy.clip(0, 255).astype(np.uint8)
    np.savez(path, image=image, identity=codes, **more)
    return path
