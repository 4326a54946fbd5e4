"""The contract every encoder keeps. It is structural: a plug-in need not inherit anything."""

from typing import Protocol

from torch import Tensor


class Encoder(Protocol):
    """An `nn.Module` that makes h, float32 (B, h_dim), from one key of a batch, its `source`.

    The toolkit also looks for these members, each of which an encoder may leave out:

    - `h_shape`: h is (B, *h_shape), a map (c, h′, w′), and h_dim its product.
    - `made_by`, str or None: which encoder made the vectors that this one reads.
    - `identity`, str: which encoder this is, where its class and weights do not say it best.
    - `parts`, slices of h by name: what `PART:SOURCE` of the commands that take a source reads.
    - `size`, (height, width): what it enlarges images to, which bounds a batch.
    - `masked(x, keep)` and `count`: h under a mask of its m = count numbers, of an encoder that
      hides random ones in training (see `MaskedCoordinates`).
    - `require(x)`: raises ValueError for values of its source that it cannot be given. It is asked
      of all data, on the CPU, before any work: a GPU would have to be waited for.
    - `image_shape` and `levels`: of the images that it was built for.

    An encoder that loads trained weights takes them as its argument `weights`; None loads none,
    since a saved run brings its own.
    """

    source: str
    h_dim: int

    def __call__(self, x: Tensor, /) -> Tensor: ...
