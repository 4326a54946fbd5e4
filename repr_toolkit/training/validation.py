"""What happens at each validation beside the validation images: calibration, pictures, numbers."""

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.learner import Learner
from repr_toolkit.runs.run import Run
from repr_toolkit.support.files import atomic_write

if TYPE_CHECKING:
    from PIL.Image import Image

CALIBRATION_IMAGES = 1024
FINAL_CALIBRATION_IMAGES = 10_000
CALIBRATION_SUBPIXELS = 32_000_000  # what a calibration may keep in memory
TRAIN_IMAGES = 256


class Results(Callback):
    """Logs the numbers of every validation, and keeps the last in `results`, by name."""

    def __init__(self) -> None:
        self.results: dict[str, float] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Learner)
        self.results |= pl_module.validation_results
        for logger in trainer.loggers:
            logger.log_metrics(dict(self.results), trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        return {"results": self.results}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.results = state_dict["results"]


class Validation(Results):
    """Calibrates the decoder, measures bits/dim on both splits, and draws a picture.

    Calibration and the training images' bits/dim use evenly spaced training images, the same
    ones each time; the last validation calibrates on more of them, for what is kept. All of it
    runs on the averaged weights, where there are any, in eval mode and float32. `results` holds
    the last numbers: train/bits_per_dim and val/bits_per_dim.
    """

    def __init__(
        self, run: Run, data: ImageData, batch_size: int, steps: int, seed: int, pictures: int
    ) -> None:
        super().__init__()
        self._run = run
        self._data = data
        self._batch_size = batch_size
        self._steps = steps
        self._seed = seed
        self._pictures = pictures

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, EncoderDecoder)
        train = self._data.splits["train"]
        last = trainer.global_step >= self._steps
        count = FINAL_CALIBRATION_IMAGES if last else CALIBRATION_IMAGES
        count = max(1, min(count, CALIBRATION_SUBPIXELS // prod(self._data.image_shape)))
        pl_module.calibrate(self._spread(train, count, pl_module))
        if trainer.world_size > 1:  # the same on every device to the last bit
            buffers = dict(pl_module.decoder.named_buffers())
            kept = pl_module.decoder.state_dict()  # without masks and other constants
            state = {name: value.cpu() for name, value in buffers.items() if name in kept}
            for name, value in trainer.strategy.broadcast(state).items():
                pl_module.decoder.get_buffer(name).copy_(value)
        bits = [pl_module.bits_per_dim(b) for b in self._spread(train, TRAIN_IMAGES, pl_module)]
        self.results = {"train/bits_per_dim": float(torch.cat(bits).double().mean())}
        if trainer.is_global_zero and self._pictures:
            self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, model: EncoderDecoder) -> None:
        """Rows of originals, their reconstructions, and samples; without h, samples alone."""
        from repr_toolkit.support.pictures import image_grid

        split = self._data.splits["val"]
        columns = min(self._pictures, len(split))
        batch = next(self._spread(split, columns, model, whole=True))
        decoder, h = model.decoder, model.encode(batch)
        rows: list[Tensor] = [] if h is None else [batch["image"]]
        # The same noise at each validation, and none taken from training's random numbers.
        devices = [model.device] if model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self._seed)
            if h is not None:
                rows.append(decoder.sample(h, temperature=decoder.reconstruction_temperature))
            rows += [decoder.sample(h, n=columns if h is None else None) for _ in range(2)]
        picture = image_grid(torch.cat(rows), columns=columns, levels=decoder.levels)
        save_picture(trainer, self._run, picture, "validation")

    def _spread(
        self, split: ImageSplit, count: int, model: EncoderDecoder, whole: bool = False
    ) -> Iterator[dict[str, Tensor]]:
        """Batches of `count` images evenly spaced over a split, on the model's device."""
        count = min(count, len(split))
        chosen = np.linspace(0, len(split) - 1, count).round().astype(int).tolist()
        size = count if whole else self._batch_size
        for start in range(0, count, size):
            batch = split[chosen[start : start + size]]
            yield {key: value.to(model.device) for key, value in batch.items()}


def save_picture(trainer: Trainer, run: Run, picture: "Image", name: str) -> None:
    """Keep a validation's picture in the run, and under a name with Weights & Biases."""
    run.image_dir.mkdir(exist_ok=True)
    with atomic_write(run.image_dir / f"step_{trainer.global_step:07d}.png") as file:
        picture.save(file, "PNG")
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [picture], trainer.global_step)
