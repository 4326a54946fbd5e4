"""What matrices a weight consists of, for optimizers that treat every matrix as a whole.

A kernel (out, in, …) is by itself one matrix (out, in·…).
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

MATRICES, TURNED = "matrices", "turned"  # attributes of the parameters that are no single matrix


def state_matrices(
    weight: Tensor, indices: Iterable[Any] = (...,), *, turned: bool = False
) -> None:
    """State that the matrices of a weight stand at some indices.

    `turned` says that its inputs come first, as those of a transposed convolution: (in, out, …).
    """
    setattr(weight, MATRICES, tuple(indices))
    setattr(weight, TURNED, turned)


def matrices(weight: Tensor, like: Tensor) -> list[Tensor]:
    """Views (out, in, …) of a tensor of a weight's shape, one for each of its matrices.

    >>> weight = Tensor(4, 2, 1, 1)
    >>> state_matrices(weight, parts(4, 2))
    >>> [tuple(view.shape) for view in matrices(weight, weight)]
    [(2, 2, 1, 1), (2, 2, 1, 1)]
    """
    if getattr(weight, TURNED, False):
        like = like.transpose(0, 1)
    return [like[index] for index in getattr(weight, MATRICES, (...,))]


def parts(rows: int, count: int) -> list[slice]:
    """Equal parts of so many rows, one after the other, such as the two halves of a gate."""
    size = rows // count
    return [slice(i * size, (i + 1) * size) for i in range(count)]
