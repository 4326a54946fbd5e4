"""The data of a training run, as Lightning asks for it."""

import os
import signal
import sys
from collections.abc import Callable
from copy import copy
from threading import Thread
from typing import Any

from lightning import LightningDataModule
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, Sampler

from repr_toolkit.data.augment import Augmentation
from repr_toolkit.data.identity_batches import IdentitySampler, identity_key
from repr_toolkit.data.images import Batch, ImageData, ImageSplit
from repr_toolkit.data.order import EvenSampler, StepSampler


class ImageDataModule(LightningDataModule):
    """Training batches in the order of StepSampler, validation batches in that of EvenSampler.

    With `images_per_identity` the training batches are those of IdentitySampler, and with an
    `augmentation` their images are changed by it, which those of validation never are. `batch_size`
    counts the images of one batch over all processes together. A Lightning epoch has
    `steps_per_epoch` batches. The Trainer gives rank, number of processes and the steps taken so
    far, which a checkpoint restores: a resume, also within an epoch, continues the same sequence of
    batches. Build the Trainer with `use_distributed_sampler=False`, since this module already
    shares the batches between the processes.
    """

    def __init__(
        self,
        data: ImageData,
        *,
        batch_size: int,
        steps_per_epoch: int,
        seed: int = 0,
        workers: int = 0,
        images_per_identity: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self.data = data
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.seed = seed
        self.workers = workers
        self.images_per_identity = images_per_identity
        self.augmentation = augmentation

    def train_dataloader(self) -> DataLoader[Batch]:
        """The training split, for ever in new orders. Raises ValueError as the samplers do."""
        trainer = self._trainer()
        order = self.train_order(
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            steps_taken=lambda: trainer.global_step,
        )
        split = copy(self.data.splits["train"])
        split.augmentation = self.augmentation
        return self._loader(trainer, split, order)

    def train_order(
        self, *, rank: int = 0, world_size: int = 1, steps_taken: Callable[[], int] = lambda: 0
    ) -> StepSampler:
        """The order of the training batches. Raises ValueError as the samplers do."""
        split = self.data.splits["train"]
        batches = (self.batch_size, self.steps_per_epoch, self.seed)
        place: dict[str, Any] = {"rank": rank, "world_size": world_size, "steps_taken": steps_taken}
        if self.images_per_identity is None:
            return StepSampler(len(split), *batches, **place)
        identities = split.column(identity_key(self.data)).numpy()
        return IdentitySampler(identities, self.images_per_identity, *batches, **place)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation split, every image once. Raises ValueError as EvenSampler does."""
        trainer = self._trainer()
        place = {"rank": trainer.global_rank, "world_size": trainer.world_size}
        order = EvenSampler(len(self.data.splits["val"]), self.batch_size, **place)
        return self._loader(trainer, self.data.splits["val"], order)

    def _loader(
        self, trainer: Trainer, split: ImageSplit, order: Sampler[list[int]]
    ) -> DataLoader[Batch]:
        # With batch_size=None each list of indices that `order` yields goes to the split as it is:
        # one gather for each batch and no collation.
        return DataLoader(
            split,
            sampler=order,
            batch_size=None,
            num_workers=self.workers,
            pin_memory=trainer.strategy.root_device.type == "cuda",
            persistent_workers=self.workers > 0,
            worker_init_fn=_leave_signals,
        )

    def _trainer(self) -> Trainer:
        if self.trainer is None:
            raise RuntimeError("ImageDataModule makes its loaders for a Trainer: pass it to fit()")
        return self.trainer


def _leave_signals(worker: int) -> None:
    """Leave it to the main process, which these reach too, to end training with a checkpoint."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if sys.platform == "linux":  # where alone one can learn who sent a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        Thread(target=_end_with_main, daemon=True).start()


def _end_with_main() -> None:
    """End this process on the SIGTERM of its main process, by which that one ends it, alone."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)
