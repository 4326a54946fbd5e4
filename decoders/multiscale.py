"""The multi-scale models of van den Oord et al. 2016 (arXiv:1601.06759 §3.6): one scale by one.

A small decoder makes S(x), every `factor`-th pixel of every `factor`-th row of the image, from its
upper left corner on; a large one makes the image given S(x), which a deconvolutional network
enlarges to a map that biases each of its layers. Of the two forms here one is exact, and the other,
the paper's own, a bound.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import tee
from math import prod
from typing import Any, ClassVar, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repr_toolkit.decoders.autoregressive import AutoregressiveDecoder
from repr_toolkit.decoders.base import Decoder
from repr_toolkit.decoders.conditioning import (
    ConditioningKind,
    condition_layer,
    conditioned,
    conditioning_of,
)
from repr_toolkit.decoders.engines.draw import Draw, Engine
from repr_toolkit.decoders.likelihoods import Likelihood
from repr_toolkit.decoders.matrices import state_matrices
from repr_toolkit.decoders.noise import noise_beside
from repr_toolkit.decoders.streams import apart

Shape = tuple[int, int, int]


class Scale(Protocol):
    """What builds the decoder of a scale: a class spec in a recipe, in Python a `partial`."""

    def __call__(
        self, image_shape: Shape, h_dim: int, levels: int, *, h_shape: tuple[int, ...] = ...
    ) -> Decoder: ...


class Enlarge(nn.Module):
    """S(x) (B, C, ⌈H/f⌉, ⌈W/f⌉), and h, to the map (B, features, H, W) that the large model gets.

    A 3×3 convolution, a transposed one by the factor f, cropped to the image, to which V·s of h is
    added, and a 3×3 one, with ReLU between them.
    """

    def __init__(
        self, whole: Decoder, factor: int, features: int, conditioning: ConditioningKind
    ) -> None:
        super().__init__()
        channels, *self.size = whole.image_shape
        self.last_level = whole.levels - 1
        self.small = nn.Conv2d(channels, features, 3, padding=1)
        # A pixel of the grid stands in the middle of what its kernel reaches.
        reach = factor - 1
        self.deconv = nn.ConvTranspose2d(
            features, features, 2 * reach + 1, factor, padding=reach, output_padding=reach
        )
        state_matrices(self.deconv.weight, turned=True)
        with apart():
            height, width = self.size
            self.conditioning = conditioning_of(
                conditioning, whole.h_shape, (height, width), features
            )
        self.condition = condition_layer(
            self.conditioning.channels if self.conditioning else 0, features
        )
        self.out = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, small: Tensor, h: Tensor | None) -> Tensor:
        """The map for small images of levels, integer or floating, and h (B, *h_shape) or None."""
        height, width = self.size
        scaled = small.to(self.out.weight.dtype) * (2 / self.last_level) - 1
        maps = self.deconv(F.relu(self.small(scaled)))[:, :, :height, :width]
        s = None if self.conditioning is None else self.conditioning(h)
        enlarged: Tensor = self.out(F.relu(conditioned(maps, self.condition, s)))
        return enlarged


def _built(name: str, scale: Scale, *sizes: Any, h_shape: tuple[int, ...]) -> Decoder:
    """The decoder of a scale, which is told the shape of h where h is a map."""
    of_h: dict[str, Any] = {"h_shape": h_shape} if len(h_shape) == 3 else {}
    try:
        return scale(*sizes, **of_h)
    except TypeError as error:
        kind = "map" if of_h else "vector"
        raise ValueError(f"{name} cannot be built for a {kind} as h: {error}") from error


def _terms(decoder: Any) -> str:
    """The likelihood of a decoder, in words."""
    likelihood = decoder.likelihood
    return f"{type(likelihood).__name__} ({decoder.levels} levels, {likelihood.size} numbers)"


class _Scales(Decoder):
    """Two scales, of which the small one may be several."""

    small: Decoder
    large: AutoregressiveDecoder

    def __init__(
        self,
        image_shape: Shape,
        h_dim: int = 0,
        levels: int = 256,
        *,
        h_shape: tuple[int, ...] | None = None,
        factor: int,
        small: Scale,
        large: Scale,
        features: int = 32,
        conditioning: ConditioningKind = "vector",
    ) -> None:
        whole = Decoder(image_shape, h_dim, levels, h_shape=h_shape)
        channels, height, width = whole.image_shape
        most = max(height, width)
        if not isinstance(factor, int) or not 2 <= factor <= most:
            raise ValueError(
                f"factor is a whole number from 2 to the image's longer side, {most}, not {factor}"
            )
        if not isinstance(features, int) or features < 1:
            raise ValueError(f"features is a whole number, at least 1, not {features}")
        grid = (channels, -(-height // factor), -(-width // factor))
        first = _built("small", small, grid, whole.h_dim, levels, h_shape=whole.h_shape)
        enlarge = Enlarge(whole, factor, features, conditioning)
        of_map = (features, height, width)
        then = _built("large", large, whole.image_shape, prod(of_map), levels, h_shape=of_map)
        for name, part, kinds in (("small", first, type(self)), ("large", then, ())):
            if not isinstance(part, (AutoregressiveDecoder, kinds)):
                raise ValueError(f"{name} is {type(part).__name__}: no AutoregressiveDecoder")
        one, other = map(_terms, (first, then))
        if one != other:
            raise ValueError(f"small and large have one likelihood, not {one} and {other}")
        options = self._options(factor, first, then)
        super().__init__(image_shape, h_dim, levels, h_shape=h_shape, **options)
        self.factor, self.small, self.enlarge = factor, first, enlarge
        self.large = cast("AutoregressiveDecoder", then)

    @staticmethod
    def _options(factor: int, small: Decoder, large: Decoder) -> dict[str, Any]:
        """What else the next base class is built with."""
        return {}

    def grid(self, x: Tensor) -> Tensor:
        """S(x) (B, C, ⌈H/f⌉, ⌈W/f⌉), a view of x (B, C, H, W)."""
        return x[:, :, :: self.factor, :: self.factor]

    @property
    def has_preparation(self) -> bool:
        return self.small.has_preparation or self.large.has_preparation

    def prepare(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        for_small, for_large = tee(batches)
        self.small.prepare((self.grid(x), h) for x, h in for_small)
        self.large.prepare((x, self.enlarge(self.grid(x), h)) for x, h in for_large)

    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        for_small, for_large = tee(batches)
        self.small.calibrate((self.grid(x), h) for x, h in for_small)
        self.large.calibrate((x, self.enlarge(self.grid(x), h)) for x, h in for_large)

    @property
    def values_per_image(self) -> int:
        return self.large.values_per_image

    def _progress(self, draw: Draw, *, small: bool) -> Any:
        """The progress of a scale, as a part of the whole, by numbers of pixels."""
        share = 1 / (1 + prod(self.image_shape) / prod(self.small.image_shape))
        start, width = (0.0, share) if small else (share, 1 - share)
        return lambda done: draw.progress(start + width * done)


def _obstacle(model: object, draw: Draw | None) -> str | None:
    if draw is not None and type(draw) is not Draw:
        return f"it draws each scale by itself, and a {type(draw).__name__} decides whole images"
    return None


def _by_its_own_engine(decoder: Decoder, draw: Draw) -> Tensor:
    return decoder.engines[decoder.choose_engine("auto", draw)].sample(decoder, draw)


def _clamped(model: "MultiScale", draw: Draw) -> Tensor:
    """Draw S(x), and then the image of which it is known."""
    known, mask = draw.known, draw.mask
    small = replace(
        draw,
        noise=model.grid(draw.noise),
        known=None if known is None else model.grid(known),
        mask=None if mask is None else model.grid(mask),
        progress=model._progress(draw, small=True),
    )
    grid = _by_its_own_engine(model.small, small)
    shape = draw.noise.shape
    known = grid.new_zeros(shape) if known is None else known.clone()
    mask = torch.zeros_like(known, dtype=torch.bool) if mask is None else mask.clone()
    model.grid(known).copy_(grid)
    model.grid(mask).fill_(True)
    large = replace(
        draw,
        h=model.enlarge(grid, draw.h),
        known=known,
        mask=mask,
        progress=model._progress(draw, small=False),
    )
    x = _by_its_own_engine(model.large, large)
    draw.decided_by.copy_(large.decided_by)
    model.grid(draw.decided_by).copy_(small.decided_by)
    return x


def _as_published(model: "MultiScaleAsPublished", draw: Draw) -> Tensor:
    """Draw a small image, by noise of its own, and then the whole large one given it."""
    small = replace(
        draw,
        noise=noise_beside(draw.noise, model.small.image_shape, model.small.sampling_noise),
        progress=model._progress(draw, small=True),
    )
    h = model.enlarge(_by_its_own_engine(model.small, small), draw.h)
    large = replace(draw, h=h, progress=model._progress(draw, small=False))
    x = _by_its_own_engine(model.large, large)
    draw.decided_by.copy_(large.decided_by)
    model.grid(draw.decided_by).add_(small.decided_by)
    return x


class MultiScale(_Scales, AutoregressiveDecoder):
    """p(x|h) = p(S(x)|h) · p(rest | S(x), h), exact: the large model copies S(x) (*clamped*).

    `order` is the grid in the small model's order, and then the rest in the large model's. A
    `MultiScale` as `small` puts its own grid first.

    image_shape is (C, H, W), any H and W; where `factor`, from 2 to the longer side, does not
    divide them, the grid has ⌈H/factor⌉×⌈W/factor⌉ pixels. `small` and `large` build the two
    models, of one likelihood, autoregressive ones: class specs in a recipe, without image_shape,
    h_dim and levels, which they are given here, and in Python a `functools.partial` of the class.
    A `MultiScale` as `small` makes a third scale, and so on. The small model is given h as it is.
    The large one is given a map (`features`, H, W) instead, made of S(x) and h; `conditioning` says
    how h enters that map, as in `GatedPixelCNN`, where `features` here is `map_features` there.

    Raises ValueError for sizes that cannot be, and for models that cannot be built or do not fit
    together.
    """

    whole_past: ClassVar[bool] = False
    engines: ClassVar[Mapping[str, Engine]] = {
        **AutoregressiveDecoder.engines,
        "scales": Engine(_clamped, _obstacle),
    }

    @staticmethod
    def _options(factor: int, small: Any, large: Any) -> dict[str, Any]:
        index = torch.arange(prod(large.image_shape)).view(large.image_shape)
        grid = index[:, ::factor, ::factor].flatten()[small.order]
        rest = large.order[~torch.isin(large.order, grid)]
        return {"likelihood": large.likelihood, "order": torch.cat([grid, rest])}

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self._check_shape(x)
        self._check_h(h, len(x))
        grid, small = self.grid(x), cast("AutoregressiveDecoder", self.small)
        params = self.large.params(x, self.enlarge(grid, h)).clone()
        params[:, :, :: self.factor, :: self.factor] = small.params(grid, h)
        return params


class MultiScaleAsPublished(_Scales):
    """p(S(x)|h) · p(x | S(x), h), a lower bound: the large model scores all pixels again.

    So it is in the paper. It draws a small image s, and then an image x given s, whose grid need
    not be s: with probability Σ_s p(s|h) p(x|s, h), of which this is the term of s = S(x). It has
    no order, and completes nothing. Arguments and errors are those of `MultiScale`; `small` may be
    a `MultiScaleAsPublished` as well.
    """

    is_bound: ClassVar[bool] = True
    bound: ClassVar[str] = "the small image scored twice"
    completes: ClassVar[bool] = False
    engines: ClassVar[Mapping[str, Engine]] = {"scales": Engine(_as_published, _obstacle)}

    @property
    def likelihood(self) -> Likelihood:
        """That of both models."""
        return self.large.likelihood

    def log_prob(
        self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None
    ) -> Tensor:
        self._check_x(x)
        self._check_h(h, len(x))
        self._likelihood_noise(x, noise)
        grid = self.grid(x)
        return self.small.log_prob(grid, h) + self.large.log_prob(x, self.enlarge(grid, h))
