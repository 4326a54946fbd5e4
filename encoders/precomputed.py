"""Numbers that were computed before, such as face embeddings or landmarks, as h."""

import torch
from torch import Tensor, nn


class Precomputed(nn.Module):
    """h is a key of the batch itself: (v − offset)·scale of its flattened numbers v.

    For what was computed once and stored with the data: `source` is the key, such as "embedding"
    or "landmarks", and `h_dim` how many numbers it has an image. `offset` and `scale` bring them
    near zero and one, which is where a network's first layer wants them; a unit vector of d
    numbers wants `scale` √d. `made_by` names the encoder that made them (see
    `FaceNet.identity`), so that the same can be made of a new picture.
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

        Raises ValueError for another number of them.
        """
        flat = x.reshape(len(x), -1).to(torch.float32)
        if flat.shape[1] != self.h_dim:
            raise ValueError(
                f"{self.source!r} has {flat.shape[1]} numbers an image, but h_dim is {self.h_dim}"
            )
        return (flat - self.offset) * self.scale
