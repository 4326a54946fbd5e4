"""The base of every trained model: encoder, optimizer, schedule, memory layout."""

from collections.abc import Callable
from math import cos, pi
from typing import TYPE_CHECKING, Any, Literal

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from repr_toolkit.config.optimizer import OptimizerFactory
from repr_toolkit.models.micro_batches import Batch, MicroBatches, impurity
from repr_toolkit.support.console import say

if TYPE_CHECKING:
    from repr_toolkit.encoders import Encoder


class Learner(LightningModule):
    """An encoder, or none, and how all weights are trained on one scalar loss.

    `optimizer` makes an optimizer from the named parameters. Its learning rates rise linearly over
    the first `warmup` of all `steps` and then follow the `schedule`. `compile` applies
    torch.compile to `core`. `channels_last` chooses that memory layout for weights and, by
    `laid_out`, images. With a `micro_batch`, for a CPU, a training step computes so many images of
    a batch at a time, on one of `threads` threads each, and no operation is shared by threads; a
    loss with `models.micro_batches.impurity` takes the whole batch, and says so. Where they are
    computed `in_turn`, on any device, one part follows another, whatever the loss.

    A subclass registers its modules, calls `lay_out`, and sets `description` and `facts`. Its
    training step calls `compiled_core`, and each validation sets `validation_results`.
    """

    encoder: "Encoder | None"
    description: str
    """The model in a few words."""
    facts: dict[str, Any]
    """The entries of model.json that depend on the kind of model."""
    validation_results: dict[str, float]
    """The last validation's numbers by name, such as val/bits_per_dim."""
    step_taken: Tensor
    """Whether the last step moved the weights: bool (), on their device."""

    def __init__(
        self,
        *,
        optimizer: OptimizerFactory = Adam,
        schedule: Literal["constant", "cosine"] = "constant",
        warmup: int = 0,
        steps: int = 1000,
        compile: bool = False,
        channels_last: bool = False,
        micro_batch: int | None = None,
        threads: int = 1,
        in_turn: bool = False,
    ) -> None:
        super().__init__()
        self._optimizer = optimizer
        self._schedule = schedule
        self._warmup = warmup
        self._steps = steps
        self._compile = compile
        self._micro_batch = micro_batch
        self._threads = threads
        self._in_turn = in_turn
        self._in_parts = micro_batch is not None and not in_turn
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self.validation_results = {}
        self.step_taken = torch.tensor(True)
        self.compiled_core: Callable[[Batch], Tensor] = self.core
        """`core`, compiled during training if `compile` is True."""
        self._parts: MicroBatches | None = None

    def core(self, batch: Batch) -> Tensor:
        """The part of a training step that torch.compile compiles, a function of the batch."""
        raise NotImplementedError

    def encode(self, batch: Batch | Tensor) -> Tensor | None:
        """h of a batch, flattened to (B, h_dim), without gradients; None without an encoder.

        A tensor alone is what the encoder reads, such as images.
        """
        if isinstance(batch, Tensor):
            batch = {"image" if self.encoder is None else self.encoder.source: batch}
        with torch.no_grad():
            return self.encoded(batch)

    def encoded(self, batch: Batch) -> Tensor | None:
        """As `encode`, for training: with gradients."""
        if self.encoder is None:
            return None
        return self.encoder(batch[self.encoder.source]).flatten(1)

    @property
    def coded(self) -> "Learner":
        """The model whose h is the code of images: this one."""
        return self

    def lay_out(self) -> None:
        """Bring the weights of all registered modules into the chosen memory layout."""
        # Masks keep theirs: distributed training cannot broadcast a buffer in another layout.
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=self._layout)

    def laid_out(self, image: Tensor) -> Tensor:
        """An image batch in the chosen memory layout."""
        return image.contiguous(memory_format=self._layout)

    def make_optimizer(self) -> Optimizer:
        """The optimizer of all trainable parameters; ValueError where their groups cannot be."""
        return self._optimizer([(n, p) for n, p in self.named_parameters() if p.requires_grad])

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        schedule, warmup, steps = self._schedule, self._warmup, self._steps

        def factor(step: int) -> float:
            """The factor of the learning rate at a step, counted from 0."""
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
        """Clip the gradients, and skip the step unless all of them are finite.

        A step that is skipped changes neither weights nor the optimizer's state, but it is a step:
        the schedule goes on, and the average of the weights takes the unchanged ones in again.
        """
        norm = nn.utils.get_total_norm([p.grad for p in self.parameters() if p.grad is not None])
        self.step_taken = norm.isfinite()
        # Lightning refuses to clip for fused optimizers because of loss scalers; without a scaler
        # clipping is sound. A scaler skips by itself, and then scales less.
        if getattr(self.trainer.precision_plugin, "scaler", None) is not None:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        if gradient_clip_val and gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(self.parameters(), gradient_clip_val)
        elif gradient_clip_val:
            nn.utils.clip_grads_with_norm_(self.parameters(), gradient_clip_val, norm)
        if skips_on_device(optimizer):
            skipping: Any = optimizer
            skipping.found_inf = (~self.step_taken).float()
        elif not bool(self.step_taken):  # for which the host waits
            for parameter in self.parameters():
                parameter.grad = None

    def on_fit_start(self) -> None:
        if self._compile:
            self.compiled_core = torch.compile(self.core, dynamic=False)

    def training_loss(self, batch: Batch) -> Tensor:
        """`compiled_core` of a batch, in parts if there is a `micro_batch`."""
        if self._in_parts and self._parts is None:
            why = impurity(self.core, self, batch)
            self._in_parts = not why
            if why:
                torch.set_num_threads(self._threads)
                say(f"  the loss {why}: training.micro_batch is not used, threads share operations")
        if not (self._in_parts or self._in_turn) or self._micro_batch is None:
            return self.compiled_core(batch)
        if self._parts is None:
            parameters = [p for p in self.parameters() if p.requires_grad]
            threads = 0 if self._in_turn else self._threads
            self._parts = MicroBatches(self.compiled_core, parameters, self._micro_batch, threads)
        return self._parts(batch)

    def on_train_start(self) -> None:
        self.on_train_epoch_start()  # which a resume within an epoch has no more

    def on_train_epoch_start(self) -> None:
        if self._in_parts:
            torch.set_num_threads(1)

    def on_validation_start(self) -> None:
        if self._in_parts:
            torch.set_num_threads(self._threads)

    def stop_threads(self) -> None:
        """End the threads of a training that ended, by success or an error."""
        if self._parts is not None:
            self._parts.close()
            self._parts = None

    def on_fit_end(self) -> None:
        if self._compile:
            self.compiled_core = self.core
            torch.compiler.reset()  # the next model in this process starts with an empty cache


def skips_on_device(optimizer: Optimizer) -> bool:
    """Whether the optimizer's next step changes nothing where its `found_inf`, a tensor, is 1.

    So do torch's fused optimizers and `training.muon.Muon`. Fused SGD makes its momenta in the
    first step, and would leave them unwritten if it skipped that one.
    """
    if isinstance(optimizer, SGD) and any(
        group["momentum"] and optimizer.state.get(p, {}).get("momentum_buffer") is None
        for group in optimizer.param_groups
        for p in group["params"]
        if p.grad is not None
    ):
        return False
    return hasattr(optimizer, "found_inf") or getattr(
        optimizer, "_step_supports_amp_scaling", False
    )
