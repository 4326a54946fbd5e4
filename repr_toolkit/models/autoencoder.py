"""An encoder and a decoder as one model: h = encoder(batch[source]), log p(x|h), its training."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from repr_toolkit.decoders import Decoder, bits_per_dim, full_precision
from repr_toolkit.decoders.noise import likelihood_noise
from repr_toolkit.models.learner import Batch, Learner

if TYPE_CHECKING:
    from repr_toolkit.encoders import Encoder


class EncoderDecoder(Learner):
    """Any encoder and any decoder that keep their contracts, trained together.

    The encoder is a module with `source` (the key of a batch that it reads), `h_dim`, and
    forward(x) → h, float32 (B, h_dim); None makes the model unconditional. The decoder has
    `log_prob(x, h)` and `loss(x, h)`, the scalar that training minimises. Weights stay in
    float32; whatever the precision of training, `log_prob` is computed in float32.

    `fitting` are the keyword arguments of `Learner`.
    """

    def __init__(self, encoder: "Encoder | None", decoder: Decoder, **fitting: Any) -> None:
        super().__init__(**fitting)
        self.encoder = encoder
        self.decoder = decoder
        self.lay_out()
        self._code_lengths: list[Tensor] = []

    @property
    def description(self) -> str:
        """What is trained, in a few words."""
        encoder = "no encoder" if self.encoder is None else type(self.encoder).__name__
        return f"{encoder} → h ({self.decoder.h_dim}) → {type(self.decoder).__name__}"

    @property
    def facts(self) -> dict[str, Any]:
        """What model.json says of the kind of model."""
        return {"is_bound": bool(self.decoder.is_bound), "h_dim": self.decoder.h_dim}

    def log_prob(
        self, batch: Batch, h: Tensor | None = None, noise: Tensor | None = None
    ) -> Tensor:
        """log p(x|h) in nats, (B,), in float32; h is the batch's own code where none is given.

        `noise` is what a stochastic likelihood takes.
        """
        with full_precision(self.device):
            if h is None:
                h = self.encode(batch)
            return self.decoder.log_prob(self.laid_out(batch["image"]), h, noise=noise)

    def bits_per_dim(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        """Bits/dim of each image of a batch given its own h, (B,)."""
        return bits_per_dim(self.log_prob(batch, noise=noise), self.decoder.image_shape)

    @property
    def has_preparation(self) -> bool:
        """Whether the decoder initialises anything from data."""
        return type(self.decoder).prepare is not Decoder.prepare

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Initialise from training images what the decoder initialises from data.

        h is the untrained encoder's, in eval mode; the decoder is in training mode. In float32 and
        without gradients.
        """
        training = self.training
        self.eval()
        self.decoder.train()
        with torch.no_grad(), full_precision(self.device):
            pairs = ((self.laid_out(batch["image"]), self.encode(batch)) for batch in batches)
            self.decoder.prepare(pairs)
        self.train(training)

    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Fit what no gradient fits (such as the MSE baseline's σ) from training images.

        In eval mode, in float32 and without gradients.
        """
        training = self.training
        self.eval()
        with torch.no_grad(), full_precision(self.device):
            pairs = ((self.laid_out(batch["image"]), self.encode(batch)) for batch in batches)
            self.decoder.calibrate(pairs)
        self.train(training)

    def training_step(self, batch: Batch) -> Tensor:
        return self.compiled_core(batch)

    def core(self, batch: Batch) -> Tensor:
        """The training loss of a batch."""
        return self.decoder.loss(self.laid_out(batch["image"]), self.encode(batch))

    def validation_step(self, batch: Batch) -> None:
        # Noise by the image's place, and none of it from training's random numbers.
        start, world = sum(map(len, self._code_lengths)), self.trainer.world_size
        places = range(start, start + len(batch["image"]))
        numbers = [self.trainer.global_rank + world * place for place in places]
        noise = likelihood_noise(self.decoder, numbers)
        self._code_lengths.append(self.bits_per_dim(batch, noise))

    def on_validation_epoch_end(self) -> None:
        """The exact mean over all validation images of all devices, accumulated in float64."""
        bits = torch.cat(self._code_lengths).cpu().double()
        self._code_lengths.clear()
        total = torch.stack([bits.sum(), torch.tensor(float(len(bits)), dtype=torch.float64)])
        if self.trainer.world_size > 1:
            total = self.trainer.strategy.reduce(total.to(self.device), reduce_op="sum").cpu()
        self.validation_results = {"val/bits_per_dim": float(total[0] / total[1])}
