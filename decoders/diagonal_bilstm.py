"""The Diagonal BiLSTM of van den Oord, Kalchbrenner and Kavukcuoglu 2016 (arXiv:1601.06759)."""

from typing import ClassVar

from torch import Tensor

from repr_toolkit.decoders.conditioning import ConditioningKind
from repr_toolkit.decoders.likelihoods import LikelihoodKind
from repr_toolkit.decoders.lstm import lstm_block
from repr_toolkit.decoders.pixel_network import PixelNetwork
from repr_toolkit.decoders.walks.diagonal_bilstm import DiagonalBiLSTMWalk


class DiagonalBiLSTM(PixelNetwork):
    """p(x|h), sub-pixel by sub-pixel, by LSTMs from both upper corners along diagonals (§3.2).

    A masked 7×7 convolution to 2·h maps, `layers` LSTMs of h features in two directions (see
    `LSTMLayer`), and a head of two 1×1 layers. All pixels of a diagonal are computed at once; each
    sees its whole past, in a single layer. For that the maps are a column wider than the image: as
    published, the last pixel of a row is seen only by those of the next that the 7×7 kernel
    reaches, since the maps at each pixel hold what is before it, and there are none after the last.

    The arguments are those of `RowLSTM`, but for `kernel_size`: input-to-state is 1×1, and
    state-to-state sees the pixels above and before. Raises ValueError for sizes that cannot be.
    """

    beyond: ClassVar[int] = 1

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 0,
        levels: int = 256,
        *,
        h_shape: tuple[int, ...] | None = None,
        features: int,
        layers: int,
        first_kernel_size: int = 7,
        head_features: int | None = None,
        residual: bool = True,
        skip: bool = False,
        conditioning: ConditioningKind = "vector",
        map_features: int = 32,
        likelihood: LikelihoodKind = "categorical",
        mixtures: int = 10,
    ) -> None:
        super().__init__(
            image_shape,
            h_dim,
            levels,
            h_shape=h_shape,
            features=features,
            layers=layers,
            first_kernel_size=first_kernel_size,
            head_features=head_features,
            conditioning=conditioning,
            map_features=map_features,
            likelihood=likelihood,
            mixtures=mixtures,
            block=lstm_block(1, diagonal=True, residual=residual, skip=skip),
        )

    def walk(self, h: Tensor | None, batch: int) -> DiagonalBiLSTMWalk:
        """The walk through a batch of images that are drawn given h (batch, *h_shape)."""
        return DiagonalBiLSTMWalk(self, h, batch)
