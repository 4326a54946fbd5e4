"""The contract of a flow: z = f(x) is a code, x = f⁻¹(z) an image, log p(x) has a closed form."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from itertools import accumulate
from math import log, prod
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from repr_toolkit.decoders.base import Decoder
from repr_toolkit.decoders.engines.draw import Draw, Engine, host_obstacle
from repr_toolkit.decoders.flows.bijections import ActNorm, Shape
from repr_toolkit.decoders.flows.dequantisation import DequantisationKind, variational_noise
from repr_toolkit.decoders.flows.mixing import Mixing
from repr_toolkit.decoders.flows.stages import Prior, Stage
from repr_toolkit.decoders.noise import Law, check_noise
from repr_toolkit.decoders.noise import likelihood_noise as noise_of_images
from repr_toolkit.decoders.precision import evaluating, full_precision, to_float64
from repr_toolkit.support.choose import choose_evenly

PREPARED_IMAGES = 256
"""The most images whose statistics `prepare` takes: the batch with which the paper begins."""


def halvings(image_shape: Shape) -> int:
    """The largest L whose 2^L divides both sides of an image."""
    _, height, width = image_shape
    return min((side & -side).bit_length() - 1 for side in (height, width))


def require_scales(scales: int, image_shape: Shape, least: int) -> None:
    """Raise ValueError, naming the largest L that works, unless 2^scales divides both sides."""
    most = halvings(image_shape)
    if least <= scales <= most:
        return
    size = "×".join(map(str, image_shape[1:]))
    works = f"at most {most} works" if most >= least else "no number of scales works"
    raise ValueError(
        f"scales, L, is at least {least}, and 2^L divides {size}: {works}, not {scales}"
    )


def _inverted(model: "Flow", draw: Draw) -> Tensor:
    y = model.inverse(draw.temperature * draw.noise.flatten(1), draw.h)
    draw.decided_by.copy_(y)
    return model.images(y)


class Flow(Decoder):
    """A decoder that is a code as well: `z = encode(x, h)` and `x = decode(z, h)`.

    f maps y = (x + u)/levels − ½, which lies in [−½, ½), to z, and its density p(y|h) is that of z
    times |det ∂z/∂y|. `log_prob` draws the noise u, uniform in [0, 1), which makes it a lower bound
    of log p(x|h) ("dequantised"). z is standardised by every prior: given h it is standard normal
    if y follows the model, so that a temperature scales the z of every flow alike. It is not the
    temperature of models that draw from probabilities of levels, and no number of the one can be
    compared to the other's.

    With `dequantisation` "variational" a flow of its own makes u of the noise and x, by a density
    q, and log 1/q counts: the bound is the same where q = 1, as it is at first, and tighter later.

    A subclass sets `stages`, the `Stage`s that y goes through.
    """

    is_bound: ClassVar[bool] = True
    bound: ClassVar[str] = "dequantised"
    likelihood_noise: ClassVar[Law | None] = "uniform"
    sampling_noise: ClassVar[Law] = "normal"
    completes: ClassVar[bool] = False
    engines: ClassVar[Mapping[str, Engine]] = {"inverse": Engine(_inverted, host_obstacle)}

    stages: nn.ModuleList

    def __init__(
        self,
        image_shape: Shape,
        h_dim: int = 0,
        levels: int = 256,
        *,
        h_shape: tuple[int, ...] | None = None,
        dequantisation: DequantisationKind = "uniform",
    ) -> None:
        super().__init__(image_shape, h_dim, levels, h_shape=h_shape)
        self.variational = variational_noise(dequantisation, self.image_shape)

    def encode(self, x: Tensor, h: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """z (B, C·H·W) of uint8 images x (B, C, H, W), in the dtype of the weights.

        `noise` (B, C, H, W), uniform in [0, 1), says where in its bin each sub-pixel lies; None is
        the middle, so that `decode` gives x back. In eval mode and full precision. Raises as
        `log_prob` does.
        """
        self._check_x(x)
        self._check_h(h, len(x))
        if noise is not None:
            check_noise(noise, tuple(x.shape), "uniform")
        like = next(self.parameters())
        with evaluating(self), full_precision(x.device):
            y, _ = self.dequantise(x, None if noise is None else noise.to(like))
            return self.transform(y, None if h is None else h.to(like))[0]

    @torch.no_grad()
    def decode(self, z: Tensor, h: Tensor | None = None) -> Tensor:
        """Images, uint8 (B, C, H, W), of z (B, C·H·W); in eval mode, without gradients.

        Raises ValueError where z has another shape or makes an image that is not finite.
        """
        if z.ndim != 2 or z.shape[1] != prod(self.image_shape):
            wanted = prod(self.image_shape)
            raise ValueError(f"z of shape (B, {wanted}) expected, not {tuple(z.shape)}")
        self._check_h(h, len(z))
        like = next(self.parameters())
        with evaluating(self), full_precision(like.device):
            y = self.inverse(z.to(like), None if h is None else h.to(like))
        if not bool(y.isfinite().all()):
            raise ValueError(f"{self._what_is_not_finite()} make an image that is not finite")
        return self.images(y)

    @torch.no_grad()
    def reconstruct(
        self, x: Tensor, h: Tensor | None = None, batch_size: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """`decode(encode(x))`, and of which images, bool (B,), it had to be done in float64.

        These are the ones that the dtype of the weights does not give back exactly. Where they
        differ from x still, float64 does not either. At most `batch_size` images are on the
        device of the weights at a time; x, and what is returned, may be on another.
        """
        images = self._there_and_back(x, h, batch_size)
        again = (images != x).flatten(1).any(1)
        if bool(again.any()):
            missed = x[again], None if h is None else h[again]
            wide = deepcopy(self).to(to_float64(next(self.parameters())))
            images[again] = wide._there_and_back(*missed, batch_size)
        return images, again

    def _there_and_back(self, x: Tensor, h: Tensor | None, batch_size: int | None) -> Tensor:
        like, images = next(self.parameters()), torch.empty_like(x)
        step = batch_size or max(1, len(x))
        for rows in (slice(start, start + step) for start in range(0, len(x), step)):
            part, given = x[rows].to(like.device), None if h is None else h[rows].to(like)
            images[rows] = self.decode(self.encode(part, given), given)
        return images

    @torch.no_grad()
    def round_trip_error(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """The largest |f⁻¹(f(y)) − y| of each image, (B,), for y in [−½, ½), in full precision."""
        self._check_x(x)
        self._check_h(h, len(x))
        with evaluating(self), full_precision(x.device):
            y, _ = self.dequantise(x, None)
            given = None if h is None else h.to(y)
            z, _ = self.transform(y, given)
            return (self.inverse(z, given) - y).abs().flatten(1).amax(1)

    @property
    def z_scales(self) -> tuple[slice, ...]:
        """Where in z (B, C·H·W) the values stand that leave after each scale, the finest first.

        Those of a scale are a map (c, h, w), flattened.
        """
        ends = [*accumulate(prod(prior.part) for prior in self._priors)]
        return tuple(slice(*pair) for pair in zip([0, *ends], ends, strict=False))

    def log_prob(
        self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None
    ) -> Tensor:
        self._check_x(x)
        self._check_h(h, len(x))
        y, log_q = self.dequantise(x, self._likelihood_noise(x, noise))
        return self.log_density(y, h) + log_q - prod(self.image_shape) * log(self.levels)

    def log_density(self, y: Tensor, h: Tensor | None = None) -> Tensor:
        """log p(y|h), (B,), the density of y (B, C, H, W); images are y in [−½, ½)."""
        return self._parts(y, h)[1]

    def transform(self, y: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z (B, C·H·W), standardised, and log p(y|h), (B,), of y (B, C, H, W)."""
        parts, log_p = self._parts(y, h)
        pairs = zip(self._priors, parts, strict=True)
        return torch.cat([prior.standardised(z).flatten(1) for prior, z in pairs], 1), log_p

    def inverse(self, z: Tensor, h: Tensor | None = None) -> Tensor:
        """y (B, C, H, W) of z (B, C·H·W), standardised; it may lie beyond [−½, ½)."""
        parts = [z[:, part] for part in self.z_scales]
        y: Tensor | None = None
        for stage in reversed(self._stages):
            left = None
            if stage.prior is not None:
                left = stage.prior.restored(parts.pop().unflatten(1, stage.prior.part))
            y = stage.inverse(y, left, h)
        return cast("Tensor", y)

    def images(self, y: Tensor) -> Tensor:
        """The uint8 images of y."""
        return ((y + 0.5) * self.levels).floor().clamp(0, self.levels - 1).to(torch.uint8)

    def dequantise(self, x: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """y of images and uniform noise, or of the middles of bins; the bound's term log 1/q, (B,).

        q is the density of where y lies in its bin: 1, for uniform noise.
        """
        like = next(self.parameters())
        x, log_q = x.to(like.dtype), like.new_zeros(len(x))
        if noise is None:
            return (x + 0.5) / self.levels - 0.5, log_q
        if self.variational is not None:
            noise, log_q = self.variational((x + 0.5) / self.levels - 0.5, noise)
        return (x + noise) / self.levels - 0.5, log_q

    @property
    def has_preparation(self) -> bool:
        return any(isinstance(module, ActNorm) for module in self.modules())

    @torch.no_grad()
    def prepare(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Set the statistics of every actnorm that has none, layer after layer.

        From up to `PREPARED_IMAGES` images, spread evenly over the batches. Raises ValueError
        where there is no batch.
        """
        pairs = list(batches)
        if not pairs:
            raise ValueError(
                f"{type(self).__name__} is prepared by batches of images; there are none"
            )
        x = torch.cat([x for x, _ in pairs])
        chosen = choose_evenly(len(x), PREPARED_IMAGES)
        h = torch.cat([cast("Tensor", h) for _, h in pairs])[chosen] if self.h_dim else None
        x = x[chosen]
        noise = cast("Tensor", noise_of_images(self, range(len(x)))).to(next(self.parameters()))
        norms = [m for m in self.modules() if isinstance(m, ActNorm) and not bool(m.prepared)]
        try:
            for norm in norms:
                norm.preparing = True
            self._parts(self.dequantise(x, noise)[0], h)
        finally:
            for norm in norms:
                norm.preparing = False

    def _what_is_not_finite(self) -> str:
        for name, part in self.named_modules():
            if isinstance(part, Mixing) and not bool(part.inverted()[0].isfinite().all()):
                return f"the weights of {name}, which have no inverse (those of lu have one),"
        return "z, h or weights"

    @property
    def _stages(self) -> list[Stage]:
        return cast("list[Stage]", list(self.stages))

    @property
    def _priors(self) -> list[Prior]:
        return [stage.prior for stage in self._stages if stage.prior is not None]

    def _parts(self, y: Tensor, h: Tensor | None) -> tuple[list[Tensor], Tensor]:
        """What leaves after each scale, and log p(y|h)."""
        parts: list[Tensor] = []
        total: Any = 0
        rest: Tensor | None = y
        for stage in self._stages:
            rest, z, log_p = stage(rest, h)
            parts += [] if z is None else [z]
            total = total + log_p
        return parts, total
