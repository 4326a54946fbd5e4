"""The best validation: its weights, a warning when validation gets worse, and an early end."""

from collections.abc import Mapping
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from repr_toolkit.support.console import say
from repr_toolkit.training.averaging import ExponentialAverage
from repr_toolkit.training.validation import Results

JUDGES = {"val/bits_per_dim": -1, "val/auc": 1}
"""What judges a validation of a decoder, and of an encoder alone: −1 where less is better."""
IN_A_ROW = 3
"""Validations after the best one, none of them better, of which a training tells."""
NOTABLE = 0.005
"""The smallest change of the last validation, as a share of the best, that is told by itself."""


class Best(Callback):
    """Knows the best validation so far, and ends training after `patience` without a better one.

    With `keeps` it has the weights of that validation too, as it measured them: averaged, and with
    what calibration fitted. All of it is part of every checkpoint. It tells of a validation that
    gets worse: `IN_A_ROW` times, or notably at the end. It comes after `validation` and `average`.

    Attributes:
        results: The numbers of the best validation, by name.
        step: Its step; 0 before the first.
        count: The number of validations so far.
        weights: Its weights on the CPU, on the first process, if `keeps`.
        ended: Whether training ends before its last step.
    """

    def __init__(
        self,
        validation: Results,
        average: ExponentialAverage | None,
        steps: int,
        *,
        keeps: bool,
        patience: int | None,
    ) -> None:
        self._validation, self._average, self._steps = validation, average, steps
        self._keeps, self._patience = keeps, patience
        self._worse = 0
        self.step = self.count = 0
        self.results: dict[str, float] = {}
        self.weights: dict[str, Any] = {}

    @property
    def ended(self) -> bool:
        return self._patience is not None and self._worse >= self._patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop |= self.ended  # where a run is resumed after its end

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        results = self._validation.results
        judge = next(name for name in JUDGES if name in results)
        self.count += 1
        gain = JUDGES[judge] * (results[judge] - self.results[judge]) if self.results else 1.0
        if gain > 0:
            self._worse, self.step, self.results = 0, trainer.global_step, dict(results)
            if self._keeps and trainer.is_global_zero:
                validated = self._average.averaged() if self._average else pl_module
                state = validated.state_dict()
                self.weights = {name: value.cpu().clone() for name, value in state.items()}
            return
        self._worse += 1
        trainer.should_stop |= self.ended
        last = self.ended or trainer.global_step >= self._steps
        at_the_end = last and notable(judge, self.results[judge], results[judge])
        if self._worse == IN_A_ROW or (at_the_end and self._worse < IN_A_ROW):
            say(f"  {worsening(judge, self.step, self.results, trainer.global_step, results)}")
            if not self._keeps:
                say(f"  train for {self.step} steps, or set training.weights best")
        if self.ended:
            count = f"{self._worse} validation{'s' if self._worse > 1 else ''}"
            say(f"  training ends: {count} without a better one")

    def state_dict(self) -> dict[str, Any]:
        names = ("step", "count", "results", "weights")
        return {"worse": self._worse, **{name: getattr(self, name) for name in names}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._worse = state_dict["worse"]
        self.step, self.count = state_dict["step"], state_dict["count"]
        self.results, self.weights = state_dict["results"], state_dict["weights"]


def best_step(judge: str, curve: Mapping[int, float]) -> int:
    """The first step of the best value of a judge, by step."""
    return min(curve, key=lambda step: -JUDGES[judge] * curve[step])


def notable(judge: str, best: float, last: float) -> bool:
    """Whether the last value of a judge is worse than the best one by what is worth telling."""
    return JUDGES[judge] * (best - last) > NOTABLE * abs(best)


def worsening(
    judge: str, step: int, best: Mapping[str, float], now: int, results: Mapping[str, float]
) -> str:
    """How a validation is worse than the best one before it, in words."""
    way, trained = "rose" if JUDGES[judge] < 0 else "fell", "train/bits_per_dim"
    by_heart = trained in best and results[trained] < best[trained]
    return (
        f"{judge} {way} from {best[judge]:.4f} at step {step} to {results[judge]:.4f} at step {now}"
        + (": the model learns its training images by heart" if by_heart else "")
    )
