"""The exponential average of the weights, against the recursion written out."""

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.utils import parameters_to_vector
from torch.utils.data import DataLoader

from repr_toolkit.data import load_data
from repr_toolkit.decoders import Decoder, PixelCNNpp
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.training.averaging import ExponentialAverage
from repr_toolkit.training.preparation import Preparation
from repr_toolkit.training.trainer import quiet_lightning
from toys.decoders import Independent


class Recorder(Callback):
    def __init__(self) -> None:
        self.weights: list[Tensor] = []
        self.validated: list[Tensor] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, *_: object
    ) -> None:
        if isinstance(pl_module.decoder, Independent):
            pl_module.decoder.mean_intensity.fill_(trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        self.weights.append(weights(pl_module))

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validated.append(weights(pl_module))


def weights(module: LightningModule) -> Tensor:
    return parameters_to_vector(module.parameters()).detach()


def averaged(decoder: Decoder, rate: float) -> LightningModule:
    """The average after six steps on digits, which validation and result have used."""
    data = load_data("digits")
    model = EncoderDecoder(None, decoder, optimizer=lambda p: torch.optim.SGD(p, lr=rate))
    average, recorder = ExponentialAverage(0.4), Recorder()
    loader = DataLoader(data.splits["val"], batch_size=None, sampler=[[i] for i in range(6)])
    with quiet_lightning():
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=1,
            callbacks=[Preparation(data, 6, 0), average, recorder],
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
    for n, current in enumerate(recorder.weights[1:], 1):
        decay = min(0.4, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * current
    torch.testing.assert_close(weights(model), expected)
    torch.testing.assert_close(recorder.validated[0], expected)
    assert torch.equal(weights(average.averaged()), weights(model))
    assert not torch.allclose(expected, recorder.weights[-1])
    return average.averaged()


def test_validation_and_result_use_the_average() -> None:
    model = averaged(Independent((1, 8, 8), 0, 17), rate=100.0)
    # Buffers are the last ones, not an average.
    assert model.get_buffer("decoder.mean_intensity") == 5


def test_weight_norms_are_averaged_after_their_preparation() -> None:
    torch.manual_seed(0)
    decoder = PixelCNNpp((1, 8, 8), 0, 17, features=4, blocks=1, mixtures=2)
    model = averaged(decoder, rate=0.1)
    assert model.get_buffer("decoder.prepared")
    gain = model.get_parameter("decoder.first.down.gain")
    assert not torch.allclose(gain, torch.ones(4), atol=0.1)  # as it is without preparation
