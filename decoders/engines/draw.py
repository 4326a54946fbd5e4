"""What is to be drawn, and how an engine is named: the seam between models and engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

Progress = Callable[[float], object]
"""Called now and then with the fraction of the work that is done, in [0, 1]."""


def silent(done: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Draw:
    """What is to be drawn: all that an engine needs beside the model.

    An engine walks (order, caches, parameters of the likelihood), a Draw decides: of each
    sub-pixel it is asked once for its level, by `level`. This one samples by the inverse CDF and
    keeps what is known; a subclass may decide otherwise. One that can only do so on the host, in
    the order of generation, states `on_host`.
    """

    on_host: ClassVar[bool] = False
    """Whether `level` works on the host and in order, one index after the other."""

    h: Tensor | None
    """(B, *h_shape), or None for an unconditional model"""
    noise: Tensor
    """(B, C, H, W), of the decoder's law, dtype and device"""
    temperature: float = 1.0
    known: Tensor | None = None
    """uint8 (B, C, H, W), together with `mask`"""
    mask: Tensor | None = None
    """bool (B, C, H, W), True where `known` stays"""
    progress: Progress = silent
    decided_by: Tensor = field(init=False, repr=False)
    """(B, C, H, W), of each sub-pixel a number that is finite if its level could be decided"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "decided_by", self.noise.new_zeros(self.noise.shape))
        temperature = rounded(self.temperature, self.noise.dtype)
        object.__setattr__(self, "temperature", temperature)

    def level(
        self, likelihood: Any, params: Tensor, at: Any, before: Tensor | None = None
    ) -> Tensor:
        """The levels at the index `at` of (B, C, H, W), an integer tensor of the indexed shape.

        `params` (…, K) are the likelihood's parameters there, and `before` (…, c) the levels of
        the pixel's earlier channels, which a likelihood that couples channels asks for.
        """
        self.decided_by[at] = params.amax(-1).to(self.noise.dtype)
        level: Tensor = likelihood.draw(params, self.noise[at], self.temperature, before)
        return self.keep(level, at)

    def keep(self, level: Tensor, at: Any = ...) -> Tensor:
        """The levels at the index `at`, with the known ones in place."""
        if self.known is None or self.mask is None:
            return level
        return torch.where(self.mask[at], self.known[at].to(level.dtype), level)

    def require_decided(self) -> None:
        """Raise ValueError, which says where, unless every level that is not known was decided."""
        failed = ~self.decided_by.isfinite()
        if self.mask is not None:
            failed &= ~self.mask
        if not failed.any():
            return
        image, row, column, channel = failed.permute(0, 2, 3, 1).nonzero()[0].tolist()
        raise ValueError(
            "no level can be drawn from parameters that are not finite, as weights or h that are "
            f"not finite make them: in image {image} of {len(failed)}, at channel {channel}, row "
            f"{row}, column {column}"
        )

    def rows(self, index: Tensor | list[int]) -> Draw:
        """The same of some of the images."""
        parts = {
            name: value[index]
            for name in ("h", "noise", "known", "mask")
            if (value := getattr(self, name)) is not None
        }
        return replace(self, **parts)


def rounded(temperature: float, dtype: torch.dtype) -> float:
    """A temperature, or 0 where a dtype has no normal number so small."""
    return 0.0 if abs(temperature) < torch.finfo(dtype).tiny else temperature


class Engine(NamedTuple):
    """One way to sample from a model, as its class names it in `engines`."""

    sample: Callable[[Any, Draw], Tensor]
    """(model, draw) to images, uint8 (B, C, H, W)"""
    obstacle: Callable[[Any, Draw | None], str | None] = lambda model, draw: None
    """Why the engine cannot run where the model is (or, with a draw, for it), or None if it can"""


def host_obstacle(model: object, draw: Draw | None) -> str | None:
    """The obstacle of engines that decide many levels at once, or on a device."""
    if draw is not None and draw.on_host:
        return f"a {type(draw).__name__} decides the levels one by one, on the host"
    return None
