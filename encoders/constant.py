"""An h that says nothing: the null that a conditional decoder is held against."""

from torch import Tensor, nn


class Constant(nn.Module):
    """h is 0 for every image, float32 (B, h_dim), whatever the batch's `source` holds.

    A decoder that is trained on it is the same as with any h, its conditioning maps included,
    but for what h says. An unconditional decoder lacks those maps too, which tell positions apart
    even for an h that is constant.
    """

    def __init__(self, h_dim: int = 1, *, source: str = "image") -> None:
        super().__init__()
        if h_dim < 1:
            raise ValueError(f"h_dim is at least 1, not {h_dim}")
        self.h_dim = h_dim
        self.source = source

    def forward(self, x: Tensor) -> Tensor:
        """Anything (B, …) to zeros (B, h_dim)."""
        return x.new_zeros((len(x), self.h_dim)).float()
