"""An encoder and a decoder as one model: h = encoder(batch[source]), log p(x|h), its training."""

from collections.abc import Iterable, Mapping
from math import cos, log, pi, prod
from typing import TYPE_CHECKING, Any, Literal

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from repr_toolkit.build import OptimizerFactory
from repr_toolkit.decoders import full_precision

if TYPE_CHECKING:
    from repr_toolkit.decoders import Decoder
    from repr_toolkit.encoders import Encoder

Batch = Mapping[str, Tensor]
"""One batch: `image`, uint8 (B, C, H, W) with values 0…levels−1, and the data's other keys."""


class EncoderDecoder(LightningModule):
    """Any encoder and any decoder that keep their contracts, trained together.

    The encoder is a module with `source` (the key of a batch that it reads), `h_dim`, and
    forward(x) → h, float32 (B, h_dim); None makes the model unconditional. The decoder has
    `log_prob(x, h)` and `loss(x, h)`, the scalar that training minimises. Weights stay in
    float32; whatever the precision of training, `log_prob` is computed in float32.

    `optimizer` makes an optimizer from the parameters. Its learning rate rises linearly over
    the first `warmup` of all `steps`, and then follows the `schedule`. `compile` applies
    torch.compile to the training loss, `channels_last` lays out weights and images for
    convolutions.
    """

    def __init__(
        self,
        encoder: "Encoder | None",
        decoder: "Decoder",
        *,
        optimizer: OptimizerFactory = Adam,
        schedule: Literal["constant", "cosine"] = "constant",
        warmup: int = 0,
        steps: int = 1000,
        compile: bool = False,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self._optimizer = optimizer
        self._schedule = schedule
        self._warmup = warmup
        self._steps = steps
        self._compile = compile
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        # The weights alone: distributed training cannot broadcast a mask that was laid out anew.
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=self._layout)
        self._training_loss = self._loss
        self._code_lengths: list[Tensor] = []
        self.validation_bits_per_dim = float("nan")
        """Mean bits/dim of the validation images at the last validation."""

    def encode(self, batch: Batch) -> Tensor | None:
        """h of a batch, (B, h_dim), or None for an unconditional model."""
        if self.encoder is None:
            return None
        return self.encoder(batch[self.encoder.source])

    def log_prob(self, batch: Batch, h: Tensor | None = None) -> Tensor:
        """log p(x|h) in nats, (B,), in float32; h is the batch's own code where none is given."""
        with full_precision(self.device):
            if h is None:
                h = self.encode(batch)
            return self.decoder.log_prob(self._image(batch), h)

    def bits_per_dim(self, batch: Batch) -> Tensor:
        """Bits/dim of each image of a batch given its own h, (B,)."""
        image_shape = batch["image"].shape[1:]
        return -self.log_prob(batch) / (prod(image_shape) * log(2))

    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Fit what no gradient fits (such as the MSE baseline's σ) from training images.

        In eval mode, in float32 and without gradients.
        """
        training = self.training
        self.eval()
        with torch.no_grad(), full_precision(self.device):
            pairs = ((self._image(batch), self.encode(batch)) for batch in batches)
            self.decoder.calibrate(pairs)
        self.train(training)

    def training_step(self, batch: Batch) -> Tensor:
        return self._training_loss(batch)

    def validation_step(self, batch: Batch) -> None:
        self._code_lengths.append(self.bits_per_dim(batch))

    def on_validation_epoch_end(self) -> None:
        """The exact mean over all validation images of all devices, accumulated in float64."""
        bits = torch.cat(self._code_lengths).cpu().double()
        self._code_lengths.clear()
        total = torch.stack([bits.sum(), torch.tensor(float(len(bits)), dtype=torch.float64)])
        if self.trainer.world_size > 1:
            total = self.trainer.strategy.reduce(total.to(self.device), reduce_op="sum").cpu()
        self.validation_bits_per_dim = float(total[0] / total[1])

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer([p for p in self.parameters() if p.requires_grad])
        schedule, warmup, steps = self._schedule, self._warmup, self._steps

        def factor(step: int) -> float:
            """What the learning rate is multiplied by at a step, counted from 0."""
            if step < warmup:
                return (step + 1) / (warmup + 1)
            if schedule == "constant":
                return 1.0
            return 0.5 * (1 + cos(pi * (step - warmup) / max(1, steps - warmup)))

        scheduler = {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # Lightning refuses to clip for fused optimizers, for the sake of a loss scaler; without
        # one there is nothing against it.
        if getattr(self.trainer.precision_plugin, "scaler", None) is not None:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val and gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(self.parameters(), gradient_clip_val)
        elif gradient_clip_val:
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def on_fit_start(self) -> None:
        if self._compile:
            self._training_loss = torch.compile(self._loss, dynamic=False)

    def on_fit_end(self) -> None:
        if self._compile:
            self._training_loss = self._loss
            torch.compiler.reset()  # the next model in this process starts with an empty cache

    def _loss(self, batch: Batch) -> Tensor:
        return self.decoder.loss(self._image(batch), self.encode(batch))

    def _image(self, batch: Batch) -> Tensor:
        return batch["image"].contiguous(memory_format=self._layout)
