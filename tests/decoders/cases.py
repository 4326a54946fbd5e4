"""Every decoder family, by a line a case: what all of them are tested on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from repr_toolkit.decoders import (
    AutoregressiveDecoder,
    Decoder,
    Deconv,
    GatedPixelCNN,
    GaussianDeconv,
)
from repr_toolkit.decoders.engines.draw import Draw
from repr_toolkit.testing import randomised
from toys.autoregressive import ByColumns, Centred, Coupled, Dequantised, Striped

Shape = tuple[int, int, int]
Reach = Callable[["Case"], NDArray[np.bool_]]
H = {"h_dim": 2}
MIXTURE = {"likelihood": "logistic_mixture"}


def gated_reach(case: "Case") -> NDArray[np.bool_]:
    """Which inputs each sub-pixel may depend on, from the kernels' footprints alone.

    Boolean (C, H, W, C, H, W), outputs first.
    """
    channels, height, width = case.shape
    k, layers = case.kwargs.get("kernel_size", 3) // 2, case.kwargs.get("layers", 3)
    coupled = case.kwargs.get("likelihood") == "logistic_mixture"
    above = np.zeros((height, width, channels, height, width), bool)
    left = np.zeros((channels, height, width, channels, height, width), bool)
    for layer in range(layers):
        above_before, left_before = above.copy(), left.copy()
        for r, c in product(range(height), range(width)):
            columns = slice(max(c - k, 0), c + k + 1)
            if layer == 0:
                above[r, c, :, max(r - k - 1, 0) : r, columns] = True
            else:
                above[r, c] = above_before[max(r - k, 0) : r + 1, columns].any((0, 1))
            for g in range(channels):
                seen = left[g, r, c]
                seen |= above[r, c]
                if layer == 0:
                    seen[:, r, max(c - k, 0) : c] = True
                    seen[: 0 if coupled else g, r, c] = True
                else:
                    seen |= left_before[: g + 1, r, c].any(0)
                    seen |= left_before[:, r, max(c - k, 0) : c].any((0, 1))
    return np.stack([left[: g + 1].any(0) for g in range(1 if coupled else channels)])


@dataclass(frozen=True)
class Case:
    make: type[Decoder]
    shape: Shape
    kwargs: dict[str, Any] = field(default_factory=dict)
    reach: Reach | None = None

    def __str__(self) -> str:
        settings = "-".join(f"{key}={value}" for key, value in self.kwargs.items())
        return f"{self.make.__name__}-{'×'.join(map(str, self.shape))}-{settings}"

    def build(self, shape: Shape | None = None, **kwargs: Any) -> Any:
        """The decoder in float64, with parameters that leave nothing zero."""
        settings: dict[str, Any] = {"levels": 5}
        if self.make is GatedPixelCNN:
            settings |= {"features": 6, "layers": 3}
        return randomised(self.make(shape or self.shape, **(settings | self.kwargs | kwargs)))


def gated(shape: Shape, **kwargs: Any) -> Case:
    return Case(GatedPixelCNN, shape, kwargs, gated_reach)


GATED = [
    gated((1, 5, 4)),
    gated((3, 4, 5)),
    gated((1, 3, 7), kernel_size=5, layers=4),
    gated((3, 4, 4), kernel_size=7, skip=True, head_features=12),
    gated((3, 3, 5), **H, kernel_size=5),
    gated((1, 5, 3), **H, conditioning="spatial", skip=True),
    gated((3, 5, 4), **H, conditioning="spatial", map_features=3),
    gated((3, 3, 4), **H, conditioning="positional", map_features=3),
    gated((3, 4, 5), h_shape=(2, 2, 3), layers=2),
    gated((1, 4, 3), h_shape=(2, 7, 1), conditioning="positional", map_features=3),
    gated((3, 6, 5), **H, conditioning="cells", map_features=3),
    gated((1, 3, 5), h_shape=(2, 2, 1), conditioning="cells"),
    gated((3, 1, 6), layers=1),
    gated((1, 6, 1), kernel_size=1),
    gated((3, 3, 3), layers=1, skip=True, levels=256),
    gated((1, 4, 5), **MIXTURE, mixtures=2),
    gated((3, 4, 5), **MIXTURE, features=5, mixtures=3, kernel_size=5, skip=True),
    gated((3, 3, 4), **MIXTURE, **H, head_features=7, levels=256, mixtures=1),
    gated((3, 4, 3), **MIXTURE, **H, conditioning="spatial", map_features=3),
]
CASES = [
    *GATED,
    Case(Deconv, (3, 4, 5), {"features": 4}),
    Case(Deconv, (1, 5, 3), {"features": 4, **H}),
    Case(GaussianDeconv, (3, 4, 5), {"features": 4}),
    Case(GaussianDeconv, (1, 5, 3), {"features": 4, **H}),
    Case(ByColumns, (3, 3, 4), H),
    Case(Coupled, (3, 3, 4), {"levels": 3, **H}),
    Case(Coupled, (1, 4, 5)),
    Case(Striped, (3, 4, 5), H),
    Case(Striped, (1, 5, 4)),
    Case(Centred, (3, 3, 4), H),
    Case(Dequantised, (3, 3, 4), H),
]


def those(keep: Callable[[Case], object] = lambda case: True) -> pytest.MarkDecorator:
    """Parametrise by the cases of which something is true."""
    return pytest.mark.parametrize("case", [case for case in CASES if keep(case)], ids=str)


def one_of_each_structure() -> list[Case]:
    """Our own classes, unconditional and by each kind of conditioning."""
    own = [case for case in CASES if case.make.__module__.startswith("repr_toolkit")]
    told_apart = ("conditioning", "skip")
    kinds = {
        (case.make, "h_dim" in case.kwargs, *map(case.kwargs.get, told_apart)): case
        for case in own
        if "h_shape" not in case.kwargs
    }
    return [*kinds.values()]


def is_autoregressive(case: Case) -> bool:
    return issubclass(case.make, AutoregressiveDecoder)


def small_pixelcnn(shape: Shape, **kwargs: Any) -> GatedPixelCNN:
    model: GatedPixelCNN = gated(shape).build(**kwargs)
    return model


def condition(model: Decoder, batch: int) -> dict[str, Any]:
    """What `sample` takes for a batch of images."""
    h = random_h(model, batch)
    return {"n": batch} if h is None else {"h": h}


def random_h(model: Decoder, batch: int) -> Tensor | None:
    if model.h_dim == 0:
        return None
    return torch.randn(batch, *model.h_shape, dtype=next(model.parameters()).dtype)


def random_images(model: Decoder, batch: int) -> Tensor:
    return torch.randint(0, model.levels, (batch, *model.image_shape)).to(torch.uint8)


def pmf_of(model: AutoregressiveDecoder, params: Tensor, x: Tensor) -> Tensor:
    """The probabilities of all levels of every sub-pixel, (B, C, H, W, levels).

    Given the parameters, and of the images x (B, C, H, W) a pixel's earlier channels.
    """
    pmf = params.new_empty(*x.shape, model.levels)
    for c, v in product(range(x.shape[1]), range(model.levels)):
        images = x.clone()
        images[:, c] = v
        pmf[:, c, ..., v] = model.likelihood.log_prob(params, images)[:, c].exp()
    return pmf


def levels_of(model: AutoregressiveDecoder, params: Tensor, x: Tensor, u: Tensor) -> Tensor:
    """The levels (B, C, H, W) that noise u draws where the past is that of the images x."""
    draw, channels = model.likelihood.draw, range(x.shape[1])
    if params.shape[1] == x.shape[1] > 1:
        return draw(params, u)
    befores = (x[:, :c].movedim(1, -1).long() for c in channels)
    drawn = [draw(params[:, 0], u[:, c], 1.0, b) for c, b in zip(channels, befores, strict=True)]
    return torch.stack(drawn, 1)


def draw_for(model: Decoder, case: Case, batch: int = 3) -> Draw:
    """A draw whose temperature and known pixels vary from case to case."""
    noise = torch.rand(batch, *model.image_shape, dtype=torch.float64)
    number = CASES.index(case)
    known = mask = None
    if number % 2 and model.completes:
        known, mask = random_images(model, batch), torch.rand(noise.shape) < 0.3
    temperature = (1.0, 0.5, 0.0)[number % 3]
    return Draw(random_h(model, batch), noise, temperature, known, mask)
