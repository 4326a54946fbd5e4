"""The exponential average of the weights, against the recursion written out."""

import torch
from lightning import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from repr_toolkit.data import load_data
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.training.averaging import ExponentialAverage
from repr_toolkit.training.trainer import quiet_lightning
from toys.decoders import Independent


class Recorder(Callback):
    def __init__(self) -> None:
        self.weights: list[torch.Tensor] = []
        self.validated: list[torch.Tensor] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, *_: object
    ) -> None:
        pl_module.get_buffer("decoder.mean_intensity").fill_(trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        self.weights.append(next(pl_module.parameters()).detach().clone())

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validated.append(next(pl_module.parameters()).detach().clone())


def test_validation_and_result_use_the_average() -> None:
    split = load_data("digits").splits["val"]
    model = EncoderDecoder(
        None, Independent((1, 8, 8), 0, 17), optimizer=lambda p: torch.optim.SGD(p, lr=100.0)
    )
    average, recorder = ExponentialAverage(0.4), Recorder()
    loader = DataLoader(split, batch_size=None, sampler=[[i] for i in range(6)])
    with quiet_lightning():
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=1,
            callbacks=[average, recorder],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            inference_mode=False,
        )
        trainer.fit(model, loader, loader)
    assert len(recorder.weights) == 6
    expected = recorder.weights[0]
    for n, weights in enumerate(recorder.weights[1:], 1):
        decay = min(0.4, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * weights
    torch.testing.assert_close(next(model.parameters()), expected)
    torch.testing.assert_close(recorder.validated[0], expected)
    assert torch.equal(next(average.averaged().parameters()), next(model.parameters()))
    assert not torch.allclose(expected, recorder.weights[-1])
    # Buffers are the last ones, not an average.
    assert average.averaged().get_buffer("decoder.mean_intensity") == 5
