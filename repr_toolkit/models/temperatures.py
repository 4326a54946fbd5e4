"""One draw at rising temperatures, of models that draw by normal noise."""

import torch
from torch import Tensor

from repr_toolkit.decoders import Decoder
from repr_toolkit.decoders.noise import common_noise


def scales_noise(decoder: Decoder) -> bool:
    """Whether a temperature scales the noise of a decoder: a flow's, or a Gaussian's."""
    return decoder.sampling_noise == "normal"


def temperature_rows(decoder: Decoder, h: Tensor | None, columns: int, seed: int = 0) -> Tensor:
    """A draw for each row of h (N, h_dim), or one for None, at temperatures 0 … 1, evenly spaced.

    uint8 (N, columns, C, H, W) on the CPU. Draw i has the noise of number i (see `common_noise`),
    at every temperature.
    """
    noise = common_noise(decoder, 1 if h is None else len(h), seed)
    at = torch.linspace(0, 1, columns).tolist()
    rows = [decoder.sample(h, None, noise=noise, temperature=t).cpu() for t in at]
    return torch.stack(rows, 1)
