"""An encoder that is trained alone, so that images of one person are near each other in h."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.utilities.distributed import gather_all_tensors

from repr_toolkit.decoders import full_precision
from repr_toolkit.models.learner import Learner
from repr_toolkit.models.micro_batches import Batch
from repr_toolkit.models.pairs import (
    FALSE_ACCEPT_RATES,
    MOST_PAIRS,
    fold_accuracies,
    make_pairs,
    nearest_neighbour,
    roc_auc,
    roc_curve,
    similarities,
    spread,
    true_accept_rate,
)

if TYPE_CHECKING:
    from repr_toolkit.encoders import Encoder
    from repr_toolkit.models.pairs import Floats

SPREAD = "val/spread"


class MetricLearner(Learner):
    """Any encoder that keeps its contract, and a loss of pytorch-metric-learning on its h.

    `loss(h, people, mined)` is the scalar that training minimises, over the triplets or pairs that
    `miner(h, people)` chooses; without a miner, over all. Both compare h by a distance of their
    own, which brings h to length 1 first unless it is told not to: nothing is normalised here.
    With several processes each compares its images with those of all, so the loss and its gradient
    are those of the whole batch.

    Who is in an image is the batch's `identity`, or its `label` where there is none.

    A validation measures by the cosine of h: val/auc, val/one_nn and, with images enough,
    val/accuracy, val/tar_at_0.01 and val/tar_at_0.001 (see `models.pairs`), and val/spread, one
    minus the mean cosine of two different images. `fitting` are the keyword arguments of
    `Learner`; what `compile` compiles is the encoder.
    """

    encoder: "Encoder"

    def __init__(
        self, encoder: "Encoder", loss: nn.Module, miner: nn.Module | None, **fitting: Any
    ) -> None:
        super().__init__(**fitting)
        self.encoder = encoder
        self.loss = loss
        self.miner = miner
        self.lay_out()
        mined = "all triplets or pairs"
        if miner is not None:
            kind = getattr(miner, "type_of_triplets", None)
            mined = type(miner).__name__ + (f" ({kind})" if kind else "")
        name = f"{type(encoder).__name__} → h ({encoder.h_dim})"
        self.description = f"{name} by {type(loss).__name__} of {mined}"
        self.facts = {"h_dim": encoder.h_dim}
        self._validated: list[tuple[Tensor, Tensor]] = []
        self.validation_curve: tuple[Floats, Floats] | None = None
        """False and true accept rates on the validation images at the last validation."""

    def encoded(self, batch: Batch) -> Tensor:
        """h of a batch, (B, h_dim), with gradients."""
        x = batch[self.encoder.source]
        return self.encoder(self.laid_out(x) if x.ndim == 4 else x).flatten(1)

    def core(self, batch: Batch) -> Tensor:
        """h of a training batch."""
        return self.encoded(batch)

    def training_step(self, batch: Batch) -> Tensor:
        h, people = self.compiled_core(batch), people_in(batch)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            h, people = self._whole_batch(h, people)
        loss: Tensor = self.loss(h, people, self.miner and self.miner(h, people))
        return loss

    def _whole_batch(self, h: Tensor, people: Tensor) -> tuple[Tensor, Tensor]:
        """h and people of all processes; a gradient reaches this process's h alone."""
        every_h, every_people = _gathered(h.detach()), _gathered(people)
        # All processes compute the same loss, each with the gradient of its own h. The gradient is
        # their sum, but DDP takes their mean.
        h.register_hook(lambda gradient: gradient * len(every_h))
        every_h[torch.distributed.get_rank()] = h
        return torch.cat(every_h), torch.cat(every_people)

    def validation_step(self, batch: Batch) -> None:
        with full_precision(self.device):
            self._validated.append((self.encoded(batch), people_in(batch)))

    def on_validation_epoch_end(self) -> None:
        """Verification on the validation images of all processes."""
        h, people = (torch.cat(parts) for parts in zip(*self._validated, strict=True))
        self._validated.clear()
        if self.trainer.world_size > 1:
            h = torch.cat(gather_all_tensors(h))
            people = torch.cat(gather_all_tensors(people))
        self.measure(h.float().cpu().numpy(), people.cpu().numpy())

    def measure(self, h: "Floats", people: Any, *, most_pairs: int = MOST_PAIRS // 4) -> None:
        """Set `validation_results` and the curve from representations (N, d) of people (N,).

        Where h is not finite every result is NaN.
        """
        finite = bool(np.isfinite(h).all())
        h = h if finite else np.zeros_like(h)  # to know which results there would be
        pairs = make_pairs(people, most_pairs=most_pairs)
        scores = similarities(h, pairs)
        hits, _ = nearest_neighbour(h, people)
        accuracies, _ = fold_accuracies(scores, pairs, people)
        results = {
            "val/auc": roc_auc(scores, pairs.same),
            "val/accuracy": None if accuracies is None else float(accuracies.mean()),
            **{
                f"val/tar_at_{far:g}": true_accept_rate(scores, pairs.same, far)
                for far in FALSE_ACCEPT_RATES
            },
            "val/one_nn": float(hits.mean()),
            SPREAD: spread(h),
        }
        self.validation_results = {
            name: value if finite else float("nan")
            for name, value in results.items()
            if value is not None
        }
        self.validation_curve = roc_curve(scores, pairs.same) if finite else None


def people_in(batch: Mapping[str, Tensor]) -> Tensor:
    """The people of a batch, int64 (B,): its `identity`, or else its `label`.

    Raises KeyError for a batch with neither.
    """
    return batch["identity"] if "identity" in batch else batch["label"]


def _gathered(tensor: Tensor) -> list[Tensor]:
    """The tensors of all processes by rank, all of one shape, without waiting for the device."""
    tensors = [torch.empty_like(tensor) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(tensors, tensor.contiguous())
    return tensors
