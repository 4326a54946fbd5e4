"""What Lightning reads: the right batches in every epoch, after a resume and on every process."""

import json
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from repr_toolkit.data import ImageData
from repr_toolkit.data.module import ImageDataModule
from repr_toolkit.data.order import StepSampler

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.:FutureWarning"),
    pytest.mark.filterwarnings(
        "ignore:.*number of training batches .* is smaller than the logging"
    ),
    pytest.mark.filterwarnings("ignore:.*resuming from a checkpoint that ended before the epoch"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

TRAIN, VAL, BATCH, STEPS = 22, 7, 4, 3


def data() -> ImageData:
    """Images whose label is their place in the split."""
    rows = {"train": np.arange(TRAIN), "val": np.arange(TRAIN, TRAIN + VAL), "test": np.array([29])}
    labels = np.concatenate([np.arange(TRAIN), np.arange(VAL), [0]])
    return ImageData("toy", {"image": np.zeros((30, 1, 2, 2), np.uint8), "label": labels}, rows)


class Recorder(lightning.LightningModule):
    """Writes down what it is given; stops the run, as a crash would, after some step."""

    def __init__(self, folder: Path, crash_after: int | None = None) -> None:
        super().__init__()
        self.folder = folder
        self.crash_after = crash_after
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.register_buffer("synchronised", torch.zeros(()))

    def write(self, kind: str, labels: torch.Tensor) -> None:
        with (self.folder / f"{kind}-{self.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps([self.global_step, labels.tolist()]) + "\n")

    def training_step(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.crash_after is not None and self.global_step >= self.crash_after:
            raise InterruptedError
        self.write("train", batch["label"])
        return self.weight * batch["image"].float().mean()

    def validation_step(self, batch: dict[str, torch.Tensor]) -> None:
        self.write("val", batch["label"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(model: Recorder, steps: int, workers: int = 0, **options: Any) -> None:
    module = ImageDataModule(
        data(), batch_size=BATCH, steps_per_epoch=STEPS, seed=9, workers=workers
    )
    settings = {"devices": 1, "enable_checkpointing": False, **options}
    checkpoint = settings.pop("ckpt_path", None)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=steps,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )
    trainer.fit(model, datamodule=module, ckpt_path=checkpoint)


def read(folder: Path, kind: str, rank: int = 0) -> list[list[int]]:
    lines = (folder / f"{kind}-{rank}.jsonl").read_text().splitlines()
    return [json.loads(line)[1] for line in lines]


def expected(steps: int) -> list[list[int]]:
    sampler = StepSampler(TRAIN, BATCH, STEPS, seed=9, steps_taken=lambda: 0)
    return [sampler.batch(step).tolist() for step in range(steps)]


@pytest.mark.parametrize("workers", [0, 1])
def test_epochs(tmp_path: Path, workers: int) -> None:
    fit(Recorder(tmp_path), 8, workers)
    assert read(tmp_path, "train") == expected(8)
    assert read(tmp_path, "val") == [[0, 1, 2, 3], [4, 5, 6]] * 2


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("saved", ["after each epoch", "after each validation", "every two steps"])
@pytest.mark.parametrize("crash_after", [4, 6, 7])
def test_resume(tmp_path: Path, workers: int, saved: str, crash_after: int) -> None:
    when = {
        "after each epoch": {"save_on_train_epoch_end": True},
        "after each validation": {"save_on_train_epoch_end": False},
        "every two steps": {"every_n_train_steps": 2},
    }[saved]
    keep = ModelCheckpoint(
        tmp_path / "saved", filename="last", enable_version_counter=False, **when
    )
    options = {"callbacks": [keep], "enable_checkpointing": True}
    with pytest.raises(InterruptedError):
        fit(Recorder(tmp_path, crash_after), 12, workers, **options)
    reached = torch.load(tmp_path / "saved" / "last.ckpt", weights_only=True)["global_step"]
    assert 0 < reached <= crash_after
    assert read(tmp_path, "train") == expected(crash_after)
    (tmp_path / "train-0.jsonl").unlink()
    keep = ModelCheckpoint(tmp_path / "again", **when)
    options["callbacks"] = [keep]
    fit(Recorder(tmp_path), 12, workers, ckpt_path=tmp_path / "saved" / "last.ckpt", **options)
    assert read(tmp_path, "train") == expected(12)[reached:]


def test_two_processes_share_the_batches_of_one(tmp_path: Path) -> None:
    fit(Recorder(tmp_path), 6, devices=2, strategy="ddp_fork")
    ranks = [read(tmp_path, "train", rank) for rank in (0, 1)]
    for step, batch in enumerate(expected(6)):
        assert [ranks[i % 2][step][i // 2] for i in range(BATCH)] == batch
    shares = [read(tmp_path, "val", rank) for rank in (0, 1)]
    assert [len(share) for share in shares] == [4, 4]  # two batches in each of two validations
    seen = [label for share in shares for batch in share[:2] for label in batch]
    assert sorted(seen) == list(range(VAL))


def test_batches_that_cannot_be_shared_are_refused() -> None:
    class Two:
        global_rank, world_size, global_step = 0, 3, 0

    module = ImageDataModule(data(), batch_size=4, steps_per_epoch=2)
    module.trainer = Two()  # stands in for a Trainer over three devices
    with pytest.raises(ValueError, match="multiple of their number, 3; got 4"):
        module.train_dataloader()


def test_loaders_need_a_trainer() -> None:
    with pytest.raises(RuntimeError, match=r"pass it to fit\(\)"):
        ImageDataModule(data(), batch_size=4, steps_per_epoch=2).train_dataloader()
