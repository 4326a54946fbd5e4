"""What the tests of evaluation and comparison share: toy models, and runs without training."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from repr_toolkit.config.build import build
from repr_toolkit.config.recipe import complete
from repr_toolkit.data import ImageSplit, load
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.run import Run, data_arguments

SHAPE = (1, 2, 3)
CODE_LENGTHS = torch.tensor([1.0, 2.0, 3.0, 3.0])  # bits of the levels 0…3: a pmf of ½, ¼, ⅛, ⅛


class Mean(nn.Module):
    """h is the image's mean intensity."""

    source = "image"
    h_dim = 1

    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean((1, 2, 3))[:, None]


class Known(nn.Module):
    """Sub-pixels of a known pmf, in which h reverses the levels where it is above 1.5."""

    is_bound = False
    reconstruction_temperature = 1.0
    levels = 4
    image_shape = SHAPE

    def __init__(self, h_dim: int = 1) -> None:
        super().__init__()
        self.h_dim = h_dim

    def log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        values = x.long()
        if h is not None:
            values = torch.where(h[:, :, None, None] > 1.5, 3 - values, values)
        return -(CODE_LENGTHS[values] * np.log(2)).flatten(1).sum(1)


def known_model(conditional: bool = True) -> EncoderDecoder:
    return EncoderDecoder(Mean() if conditional else None, Known(int(conditional))).eval()


def random_split(count: int, seed: int = 0) -> ImageSplit:
    generator = np.random.default_rng(seed)
    arrays = {
        "image": generator.integers(0, 4, (count, *SHAPE), dtype=np.uint8),
        "label": np.arange(count, dtype=np.int64) % 2,
    }
    return ImageSplit(arrays, np.arange(count), 4)


CONV = {
    "class_path": "repr_toolkit.encoders.ConvBottleneck",
    "init_args": {"h_dim": 3, "features": 4},
}
PIXELCNN = {
    "class_path": "repr_toolkit.decoders.GatedPixelCNN",
    "init_args": {"features": 4, "layers": 2},
}
DECONV = {"class_path": "repr_toolkit.decoders.Deconv", "init_args": {"features": 4}}
ONE_HOT = {"class_path": "repr_toolkit.encoders.OneHot", "init_args": {"num_classes": 10}}


def untrained_run(path: Path, **model: Any) -> Run:
    """A finished run on the 8×8 digits whose model is as it was initialised."""
    raw = {"data": {"source": "digits"}, "model": {"encoder": CONV, "decoder": PIXELCNN, **model}}
    config = complete(raw)
    data = load(**data_arguments(config))
    torch.manual_seed(0)
    encoder, decoder, config = build(config, data)
    run = Run.create(path, config)
    parameters = {"encoder": encoder, "decoder": decoder}
    info = {
        "step": 7,
        "seconds": 2.5,
        "device": "1 × CPU",
        "levels": data.levels,
        "parameters": {
            name: sum(p.numel() for p in part.parameters())
            for name, part in parameters.items()
            if part is not None
        },
        "data": {"name": data.name, "fingerprint": data.fingerprint},
    }
    run.save_model(EncoderDecoder(encoder, decoder), info)
    return run
