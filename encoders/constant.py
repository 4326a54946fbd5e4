"""An h that says nothing: the null that a conditional decoder is compared with."""

from torch import Tensor, nn


class Constant(nn.Module):
    """h is 0 for every image, float32 (B, h_dim), whatever the key `source` of the batch holds.

    A decoder trained on it differs from one trained on any other h only by what h says: it has
    conditioning maps too, which distinguish positions even under a constant h. An unconditional
    decoder lacks them.

    >>> Constant(2)(Tensor([[5.0]]))
    tensor([[0., 0.]])
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
