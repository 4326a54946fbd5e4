"""Decoders of known bits: one that states the true likelihood, and one that learns fast."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from repr_toolkit.data import ImageSplit
from repr_toolkit.data.known_bits import LEVELS, PIXELS, REPEATED, SIDE
from repr_toolkit.decoders import AutoregressiveDecoder, Decoder, GatedPixelCNN
from repr_toolkit.encoders import Encoder, MaskedCoordinates, Precomputed
from repr_toolkit.models.autoencoder import EncoderDecoder

SHAPE = (1, SIDE, SIDE)
TRUE_MAP = np.zeros(SHAPE)  # log₂ p(x|label) − log₂ p(x) of each pixel
TRUE_MAP[0, *zip(*PIXELS, strict=True)] = 1
NEVER = -60.0  # log₂ of a probability that is as good as 0, but finite


class Exact(Decoder):
    """The true log p(x|h) of `known_bits`, for h of −1 and 1, a 0 saying nothing of its bit.

    The first three numbers are the label's bits, a fourth repeats the first. Without h it is log
    p(x). With `masks`, h is followed by as many numbers that say which are kept.
    """

    def __init__(self, h_dim: int = 0, masks: bool = False) -> None:
        super().__init__(SHAPE, h_dim, LEVELS)
        self.masks = masks

    def subpixel_log_prob(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        bits = torch.full(x.shape, -2.0)
        repeated = (..., *REPEATED)
        equal = x[repeated] == x[(..., *PIXELS[0])]
        bits[repeated] = torch.where(equal, 0.0, NEVER)
        for k, (row, column) in enumerate(PIXELS):
            shown = x[:, 0, row, column].float() * (2 / (LEVELS - 1)) - 1  # −1 or 1
            told = torch.zeros(len(x)) if h is None else h[:, k]
            if h is not None and k == 0 and self.h_dim // (2 if self.masks else 1) > 3:
                told = torch.where(told == 0, h[:, 3], told)
            right = torch.where(told == shown, 0.0, NEVER)
            bits[:, 0, row, column] = torch.where(told == 0, -1.0, right)
        return bits * np.log(2)

    def log_prob(
        self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None
    ) -> Tensor:
        return self.subpixel_log_prob(x, h).flatten(1).sum(1)


class Learner(AutoregressiveDecoder):
    """Logits linear in h and in the pixel two rows above, with weights of their own everywhere."""

    def __init__(self, h_dim: int) -> None:
        super().__init__(SHAPE, h_dim, LEVELS)
        self.bias = nn.Parameter(torch.zeros(SIDE, SIDE, LEVELS))
        self.of_h = nn.Parameter(0.01 * torch.randn(SIDE, SIDE, LEVELS, h_dim))
        self.of_above = nn.Parameter(torch.zeros(SIDE, SIDE, LEVELS, LEVELS))

    def params(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        assert h is not None
        above = nn.functional.one_hot(x[:, 0].long(), LEVELS).float()  # (B, H, W, K)
        above = nn.functional.pad(above, (0, 0, 0, 0, 2, 0))[:, :SIDE]
        logits = self.bias + torch.einsum("hwkd,bd->bhwk", self.of_h, h)
        return (logits + torch.einsum("hwkl,bhwl->bhwk", self.of_above, above))[:, None]


def fitted(encoder: Encoder, seed: int, data: ImageSplit, steps: int = 140) -> EncoderDecoder:
    """A `Learner` of an encoder's h, its weights averaged over the last half of some steps."""
    torch.manual_seed(seed)
    model = EncoderDecoder(encoder, Learner(encoder.h_dim))
    average = torch.optim.swa_utils.AveragedModel(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, fused=True)
    batch = {key: data.column(key) for key in ("image", "bits", "coins")}
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        chosen = torch.randint(len(data), (400,), generator=generator)
        optimizer.zero_grad()
        model.core({key: values[chosen] for key, values in batch.items()}).backward()
        optimizer.step()
        if step >= steps // 2:
            average.update_parameters(model)
    averaged: EncoderDecoder = average.module
    return averaged.eval()


def exact(kind: str) -> EncoderDecoder:
    """The true decoder of `known_bits` given its bits, given nothing, or given parts of them."""
    if kind == "null":
        return EncoderDecoder(None, Exact()).eval()
    if kind == "masked":
        encoder: Encoder = MaskedCoordinates(3, source="bits")
        return EncoderDecoder(encoder, Exact(6, masks=True)).eval()
    return EncoderDecoder(Precomputed(3, source="bits"), Exact(3)).eval()


def pixelcnn(
    h_dim: int, seed: int = 0, scale: float = 30.0, conditioning: Any = "vector"
) -> EncoderDecoder:
    """An untrained PixelCNN of `known_bits` to which h matters, by `scale`; 0 makes V = 0."""
    torch.manual_seed(seed)
    decoder = GatedPixelCNN(
        SHAPE, h_dim, LEVELS, features=8, layers=2, conditioning=conditioning, map_features=4
    )
    with torch.no_grad():
        for layer in decoder.gated_layers():
            assert layer.condition is not None
            layer.condition.weight.mul_(scale)
    return EncoderDecoder(Precomputed(h_dim, source="bits"), decoder).eval()
