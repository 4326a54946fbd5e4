"""Stored numbers, such as face embeddings or landmarks, as h."""

import torch
from torch import Tensor, nn


class Precomputed(nn.Module):
    """h is (v − offset)·scale for the flattened numbers v under a key of the batch.

    `source` is the key, such as "embedding" or "landmarks", and `h_dim` how many numbers it has for
    each image. `offset` and `scale` should bring them to a mean near 0 and a deviation near 1, for
    the first layer of a network: a unit vector of d numbers needs `scale` √d. `made_by` names the
    encoder that made the numbers (see `FaceNet.identity`), which can make those of a new picture.

    >>> Precomputed(2, scale=10.0)(torch.tensor([[0.5, 1.0]]))
    tensor([[ 5., 10.]])
    """

    def __init__(
        self,
        h_dim: int,
        *,
        source: str = "embedding",
        offset: float = 0.0,
        scale: float = 1.0,
        made_by: str | None = None,
    ) -> None:
        super().__init__()
        if h_dim < 1:
            raise ValueError(f"h_dim is at least 1, not {h_dim}")
        self.h_dim = h_dim
        self.source = source
        self.offset = offset
        self.scale = scale
        self.made_by = made_by

    def forward(self, x: Tensor) -> Tensor:
        """Numbers (B, …), h_dim in each row, to h, float32 (B, h_dim).

        Raises ValueError if a row has more or fewer.
        """
        flat = x.reshape(len(x), -1).to(torch.float32)
        if flat.shape[1] != self.h_dim:
            raise ValueError(
                f"{self.source!r} has {flat.shape[1]} numbers an image, but h_dim is {self.h_dim}"
            )
        return (flat - self.offset) * self.scale
