"""Callbacks as a user might write them."""

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer


class Counting(Callback):
    """Counts steps through all resumes, and writes each count into a file."""

    def __init__(self, journal: str, stop_at: int | None = None) -> None:
        self._journal, self._stop_at = Path(journal), stop_at
        self.count = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.count += 1
        with self._journal.open("a") as file:
            print(self.count, trainer.global_step, file=file)
        trainer.should_stop |= trainer.global_step == self._stop_at

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.count = state_dict["count"]


class Unreadable(Callback):
    """Has a state that no checkpoint can hold without code of its own."""

    def state_dict(self) -> dict[str, Any]:
        return {"me": self}
