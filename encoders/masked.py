"""Stored numbers as h, of which training hides a random part: one decoder for every part of h."""

import torch
from torch import Tensor, nn

from repr_toolkit.encoders.precomputed import Precomputed


class MaskedCoordinates(nn.Module):
    """h is [v ⊙ keep, keep] for the m stored numbers v of an image and a mask keep in {0, 1}^m.

    In training each image draws how many of its numbers are kept, uniform on 0…m, and which,
    uniform among the sets of that size, from torch's global generator. In eval mode all are kept;
    `masked` takes any mask. So one decoder is trained on p(x | any part of v), nothing included:
    it gives its own null, and what one number adds to the others is a difference within one
    network.

    `h_dim`, `source`, `offset`, `scale` and `made_by` are those of `Precomputed`: h_dim counts the
    numbers, m. The attribute `h_dim` is what the decoder receives, 2m. Standardised numbers (mean
    0) are hidden best, since a hidden one reads 0.
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
        self.numbers = Precomputed(
            h_dim, source=source, offset=offset, scale=scale, made_by=made_by
        )
        self.count = h_dim
        self.h_dim = 2 * h_dim
        self.source = source
        self.made_by = made_by

    def forward(self, x: Tensor) -> Tensor:
        """Numbers (B, …), m in each row, to h, float32 (B, 2m), masked at random in training."""
        if self.training:
            return self.masked(x, self.draw(len(x), x.device))
        return self.masked(x, torch.ones(self.count, dtype=torch.bool, device=x.device))

    def masked(self, x: Tensor, keep: Tensor) -> Tensor:
        """h of numbers (B, …) under a mask, bool (m,) or (B, m), True where a number is kept.

        Raises ValueError for a mask of another shape.
        """
        v = self.numbers(x)
        if tuple(keep.shape) not in ((self.count,), (len(v), self.count)):
            raise ValueError(
                f"keep of shape ({self.count},) or ({len(v)}, {self.count}) expected, "
                f"not {tuple(keep.shape)}"
            )
        mask = keep.to(v).expand_as(v)
        return torch.cat([v * mask, mask], dim=1)

    def draw(self, batch: int, device: torch.device) -> Tensor:
        """Random masks, bool (batch, m)."""
        kept = torch.randint(self.count + 1, (batch, 1), device=device)
        rank = torch.rand(batch, self.count, device=device).argsort(1).argsort(1)
        return rank < kept
