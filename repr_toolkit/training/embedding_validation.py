"""Validations of an encoder that is trained alone: their numbers, the ROC, and a collapse."""

import torch
from lightning import LightningModule, Trainer

from repr_toolkit.data import ImageData
from repr_toolkit.data.identity_batches import identity_key, people_trained_on
from repr_toolkit.decoders import full_precision
from repr_toolkit.decoders.precision import evaluating
from repr_toolkit.models.metric import SPREAD, MetricLearner
from repr_toolkit.models.pairs import make_pairs, spread
from repr_toolkit.runs.run import Run
from repr_toolkit.support.choose import choose_evenly
from repr_toolkit.support.console import say
from repr_toolkit.training.monitor import what_is_kept
from repr_toolkit.training.validation import Results, log_picture

COLLAPSED = 1e-4  # spread of h; vectors of length 1 are then 0.014 apart, little of any margin
IMAGES_AT_START = 256  # of which the spread before training is measured


class Collapse(FloatingPointError):
    """The encoder gives every image practically the same h, and will not recover."""


class EmbeddingValidation(Results):
    """Logs what MetricLearner measures, draws the ROC, and stops a run that has collapsed.

    A run has collapsed if the spread of h is below `COLLAPSED` and has not doubled since the last
    validation, or since training began. `results` holds the last numbers, by the names that
    MetricLearner gives them. A line says so where people are in both training and validation.

    Raises ValueError for data that do not say who is in an image, and for validation images
    without a pair of one person, or of two people.
    """

    def __init__(self, run: Run, data: ImageData, *, draws: bool) -> None:
        super().__init__()
        people = data.splits["val"].column(identity_key(data)).numpy()
        try:
            make_pairs(people, most_pairs=1)
        except ValueError as error:
            raise ValueError(f"{data.name}, val: {error}") from error
        self._run = run
        self._images = data.splits["val"]
        self._draws = draws
        self._first_spread = 0.0
        self._trained_on = people_trained_on(data, "val")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, MetricLearner)
        if self._trained_on:
            say(
                f"  {self._trained_on} of the people to validate are trained on too, so that the "
                f"results are not of people never seen; data.fold 0 splits by person"
            )
        if SPREAD in self.results:
            return
        batch = self._images[choose_evenly(len(self._images), IMAGES_AT_START)]
        with evaluating(pl_module), torch.no_grad(), full_precision(pl_module.device):
            h = pl_module.encoded({k: value.to(pl_module.device) for k, value in batch.items()})
        self._first_spread = spread(h.float().cpu().numpy())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, MetricLearner)
        former = self.results.get(SPREAD, self._first_spread)
        super().on_validation_end(trainer, pl_module)
        now = self.results[SPREAD]
        if now < COLLAPSED and now < 2 * former:
            raise Collapse(
                f"after step {trainer.global_step} the embeddings of the validation images are "
                f"practically equal (their spread is {now:.1e}): the run has collapsed; "
                f"{what_is_kept(self._run)}. A smaller learning rate, a larger margin, an easier "
                f"miner (semihard instead of hard) or more identities in a batch usually helps"
            )
        curve = pl_module.validation_curve
        if self._draws and curve is not None and trainer.is_global_zero:
            from repr_toolkit.support.roc import Line, roc_picture

            label = f"h, AUC {self.results['val/auc']:.3f}"
            log_picture(trainer, self._run, roc_picture([Line(label, [curve])]), "roc")
