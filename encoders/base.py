"""The contract every encoder keeps. It is structural: a plug-in need not inherit anything."""

from typing import Protocol

from torch import Tensor


class Encoder(Protocol):
    """An `nn.Module` that makes h (B, h_dim), float32, from one key of a batch, its `source`.

    One that reads trained weights from elsewhere takes the argument `weights` for them, and None
    for no reading: a run that is loaded has them in its own file.
    """

    source: str
    h_dim: int

    def __call__(self, x: Tensor, /) -> Tensor: ...
