"""Stored numbers as h, a random part of them hidden in training: one decoder for every part."""

import torch
from torch import Tensor, nn

from repr_toolkit.encoders.precomputed import Precomputed


class MaskedCoordinates(nn.Module):
    """h is [v ⊙ keep, keep] for the m stored numbers v of an image and a mask keep in {0, 1}^m.

    In training, how many numbers of an image stay is drawn uniformly from 0…m, and which ones
    uniformly from the sets of that size, by torch's global generator. In eval mode all stay;
    `masked` takes any mask. So one decoder is trained on p(x | any part of v), the empty part
    included: it is its own null, and what one number adds to others is a difference within one
    network.

    The arguments are those of `Precomputed`, where `h_dim` is m; the attribute `h_dim` is 2m.
    Numbers should have mean 0, since a hidden one reads 0.

    >>> MaskedCoordinates(2).masked(torch.tensor([[5.0, 7.0]]), torch.tensor([False, True]))
    tensor([[0., 7., 0., 1.]])
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
        self.numbers = Precomputed(h_dim, source=source, offset=offset, scale=scale)
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
        """h of numbers (B, …) under a mask, bool (m,) or (B, m), True where a number stays.

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
        size = torch.randint(self.count + 1, (batch, 1), device=device)
        rank = torch.rand(batch, self.count, device=device).argsort(1).argsort(1)
        return rank < size
