"""An encoder and a decoder as one model: h = encoder(batch[source]), log p(x|h) and the loss."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from repr_toolkit.decoders import Decoder, Flow, bits_per_dim, full_precision
from repr_toolkit.decoders.noise import draw_noise, likelihood_noise
from repr_toolkit.decoders.precision import evaluating, keeping_modes
from repr_toolkit.models.code import FlowCode, FlowImages
from repr_toolkit.models.learner import Learner
from repr_toolkit.models.micro_batches import Batch
from repr_toolkit.models.side_by_side import side_by_side

if TYPE_CHECKING:
    from repr_toolkit.encoders import Encoder

NOISE = "noise of the likelihood"
"""The key of a training batch's noise (B, C, H, W); no array of a data set has this name."""

Pair = tuple[Tensor, Tensor | None]
"""Images x, uint8 (B, C, H, W), and their h (B, h_dim), or None."""


class EncoderDecoder(Learner):
    """An encoder (see `repr_toolkit.encoders.Encoder`) and a decoder, trained together.

    Without an encoder the model is unconditional. Training minimises the decoder's `loss(x, h)`.
    Weights are float32, and `log_prob` is computed in float32 whatever the precision of training.
    `fitting` are the keyword arguments of `Learner`.
    """

    def __init__(self, encoder: "Encoder | None", decoder: Decoder, **fitting: Any) -> None:
        super().__init__(**fitting)
        self.encoder = encoder
        self.decoder = decoder
        self.lay_out()
        name = "no encoder" if encoder is None else type(encoder).__name__
        self.description = f"{name} → h ({decoder.h_dim}) → {type(decoder).__name__}"
        self.facts = {"likelihood": decoder.likelihood_label, "h_dim": decoder.h_dim}
        self._bits: list[Tensor] = []

    @property
    def coded(self) -> "EncoderDecoder":
        """The model whose h is the code of images, and whose decoder draws from it: this one.

        Of a flow without encoder it is z = f(x) as h, and the image of z as what is drawn: a view
        of the flow, whose device, mode and memory layout stay as they are.
        """
        return self if self._view is None else self._view

    @cached_property
    def _view(self) -> "EncoderDecoder | None":
        """The view that `coded` is; no module of this one, and so in no state and no checkpoint."""
        flow = self.decoder
        return FlowView(flow) if self.encoder is None and isinstance(flow, Flow) else None

    def code(self, batch: Batch | Tensor) -> Tensor | None:
        """The code of a batch, (B, d): h, or a flow's z where there is no encoder.

        None where there is neither.
        """
        return self.coded.encode(batch)

    def log_prob(
        self, batch: Batch, h: Tensor | None = None, noise: Tensor | None = None
    ) -> Tensor:
        """log p(x|h) in nats, float32 (B,); h (B, h_dim) is the batch's own if None.

        `noise` (B, C, H, W) is that of a stochastic likelihood, as in `Decoder.log_prob`.
        """
        with full_precision(self.device):
            if h is None:
                h = self.encoded(batch)
            return self.decoder.log_prob(self.laid_out(batch["image"]), h, noise=noise)

    def bits_per_dim(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        """Bits/dim of each image of a batch given its own h, float32 (B,).

        With a `micro_batch` the batch is measured in such parts, side by side, without gradients.
        """
        return bits_per_dim(self._log_prob_in_parts(batch, noise), self.decoder.image_shape)

    def _log_prob_in_parts(self, batch: Batch, noise: Tensor | None) -> Tensor:
        size = self._micro_batch
        if size is None or not self._in_parts:
            return self.log_prob(batch, noise=noise)

        def measured(start: int) -> Tensor:
            rows = slice(start, start + size)
            part = {key: value[rows] for key, value in batch.items()}
            return self.log_prob(part, noise=None if noise is None else noise[rows])

        with full_precision(self.device):  # a setting of the process, which its threads share
            starts = range(0, len(batch["image"]), size)
            return torch.cat([*side_by_side(measured, starts, self.device)])

    @property
    def has_preparation(self) -> bool:
        """Whether the decoder initialises anything from data."""
        return self.decoder.has_preparation

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Initialise the decoder from training images, by `Decoder.prepare`.

        The encoder, as it is before the first step, is in eval mode, the decoder in training mode.
        """
        self._with_pairs(self.decoder.prepare, batches, training=True)

    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Fit what no gradient fits, such as the MSE baseline's σ, by `Decoder.calibrate`."""
        self._with_pairs(self.decoder.calibrate, batches, training=False)

    def _with_pairs(
        self, method: Callable[[Iterator[Pair]], None], batches: Iterable[Batch], *, training: bool
    ) -> None:
        """Give a method of the decoder pairs (x, h), in float32 and without gradients.

        The encoder is in eval mode, the decoder in training mode if `training`.
        """
        with evaluating(self), keeping_modes(self.decoder):
            self.decoder.train(training)
            with torch.no_grad(), full_precision(self.device):
                method((self.laid_out(batch["image"]), self.encode(batch)) for batch in batches)

    def training_step(self, batch: Batch) -> Tensor:
        law = self.decoder.likelihood_noise
        if law is not None:  # of the whole batch at once, since parts of it may run side by side
            like = next(self.decoder.parameters())
            batch = {**batch, NOISE: draw_noise(tuple(batch["image"].shape), law, like)}
        return self.training_loss(batch)

    def core(self, batch: Batch) -> Tensor:
        """The training loss of a batch, which has the noise of a stochastic likelihood."""
        given = {"noise": batch[NOISE]} if NOISE in batch else {}
        return self.decoder.loss(self.laid_out(batch["image"]), self.encoded(batch), **given)

    def validation_step(self, batch: Batch) -> None:
        # The image's number decides its noise, and training's random numbers stay as they are.
        start, world = sum(map(len, self._bits)), self.trainer.world_size
        places = range(start, start + len(batch["image"]))
        numbers = [self.trainer.global_rank + world * place for place in places]
        self._bits.append(self.bits_per_dim(batch, likelihood_noise(self.decoder, numbers)))

    def on_validation_epoch_end(self) -> None:
        """The exact mean over all validation images of all devices, accumulated in float64."""
        bits = torch.cat(self._bits).cpu().double()
        self._bits.clear()
        total = torch.stack([bits.sum(), torch.tensor(float(len(bits)), dtype=torch.float64)])
        if self.trainer.world_size > 1:
            total = self.trainer.strategy.reduce(total.to(self.device), reduce_op="sum").cpu()
        self.validation_results = {"val/bits_per_dim": float(total[0] / total[1])}


class FlowView(EncoderDecoder):
    """An unconditional flow as an encoder of z and a decoder of it.

    z and its image are made in eval mode whatever the flow's mode, so that these are, too.
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__(FlowCode(flow), FlowImages(flow))
        for module in (self, self.encoder, self.decoder):
            cast("nn.Module", module).training = False

    def lay_out(self) -> None:
        """Nothing: the flow's weights stay as they lie."""

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device
