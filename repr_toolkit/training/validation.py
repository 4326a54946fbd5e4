"""Validation: calibrates the decoder, logs numbers, draws a picture."""

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.decoders import Flow
from repr_toolkit.decoders.noise import likelihood_noise
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import batches
from repr_toolkit.models.learner import Learner
from repr_toolkit.models.temperatures import scales_noise, temperature_rows
from repr_toolkit.runs.run import Run

if TYPE_CHECKING:
    from PIL.Image import Image

CALIBRATION_IMAGES = 1024
FINAL_CALIBRATION_IMAGES = 10_000
CALIBRATION_SUBPIXELS = 32_000_000  # the most that a calibration holds in memory
TRAIN_IMAGES = 256
ROUND_TRIPS = 64  # validation images whose way to z and back is measured


class Results(Callback):
    """Logs the numbers of every validation; `results` holds the last ones, by name.

    Other callbacks find them in `trainer.callback_metrics`.
    """

    def __init__(self) -> None:
        self.results: dict[str, float] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Learner)
        self.results |= pl_module.validation_results
        for logger in trainer.loggers:
            logger.log_metrics(dict(self.results), trainer.global_step)
        # For callbacks that watch a number, such as EarlyStopping.
        trainer.callback_metrics.update({k: torch.tensor(v) for k, v in self.results.items()})

    def state_dict(self) -> dict[str, Any]:
        return {"results": self.results}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.results = state_dict["results"]


class Validation(Results):
    """Calibrates the decoder, measures bits/dim on both splits, and draws a picture.

    Calibration and the bits/dim of training images use evenly spaced training images, the same
    at each validation. The last validation calibrates on more of them, for the saved model, and
    so does each one that `may_be_saved`, whose weights are the result where none is better. All of
    it runs in eval mode and float32, on the averaged weights if there is an average. `results`
    holds the last numbers, train/bits_per_dim and val/bits_per_dim, and of a flow
    val/round_trip_error, the largest of `Flow.round_trip_error`.
    """

    def __init__(
        self,
        run: Run,
        data: ImageData,
        batch_size: int,
        steps: int,
        seed: int,
        pictures: int,
        *,
        may_be_saved: bool = False,
    ) -> None:
        super().__init__()
        self._run = run
        self._data = data
        self._batch_size = batch_size
        self._steps = steps
        self._seed = seed
        self._pictures = pictures
        self._may_be_saved = may_be_saved

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, EncoderDecoder)
        train, device = self._data.splits["train"], pl_module.device
        final = trainer.global_step >= self._steps or self._may_be_saved
        count = FINAL_CALIBRATION_IMAGES if final else CALIBRATION_IMAGES
        count = max(1, min(count, CALIBRATION_SUBPIXELS // prod(self._data.image_shape)))
        pl_module.calibrate(batches(train, spaced(train, count), self._batch_size, device))
        if trainer.world_size > 1:  # the same on every device to the last bit
            saved = pl_module.decoder.state_dict()  # without masks and other constants
            buffers = {n: b.cpu() for n, b in pl_module.decoder.named_buffers() if n in saved}
            for name, value in trainer.strategy.broadcast(buffers).items():
                pl_module.decoder.get_buffer(name).copy_(value)
        chosen = spaced(train, TRAIN_IMAGES)
        numbers = [
            chosen[i : i + self._batch_size] for i in range(0, len(chosen), self._batch_size)
        ]
        measured = batches(train, chosen, self._batch_size, device)
        bits = [
            pl_module.bits_per_dim(batch, likelihood_noise(pl_module.decoder, images))
            for batch, images in zip(measured, numbers, strict=True)
        ]
        self.results = {"train/bits_per_dim": float(torch.cat(bits).cpu().double().mean())}
        if isinstance(pl_module.decoder, Flow):
            val = self._data.splits["val"]
            errors = [
                pl_module.decoder.round_trip_error(batch["image"], pl_module.encode(batch))
                for batch in batches(val, spaced(val, ROUND_TRIPS), self._batch_size, device)
            ]
            self.results["val/round_trip_error"] = float(torch.cat(errors).max())
        if trainer.is_global_zero and self._pictures:
            self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, model: EncoderDecoder) -> None:
        """Rows of originals, their reconstructions, and samples; without h, samples alone.

        Below them stands one draw at temperatures from 0 to 1, where these scale the noise.
        """
        from repr_toolkit.support.pictures import image_grid

        indices = spaced(self._data.splits["val"], self._pictures)
        columns = len(indices)
        [batch] = batches(self._data.splits["val"], indices, columns, model.device)
        decoder, h = model.decoder, model.encode(batch)
        rows: list[Tensor] = [] if h is None else [batch["image"]]
        # The noise is the same at each validation, and training's random numbers stay as they are.
        devices = [model.device] if model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self._seed)
            if h is not None:
                rows.append(decoder.sample(h, temperature=decoder.reconstruction_temperature))
            rows += [decoder.sample(h, n=columns if h is None else None) for _ in range(2)]
        if scales_noise(decoder):
            row = temperature_rows(decoder, None if h is None else h[:1], columns, self._seed)
            rows.append(row[0].to(model.device))
        names = ([] if h is None else ["original", "reconstruction"]) + ["sample", "sample"]
        names += ["T 0…1"] if scales_noise(decoder) else []
        numbers = [] if h is None else [f"val {index}" for index in indices]
        picture = image_grid(
            torch.cat(rows),
            columns=columns,
            levels=decoder.levels,
            column_names=numbers,
            row_names=names,
        )
        caption = f"Rows: {', '.join(names)}." + (
            f" Columns: validation images {', '.join(map(str, indices))}." if numbers else ""
        )
        log_picture(trainer, self._run, picture, "validation", caption)


def spaced(split: ImageSplit, count: int) -> list[int]:
    """Up to `count` indices, evenly spaced from the first image of a split to its last."""
    places = np.linspace(0, len(split) - 1, min(count, len(split))).round()
    return [int(place) for place in places]


def log_picture(trainer: Trainer, run: Run, picture: "Image", name: str, caption: str = "") -> None:
    """Save a picture of a validation in the run, and log it to Weights & Biases under `name`."""
    from repr_toolkit.support.pictures import write_png

    run.image_dir.mkdir(exist_ok=True)
    write_png(run.image_dir / f"step_{trainer.global_step:07d}.png", picture)
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [picture], trainer.global_step, caption=[caption])
