"""The contract every decoder keeps: p(x|h) as an exact log-likelihood and as a sampler."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from logging import getLogger
from math import log, prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from repr_toolkit.decoders.engines import fixed_point, naive
from repr_toolkit.decoders.engines.draw import Draw, Engine, Progress, host_obstacle, silent
from repr_toolkit.decoders.likelihoods import Categorical
from repr_toolkit.decoders.precision import full_precision

log_of_engines = getLogger("repr_toolkit.sampling")


class Decoder(nn.Module):
    """An image model p(x|h).

    Images are uint8 (B, C, H, W) with values 0…levels−1; h is float (B, h_dim), or None where
    h_dim = 0, which makes the model unconditional. A decoder implements `log_prob`, names its
    `engines`, and implements `subpixel_log_prob` where its likelihood is a product over
    sub-pixels, and `loss` where it is trained on something else than its likelihood.

    Raises ValueError where image_shape, h_dim or levels cannot be.
    """

    is_bound: ClassVar[bool] = False
    """Whether `log_prob` is a lower bound instead of the exact value."""

    reconstruction_temperature: ClassVar[float] = 1.0
    """The temperature at which a sample is shown as the reconstruction of an image."""

    engines: ClassVar[Mapping[str, Engine]] = {}
    """The sampling engines that the model has, by name, slowest first; "auto" takes the last that
    works where the model is (see `obstacle`)."""

    def __init__(
        self, image_shape: tuple[int, int, int], h_dim: int = 0, levels: int = 256
    ) -> None:
        super().__init__()
        if len(image_shape) != 3 or image_shape[0] not in (1, 3) or min(image_shape) < 1:
            raise ValueError(
                f"image_shape is (C, H, W) with C = 1 or 3 and H, W ≥ 1, not {tuple(image_shape)}"
            )
        if h_dim < 0:
            raise ValueError(f"h_dim is 0 (unconditional) or more, not {h_dim}")
        if not 2 <= levels <= 256:
            raise ValueError(f"levels is 2…256, not {levels}")
        channels, height, width = image_shape
        self.image_shape = (channels, height, width)
        self.h_dim = h_dim
        self.levels = levels

    def log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """The natural logarithm of p(x|h), of shape (B,), for uint8 images x (B, C, H, W)."""
        raise NotImplementedError

    def subpixel_log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """The terms of log p(x|h), (B, C, H, W), for uint8 x (B, C, H, W); they sum to `log_prob`.

        Each sub-pixel's is given h and the sub-pixels before it, if the model has an order. Where
        the likelihood couples the channels, it is (B, 1, H, W). Raises NotImplementedError where
        log p(x|h) is no such sum.
        """
        raise NotImplementedError(f"{type(self).__name__} has no likelihood of each sub-pixel")

    def loss(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """What training minimises, a scalar: the mean bits/dim of uint8 images x (B, C, H, W)."""
        return bits_per_dim(self.log_prob(x, h), self.image_shape).mean()

    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Fit what no gradient fits, from batches (x, h) of training images; here, nothing."""

    def sample(
        self,
        h: Tensor | None = None,
        n: int | None = None,
        *,
        noise: Tensor | None = None,
        temperature: float = 1.0,
        known: Tensor | None = None,
        mask: Tensor | None = None,
        engine: str = "auto",
        progress: Progress = silent,
    ) -> Tensor:
        """Images drawn from p(x|h): uint8 (B, C, H, W), without gradients and in eval mode.

        h of shape (N, h_dim) gives n images for each of its rows (default 1), adjacent, B = N·n;
        without h, B = n. `noise` is the whole randomness, uniforms in [0, 1) of shape
        (B, C, H, W), and is drawn from torch's global generator if None. A sub-pixel takes the
        smallest value v with CDF(v) > noise. `temperature` T renormalises each sub-pixel's
        probabilities to the power 1/T; 0 takes the mode. `known` (uint8) and `mask` (bool, True
        = keep) come together, broadcast to (B, C, H, W), and complete an image. All engines
        give the same image for the same noise, exactly in float64 and, in float32, until a
        noise value lies within rounding of an edge of the CDF; "auto" is the fastest that works
        here, named with the reason in the log "repr_toolkit.sampling" at INFO. `progress` is
        called with the fraction that is done, from 0 to 1.

        Raises ValueError for shapes or values that do not fit, an engine that is unknown or does
        not work here, or h where there is none to take (and the reverse); TypeError for dtypes.
        """
        engine = self.choose_engine(engine)
        if not 0 <= temperature < float("inf"):
            raise ValueError(f"temperature is a finite number ≥ 0, not {temperature}")
        if n is not None and n < 1:
            raise ValueError(f"n, the number of images for each h, is at least 1, not {n}")
        reference = next(self.parameters())
        if h is not None:
            h = h.to(reference).repeat_interleave(n or 1, dim=0)
        batch = (n or 1) if h is None else len(h)
        self._check_h(h, batch)
        shape = (batch, *self.image_shape)
        if noise is None:
            noise = torch.rand(shape, dtype=reference.dtype, device=reference.device)
        else:
            _check_noise(noise, shape)
            noise = noise.to(reference)
        if (known is None) != (mask is None):
            raise ValueError("known and mask come together: the image, and True where to keep it")
        if known is not None and mask is not None:
            if mask.dtype != torch.bool:
                raise TypeError(f"mask is bool, not {mask.dtype}")
            known = _broadcast("known", known.to(reference.device), shape)
            mask = _broadcast("mask", mask.to(reference.device), shape)
            self._check_x(known)
        if batch == 0:
            return torch.empty(shape, dtype=torch.uint8, device=reference.device)
        return self.draw(Draw(h, noise, temperature, known, mask, progress), engine)

    def draw(self, draw: Draw, engine: str = "auto") -> Tensor:
        """`sample` with its arguments checked and brought to one batch, device and dtype.

        Raises ValueError for an engine that is unknown or does not work here, or for this draw.
        """
        chosen = self.engines[self.choose_engine(engine, draw)]
        with self._evaluating(), torch.inference_mode(), full_precision(draw.noise.device):
            x = chosen.sample(self, draw)
        return x.clone()  # an ordinary tensor again, no longer one of inference mode

    def obstacle(self, engine: str, draw: Draw | None = None) -> str | None:
        """Why one of `engines` cannot run where the model is, or for a draw; None if it can."""
        return self.engines[engine].obstacle(self, draw)

    def choose_engine(self, engine: str = "auto", draw: Draw | None = None) -> str:
        """The engine to use: the one asked for, or the fastest that works here for "auto".

        Raises ValueError for one that the model lacks, or that does not work here.
        """
        name = type(self).__name__
        if engine == "auto":
            passed_over: list[str] = []
            for candidate in reversed(tuple(self.engines)):
                obstacle = self.obstacle(candidate, draw)
                if obstacle is None:
                    reasons = "".join(f"; not {other}" for other in passed_over)
                    log_of_engines.info(
                        "%s samples by %s, the fastest that works here%s", name, candidate, reasons
                    )
                    return candidate
                passed_over.append(f"{candidate}: {obstacle}")
            raise ValueError(f"{name} cannot sample here: {'; '.join(passed_over)}")
        if engine not in self.engines:
            raise ValueError(
                f"{name} has no engine {engine!r}; it has {', '.join(('auto', *self.engines))}"
            )
        obstacle = self.obstacle(engine, draw)
        if obstacle is not None:
            raise ValueError(f"the engine {engine!r} cannot run here: {obstacle}")
        return engine

    def _check_x(self, x: Tensor) -> None:
        if x.dtype != torch.uint8:
            raise TypeError(f"images are uint8 with values 0…{self.levels - 1}, not {x.dtype}")
        self._check_shape(x)
        # On an accelerator the check would make every step wait for the device, and in a compiled
        # step it would break the graph.
        checked = x.device.type == "cpu" and not torch.compiler.is_compiling()
        if checked and self.levels < 256 and x.numel() and x.max() >= self.levels:
            raise ValueError(
                f"an image has the value {int(x.max())}, but this model's levels are "
                f"0…{self.levels - 1}; quantise the data to levels={self.levels}"
            )

    def _check_shape(self, x: Tensor) -> None:
        if x.ndim != 4 or tuple(x.shape[1:]) != self.image_shape:
            raise ValueError(
                f"images of shape (B, {', '.join(map(str, self.image_shape))}) expected, "
                f"not {tuple(x.shape)}"
            )

    def _check_h(self, h: Tensor | None, batch: int) -> None:
        if self.h_dim == 0 and h is not None:
            raise ValueError("this decoder is unconditional (h_dim=0) and takes no h")
        if self.h_dim > 0 and h is None:
            raise ValueError(f"this decoder needs h of shape (B, {self.h_dim})")
        if h is not None and tuple(h.shape) != (batch, self.h_dim):
            raise ValueError(f"h of shape ({batch}, {self.h_dim}) expected, not {tuple(h.shape)}")

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Eval mode, and afterwards the mode that each module had."""
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training


class AutoregressiveDecoder(Decoder):
    """A decoder that factorises p(x|h) over the sub-pixels in raster order, then R, G, B.

    A model implements `params`; likelihood, loss and two samplers follow from it.
    """

    engines: ClassVar[Mapping[str, Engine]] = {
        "naive": Engine(naive.sample),
        "fixed_point": Engine(fixed_point.sample, host_obstacle),
    }

    def __init__(
        self, image_shape: tuple[int, int, int], h_dim: int = 0, levels: int = 256
    ) -> None:
        super().__init__(image_shape, h_dim, levels)
        self.likelihood = Categorical()

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """The likelihood's parameters of every sub-pixel, (B, C, H, W, K), contiguous in K.

        x is uint8 (B, C, H, W), or floating on the same scale 0…levels−1, in which the result
        is then differentiable.
        """
        raise NotImplementedError

    def log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self.subpixel_log_prob(x, h).flatten(1).sum(1)

    def subpixel_log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        self._check_x(x)
        return self.likelihood.log_prob(self.params(x, h), x)


def bits_per_dim(log_prob: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    """−log p / (C·H·W·ln 2): bits/dim from natural log-likelihoods of any shape.

    >>> bits_per_dim(torch.tensor([-64 * log(16)]), (1, 8, 8))
    tensor([4.])
    """
    return -log_prob / (prod(image_shape) * log(2))


def _check_noise(noise: Tensor, shape: tuple[int, ...]) -> None:
    if not noise.is_floating_point():
        raise TypeError(f"noise is floating point, uniform in [0, 1), not {noise.dtype}")
    if tuple(noise.shape) != shape:
        raise ValueError(f"noise of shape {shape} expected, not {tuple(noise.shape)}")
    if not bool(((noise >= 0) & (noise < 1)).all()):
        raise ValueError("noise has values outside [0, 1): it is uniform, not normal")


def _broadcast(name: str, value: Tensor, shape: tuple[int, ...]) -> Tensor:
    try:
        return value.expand(shape)
    except RuntimeError:
        raise ValueError(
            f"{name} of shape {tuple(value.shape)} does not broadcast to {shape}"
        ) from None
