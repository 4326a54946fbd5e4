"""The contract every decoder keeps: p(x|h) as a log-likelihood and as a sampler."""

from collections.abc import Callable, Iterable, Mapping
from logging import getLogger
from math import log, prod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from repr_toolkit.decoders.engines.draw import Draw, Engine, Progress, silent
from repr_toolkit.decoders.noise import Law, check_noise, draw_noise
from repr_toolkit.decoders.precision import evaluating, full_precision
from repr_toolkit.support.nats import nats_for_a_bit


class Refit(NamedTuple):
    """Another likelihood of a network, and what there is to know of its fit, or ""."""

    log_prob: Callable[[Tensor, Tensor | None], Tensor]
    remark: str


log_of_engines = getLogger("repr_toolkit.sampling")


class Decoder(nn.Module):
    """An image model p(x|h).

    Images are uint8 (B, C, H, W) with values 0…levels−1; h is float (B, *h_shape), or flattened,
    (B, h_dim), or None where h_dim = 0, which makes the model unconditional. `h_shape` is
    (h_dim,) unless h is a map (c, h′, w′). A decoder implements `subpixel_log_prob`
    where its likelihood is a product over sub-pixels, else `log_prob`, names its `engines`, and
    implements `loss` where it is trained on something else than its likelihood.

    Raises ValueError where image_shape, h_dim, h_shape or levels cannot be.
    """

    is_bound: ClassVar[bool] = False
    """Whether `log_prob` is a lower bound instead of the exact value."""

    bound: ClassVar[str] = ""
    """What makes it a bound, in words: "dequantised", "ELBO"."""

    likelihood_noise: ClassVar[Law | None] = None
    """The law of the noise that `log_prob` takes; None where it takes none."""

    sampling_noise: ClassVar[Law] = "uniform"
    """The law of the noise that `sample` takes."""

    completes: ClassVar[bool] = True
    """Whether `sample` can keep known sub-pixels."""

    reconstruction_temperature: ClassVar[float] = 1.0
    """The temperature at which a sample is shown as the reconstruction of an image."""

    deterministic: ClassVar[bool] = False
    """Whether h alone makes the image, whatever the noise and the temperature."""

    engines: ClassVar[Mapping[str, Engine]] = {}
    """The sampling engines that the model has, by name, slowest first; "auto" takes the last that
    works where the model is (see `obstacle`)."""

    check_shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ((1, 5, 12), (3, 5, 12))
    """Image shapes to check the class on: wider than the first kernel reaches, so that a blind
    spot shows, and small, since the Jacobian is taken whole."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 0,
        levels: int = 256,
        *,
        h_shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        if len(image_shape) != 3 or image_shape[0] not in (1, 3) or min(image_shape) < 1:
            raise ValueError(
                f"image_shape is (C, H, W) with C = 1 or 3 and H, W ≥ 1, not {tuple(image_shape)}"
            )
        if h_dim < 0:
            raise ValueError(f"h_dim is 0 (unconditional) or more, not {h_dim}")
        if h_shape is not None and (min(h_shape, default=0) < 1 or h_dim not in (0, prod(h_shape))):
            raise ValueError(f"h_shape {tuple(h_shape)} has not the {h_dim} values of h_dim")
        if not 2 <= levels <= 256:
            raise ValueError(f"levels is 2…256, not {levels}")
        channels, height, width = image_shape
        self.image_shape = (channels, height, width)
        self.h_shape = (h_dim,) if h_shape is None else tuple(h_shape)
        self.h_dim = prod(self.h_shape)
        self.levels = levels

    def log_prob(
        self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None
    ) -> Tensor:
        """The natural logarithm of p(x|h), of shape (B,), for uint8 images x (B, C, H, W).

        `noise` (B, C, H, W), of the law `likelihood_noise`, is the whole randomness of a likelihood
        that has one, and is drawn from torch's global generator if None. By default it is the sum
        of `subpixel_log_prob`, and takes none. Raises ValueError for noise where the likelihood
        takes none, and NotImplementedError where a model has neither of the two.
        """
        self._likelihood_noise(x, noise)
        return self.subpixel_log_prob(x, h).flatten(1).sum(1)

    def subpixel_log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """The terms of log p(x|h), (B, C, H, W), for uint8 x (B, C, H, W); they sum to `log_prob`.

        Each sub-pixel's is given h and the sub-pixels before it, if the model has an order. Raises
        NotImplementedError where log p(x|h) is no such sum.
        """
        raise NotImplementedError(f"{type(self).__name__} has no likelihood of each sub-pixel")

    @property
    def has_subpixel_log_prob(self) -> bool:
        """Whether log p(x|h) is such a sum: whether the class implements `subpixel_log_prob`."""
        return type(self).subpixel_log_prob is not Decoder.subpixel_log_prob

    @property
    def likelihood_label(self) -> str:
        """What tables say of the model's bits: "exact" or "upper bound", and what makes it one."""
        if not self.is_bound:
            return "exact"
        return f"upper bound, {self.bound}" if self.bound else "upper bound"

    @property
    def nats_for_a_bit(self) -> float | None:
        """Nats an image for a bit/dim, of two levels, whose results are published so; else None."""
        return nats_for_a_bit(prod(self.image_shape), self.levels)

    @property
    def remark(self) -> str:
        """What a reader of the model's bits has to know besides, or nothing; no full stop."""
        return ""

    @property
    def values_per_image(self) -> int:
        """The most values that one image fills in any tensor of a likelihood: its logits."""
        return prod(self.image_shape) * self.levels

    def loss(self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None) -> Tensor:
        """What training minimises, a scalar, a mean over images: of bits/dim, of uint8 images x.

        x is (B, C, H, W), `noise` that of `log_prob`: training draws it for a whole batch, since on
        a CPU it may compute the loss in parts of one. Raises as `log_prob` does.
        """
        return bits_per_dim(self.log_prob(x, h, noise=noise), self.image_shape).mean()

    @property
    def has_preparation(self) -> bool:
        """Whether it initialises anything from data: whether the class implements `prepare`."""
        return type(self).prepare is not Decoder.prepare

    def prepare(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Initialise from batches (x, h) of training images what is to be; here, nothing.

        Called once, before the first step of a training that starts afresh, in training mode,
        without gradients and before any compilation; on the first of several processes, which
        get what it made. It draws no random number of training's, and what it makes are
        parameters and buffers that are saved with the weights.
        """

    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Fit what no gradient fits, from batches (x, h) of training images; here, nothing.

        Called before every validation.
        """

    def refitted(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> Mapping[str, Refit]:
        """Other likelihoods of the same network, fitted to batches of training images; none here.

        By names of `repr_toolkit.analyses.comparison.rows`, which shows what each is worth: a
        function that maps images x (B, C, H, W) and h to log p(x|h), (B,), and a remark.
        """
        return {}

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

        h of N rows gives n images for each of them (default 1), adjacent, B = N·n; without h,
        B = n. `noise` (B, C, H, W) is the whole randomness, of the law `sampling_noise` (uniforms
        in [0, 1), or normal), and is drawn from torch's global generator if None. By uniforms, a
        sub-pixel takes the smallest value v with CDF(v) > noise. `temperature` T renormalises each
        sub-pixel's probabilities to the power 1/T, where 0 takes the mode; of a model that takes
        normal noise it scales the noise. A T so small that the model's dtype has no normal number
        for it is 0. All engines give the same image for the same noise, exactly in float64 and, in
        float32, until a noise value lies within rounding of an edge of the CDF; "auto" is the
        fastest that works here, named with the reason in the log "repr_toolkit.sampling" at INFO.
        `progress` is called with the fraction that is done, from 0 to 1.

        `known` (uint8) and `mask` (bool, True = keep) come together, broadcast to (B, C, H, W), and
        complete an image: what is not known is drawn in the model's order of generation, each
        sub-pixel given those before it, known or drawn. Only where everything known comes first in
        that order is the result a draw from p(unknown | known). What is known further on changes
        nothing that is drawn before it: with the lower half known, the upper half is drawn as if
        nothing were, and the two need not fit.

        Raises ValueError for shapes or values that do not fit, an engine that is unknown or does
        not work here, h where there is none to take (and the reverse), something known where
        the model does not complete, or parameters that are not finite; TypeError for dtypes.
        """
        if engine != "auto":
            self.choose_engine(engine)  # before anything else is looked at
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
            noise = draw_noise(shape, self.sampling_noise, reference)
        else:
            check_noise(noise, shape, self.sampling_noise)
            noise = noise.to(reference)
        if (known is None) != (mask is None):
            raise ValueError("known and mask come together: the image, and True where to keep it")
        if known is not None and mask is not None:
            if not self.completes:
                raise ValueError(f"{type(self).__name__} cannot complete: it draws whole images")
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

        Raises ValueError for an engine that is unknown or does not work here, or for this draw, and
        where parameters that are not finite allow no level.
        """
        chosen = self.engines[self.choose_engine(engine, draw)]
        with evaluating(self), torch.inference_mode(), full_precision(draw.noise.device):
            x = chosen.sample(self, draw)
        draw.require_decided()
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
        if _free_to_look_at(x) and self.levels < 256 and x.numel() and x.max() >= self.levels:
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
        """Raise ValueError unless h is (batch, *h_shape), or the same flattened."""
        wanted = ", ".join(map(str, self.h_shape))
        if self.h_dim == 0 and h is not None:
            raise ValueError("this decoder is unconditional (h_dim=0) and takes no h")
        if self.h_dim > 0 and h is None:
            raise ValueError(f"this decoder needs h of shape (B, {wanted})")
        if h is not None and tuple(h.shape) not in (
            (batch, *self.h_shape),
            (batch, self.h_dim),
        ):
            raise ValueError(f"h of shape ({batch}, {wanted}) expected, not {tuple(h.shape)}")

    def _likelihood_noise(self, x: Tensor, noise: Tensor | None) -> Tensor | None:
        """The noise that `log_prob` takes for images x: what is given, checked, or else drawn."""
        law, like = self.likelihood_noise, next(self.parameters())
        if law is None:
            if noise is not None:
                raise ValueError(f"the likelihood of {type(self).__name__} takes no noise")
            return None
        if noise is None:
            return draw_noise(tuple(x.shape), law, like)
        check_noise(noise, tuple(x.shape), law, values=_free_to_look_at(noise))
        return noise.to(like)


def bits_per_dim(log_prob: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    """−log p / (C·H·W·ln 2): bits/dim from natural log-likelihoods of any shape.

    >>> bits_per_dim(torch.tensor([-64 * log(16)]), (1, 8, 8))
    tensor([4.])
    """
    return -log_prob / (prod(image_shape) * log(2))


def _free_to_look_at(values: Tensor) -> bool:
    """Whether a step that looks at values neither waits for an accelerator nor breaks a graph."""
    return values.device.type == "cpu" and not torch.compiler.is_compiling()


def _broadcast(name: str, value: Tensor, shape: tuple[int, ...]) -> Tensor:
    try:
        return value.expand(shape)
    except RuntimeError:
        raise ValueError(
            f"{name} of shape {tuple(value.shape)} does not broadcast to {shape}"
        ) from None
