"""Class labels as h."""

import torch
from torch import Tensor, nn


class OneHot(nn.Module):
    """h is the one-hot vector of the class label (1606.05328 §3.2).

    `source` is the key that holds it, which may be any code that counts from 0.

    >>> OneHot(3)(torch.tensor([2, 0]))
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """

    def __init__(self, num_classes: int, *, source: str = "label") -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes is at least 1, not {num_classes}")
        self.h_dim = num_classes
        self.source = source

    def forward(self, x: Tensor) -> Tensor:
        """Labels int64 (B,) in 0…num_classes−1 to h, float32 (B, num_classes).

        Raises TypeError unless the labels are integers, ValueError, on a CPU, for one outside.
        """
        if x.is_floating_point() or x.dtype == torch.bool:
            raise TypeError(f"labels are int64, not {x.dtype}")
        # On an accelerator the check would make every step wait for the device, and in a compiled
        # step it would break the graph.
        if x.device.type == "cpu" and not torch.compiler.is_compiling():
            self.require(x)
        h = torch.zeros(len(x), self.h_dim, device=x.device)
        return h.scatter_(1, x.long().unsqueeze(1), 1.0)

    def require(self, x: Tensor) -> None:
        """Raise ValueError for labels outside 0…num_classes−1."""
        if x.numel() and not 0 <= x.min() <= x.max() < self.h_dim:
            raise ValueError(
                f"labels {int(x.min())}…{int(x.max())} do not fit num_classes={self.h_dim}"
            )
