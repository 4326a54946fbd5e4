"""The exponential moving average of the weights, used for validation and saved as the result."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from repr_toolkit.support.signals import Stopped


class ExponentialAverage(WeightAveraging):
    """Sets ema ← d·ema + (1−d)·weights after each step, with d = min(decay, (1+n)/(10+n)).

    n is the number of steps so far. The small d of the first steps makes the random initial weights
    fade from a short run too. Buffers are not averaged. Validation runs on the average, a
    checkpoint holds both, and training ends with the average in the model.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=False, multi_avg_fn=self._average)
        self._decay = decay

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            # The model is still on the CPU here; its average belongs where the model will be.
            self._device = trainer.strategy.root_device
            super().setup(trainer, pl_module, stage)
            assert self._average_model is not None
            # The host reads the count at every step, and would wait for a GPU each time.
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        # A checkpoint is written of this moment: the model gets the weights in training back.
        if isinstance(exception, Stopped) and trainer.validating:
            self._swap_models(pl_module)

    def averaged(self) -> LightningModule:
        """The model with the averaged weights."""
        assert self._average_model is not None
        module = self._average_model.module
        assert isinstance(module, LightningModule)
        return module

    def _average(
        self, averaged: tuple[Tensor, ...], current: tuple[Tensor, ...], count: Tensor | int
    ) -> None:
        n = self._latest_update_step
        decay = min(self._decay, (1 + n) / (10 + n))
        get_ema_multi_avg_fn(decay)(averaged, current, count)
