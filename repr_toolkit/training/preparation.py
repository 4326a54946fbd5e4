"""Initialises a decoder from data, before the first step."""

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from repr_toolkit.data import ImageData
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import batches
from repr_toolkit.support.choose import choose_evenly

PREPARATION_IMAGES = 1024


class Preparation(Callback):
    """Calls `prepare` of a decoder on the first process, and copies the result to the others.

    Only a training that starts afresh has this callback: a checkpoint holds the result. It comes
    before the average of the weights, which copies them in its own setup. It reads evenly spaced
    training images in a random order, so that a batch has not one class or photograph alone, and
    draws from a generator of its own, so training's random numbers and its place in the data stay
    as they are.
    """

    def __init__(self, data: ImageData, batch_size: int, seed: int) -> None:
        self._split = data.splits["train"]
        self._batch_size = batch_size
        self._seed = seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not (isinstance(pl_module, EncoderDecoder) and pl_module.has_preparation):
            return
        if trainer.is_global_zero:
            self._prepare(pl_module, trainer.strategy.root_device)
        if trainer.world_size > 1:
            state = pl_module.decoder.state_dict()
            pl_module.decoder.load_state_dict(trainer.strategy.broadcast(state))

    def _prepare(self, model: EncoderDecoder, device: torch.device) -> None:
        evenly = choose_evenly(len(self._split), PREPARATION_IMAGES)
        devices = [device] if device.type == "cuda" else []
        model.to(device)
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self._seed)
            chosen = [evenly[place] for place in torch.randperm(len(evenly)).tolist()]
            model.prepare(batches(self._split, chosen, self._batch_size, device))
        model.to("cpu")  # Lightning expects the weights of all processes on the CPU
