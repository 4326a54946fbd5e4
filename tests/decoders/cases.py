"""Every decoder family, by a line a case: what all of them are tested on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from fields import diagonal_field, gated_field, pixelcnn_field, pixelcnnpp_field, row_field
from numpy.typing import NDArray
from torch import Tensor

from repr_toolkit.decoders import (
    NICE,
    AutoregressiveDecoder,
    Decoder,
    Deconv,
    DiagonalBiLSTM,
    Flow,
    GatedPixelCNN,
    GaussianDeconv,
    Glow,
    MultiScale,
    MultiScaleAsPublished,
    PixelCNN,
    PixelCNNpp,
    RealNVP,
    RowLSTM,
)
from repr_toolkit.decoders.engines.draw import Draw
from repr_toolkit.testing import randomised
from toys.autoregressive import ByColumns, Centred, Coupled, Dequantised, Striped

Shape = tuple[int, int, int]
Reach = Callable[[Shape, dict[str, Any]], NDArray[np.bool_]]
GATED_SCALE, PIXELCNN_SCALE, ROW_SCALE, DIAGONAL_SCALE = (
    partial(make, features=6, layers=1)
    for make in (GatedPixelCNN, PixelCNN, RowLSTM, DiagonalBiLSTM)
)
SCALES: dict[str, Any] = {"small": GATED_SCALE, "large": PIXELCNN_SCALE}
SIZES: dict[type[Decoder], dict[str, Any]] = {
    GatedPixelCNN: {"features": 6, "layers": 3},
    PixelCNN: {"features": 6, "layers": 2},
    RowLSTM: {"features": 6, "layers": 2},
    DiagonalBiLSTM: {"features": 6, "layers": 2},
    Glow: {"scales": 2, "steps": 2, "features": 6},
    NICE: {"layers": 3, "hidden": 2, "features": 6},
    RealNVP: {"scales": 1, "features": 4, "blocks": 1},
    PixelCNNpp: {"features": 4, "blocks": 1, "mixtures": 2},
    MultiScale: {"features": 4, "factor": 2} | SCALES,
    MultiScaleAsPublished: {"features": 4, "factor": 2} | SCALES,
}
H = {"h_dim": 2}
BERNOULLI = {"likelihood": "bernoulli", "levels": 2}
CATEGORICAL = {"likelihood": "categorical"}
MIXTURE = {"likelihood": "logistic_mixture"}


@dataclass(frozen=True)
class Case:
    make: type[Decoder]
    shape: Shape
    kwargs: dict[str, Any] = field(default_factory=dict)
    reach: Reach | None = None

    def __str__(self) -> str:
        named = {key: getattr(value, "func", value) for key, value in self.kwargs.items()}
        settings = "-".join(f"{k}={getattr(v, '__name__', v)}" for k, v in named.items())
        return f"{self.make.__name__}-{'×'.join(map(str, self.shape))}-{settings}"

    def build(self, shape: Shape | None = None, **kwargs: Any) -> Any:
        """The decoder in float64, with parameters that leave nothing zero."""
        settings: dict[str, Any] = {"levels": 5} | SIZES.get(self.make, {})
        settings |= self.kwargs | kwargs
        if settings.get("likelihood") == "bernoulli":
            settings["levels"] = 2
        return randomised(self.make(shape or self.shape, **settings))


def gated(shape: Shape, **kwargs: Any) -> Case:
    return Case(GatedPixelCNN, shape, kwargs, gated_field)


def pixelcnn(shape: Shape, **kwargs: Any) -> Case:
    return Case(PixelCNN, shape, kwargs, pixelcnn_field)


def row_lstm(shape: Shape, **kwargs: Any) -> Case:
    return Case(RowLSTM, shape, kwargs, row_field)


def diagonal(shape: Shape, **kwargs: Any) -> Case:
    return Case(DiagonalBiLSTM, shape, kwargs, diagonal_field)


def pixelcnnpp(shape: Shape, **kwargs: Any) -> Case:
    return Case(PixelCNNpp, shape, kwargs, pixelcnnpp_field)


def multi_scale(shape: Shape, **kwargs: Any) -> Case:
    return Case(MultiScale, shape, kwargs)


def as_published(shape: Shape, **kwargs: Any) -> Case:
    return Case(MultiScaleAsPublished, shape, kwargs)


BY_MIXTURE, PIXELCNN_BY_MIXTURE, ROW_BY_MIXTURE, DIAGONAL_BY_MIXTURE = (
    partial(scale, mixtures=2, **MIXTURE)
    for scale in (GATED_SCALE, PIXELCNN_SCALE, ROW_SCALE, DIAGONAL_SCALE)
)
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
    gated((1, 4, 5), **BERNOULLI),
]
PIXELCNN = [
    pixelcnn((1, 5, 4)),
    pixelcnn((3, 4, 5), kernel_size=5, first_kernel_size=3, layers=1),
    pixelcnn((3, 3, 4), **H, head_features=9),
    pixelcnn((1, 3, 5), **H, conditioning="positional", map_features=3, first_kernel_size=5),
    pixelcnn((3, 4, 3), **H, conditioning="spatial", map_features=3, kernel_size=1),
    pixelcnn((3, 2, 6), h_shape=(2, 2, 3), levels=256, layers=1),
    pixelcnn((3, 3, 4), **BERNOULLI, **H),
    pixelcnn((1, 4, 5), **MIXTURE, mixtures=2, first_kernel_size=3),
    pixelcnn((3, 4, 4), **MIXTURE, **H, features=5, head_features=7, mixtures=3, levels=256),
]
ROW_LSTM = [
    row_lstm((1, 5, 4)),
    row_lstm((3, 4, 5), kernel_size=5, first_kernel_size=3, layers=1),
    row_lstm((3, 3, 4), **H, skip=True, head_features=9),
    row_lstm((1, 3, 5), **H, conditioning="positional", map_features=3, residual=False),
    row_lstm((3, 4, 3), h_shape=(2, 2, 3), skip=True, residual=False, kernel_size=1),
    row_lstm((3, 3, 3), **BERNOULLI),
    row_lstm((1, 4, 4), **MIXTURE, mixtures=2, residual=False),
    row_lstm((3, 3, 4), **MIXTURE, **H, features=5, skip=True, head_features=7, mixtures=3),
]
DIAGONAL = [
    diagonal((1, 5, 4)),
    diagonal((3, 3, 5), first_kernel_size=3, layers=1),
    diagonal((3, 3, 4), **H, skip=True, head_features=9),
    diagonal((1, 3, 5), **H, conditioning="positional", map_features=3, residual=False),
    diagonal((3, 4, 3), h_shape=(2, 2, 3), skip=True, residual=False),
    diagonal((1, 4, 1), **H, conditioning="spatial", map_features=3),
    diagonal((3, 1, 4), **BERNOULLI),
    diagonal((1, 4, 4), **MIXTURE, mixtures=2, residual=False),
    diagonal((3, 3, 4), **MIXTURE, **H, features=5, skip=True, head_features=7, mixtures=3),
]
PIXELCNNPP = [
    pixelcnnpp((1, 5, 4)),
    pixelcnnpp((3, 4, 7), blocks=2, scales=2),
    pixelcnnpp((3, 3, 4), **H, levels=256),
    pixelcnnpp((1, 3, 5), **H, conditioning="positional", map_features=3, scales=1, blocks=2),
    pixelcnnpp((3, 6, 5), **CATEGORICAL, **H, conditioning="spatial", map_features=3, scales=2),
    pixelcnnpp((1, 4, 3), **CATEGORICAL, h_shape=(2, 2, 3), conditioning="cells", scales=2),
    pixelcnnpp((3, 2, 3), **BERNOULLI),
]
MULTI_SCALE = [
    multi_scale((1, 4, 5)),
    multi_scale((3, 5, 4), small=PIXELCNN_SCALE, large=GATED_SCALE),
    multi_scale((3, 3, 4), **H, small=DIAGONAL_SCALE, large=ROW_SCALE),
    multi_scale((1, 3, 7), **H, conditioning="spatial", large=DIAGONAL_SCALE),
    multi_scale((3, 4, 3), h_shape=(2, 2, 3), conditioning="cells"),
    multi_scale((3, 4, 5), **H, small=partial(MultiScale, **SIZES[MultiScale])),
    multi_scale((3, 4, 3), **H, small=BY_MIXTURE, large=BY_MIXTURE),
    multi_scale((3, 3, 4), small=DIAGONAL_BY_MIXTURE, large=ROW_BY_MIXTURE),
    multi_scale((3, 3, 4), small=ByColumns, large=ByColumns),
    as_published((1, 4, 5)),
    as_published((3, 5, 3), **H, large=ROW_SCALE),
    as_published((3, 4, 4), small=BY_MIXTURE, large=PIXELCNN_BY_MIXTURE),
    as_published((3, 4, 5), **H, small=partial(MultiScale, **SIZES[MultiScale])),
    as_published((1, 5, 4), small=partial(MultiScaleAsPublished, **SIZES[MultiScale])),
]
FLOWS = [
    Case(NICE, (1, 5, 3)),
    Case(NICE, (3, 3, 4), {**H, "levels": 256}),
    Case(NICE, (1, 4, 4), {"h_shape": (2, 2, 3)}),
    Case(Glow, (1, 4, 8)),
    Case(Glow, (3, 4, 4), {**H, "levels": 256, "permutation": "plain", "memory": "invert"}),
    Case(Glow, (1, 8, 4), {**H, "conditioning": "spatial", "coupling": "additive", "scales": 1}),
    Case(Glow, (3, 4, 4), {"h_shape": (2, 2, 3), "permutation": "shuffle", "memory": "recompute"}),
    Case(Glow, (1, 4, 4), {"dequantisation": "variational", "permutation": "reverse", "scales": 1}),
    Case(RealNVP, (1, 4, 6)),
    Case(RealNVP, (3, 4, 4), {**H, "levels": 256, "scales": 2, "memory": "invert"}),
    Case(RealNVP, (1, 4, 4), {"h_shape": (2, 2, 3), "dequantisation": "variational"}),
    Case(RealNVP, (3, 3, 5), {**H, "conditioning": "positional", "scales": 0}),
]
CASES = [
    *GATED,
    *PIXELCNN,
    *ROW_LSTM,
    *DIAGONAL,
    *PIXELCNNPP,
    *MULTI_SCALE,
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
    *FLOWS,
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


def is_flow(case: Case) -> bool:
    return issubclass(case.make, Flow)


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


def hard_images(model: Flow) -> Tensor:
    """Noise, two checkerboards, and constant images, uint8 (6, C, H, W)."""
    _, height, width = model.image_shape
    checks = (torch.arange(height)[:, None] + torch.arange(width)) % 2 * (model.levels - 1)
    plain = torch.zeros(height, width, dtype=torch.int64)
    patterns = [checks, model.levels - 1 - checks, plain, plain + model.levels - 1]
    images = torch.stack(patterns).to(torch.uint8)[:, None].expand(-1, *model.image_shape)
    return torch.cat([random_images(model, 2), images])


def tame(model: Any) -> Any:
    """The model with parameters so small that it is no worse than trained ones to invert."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 0.3
    return model


def prepared(model: Any) -> Any:
    """The model with the statistics of random images."""
    x = random_images(model, 64)
    if model.has_preparation:
        model.train().prepare([(x, random_h(model, 64))])
    return model.eval()
