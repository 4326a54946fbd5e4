"""The Row LSTM of van den Oord, Kalchbrenner and Kavukcuoglu 2016 (arXiv:1601.06759)."""

from typing import ClassVar

from torch import Tensor

from repr_toolkit.decoders.conditioning import ConditioningKind
from repr_toolkit.decoders.likelihoods import LikelihoodKind
from repr_toolkit.decoders.lstm import lstm_block
from repr_toolkit.decoders.pixel_network import PixelNetwork
from repr_toolkit.decoders.walks.row_lstm import RowLSTMWalk


class RowLSTM(PixelNetwork):
    """p(x|h), sub-pixel by sub-pixel, by LSTMs from the top row to the bottom (§3.1, Eq. 3).

    A masked 7×7 convolution to 2·h maps, `layers` LSTMs of h features (see `LSTMLayer`), and a head
    of two 1×1 layers. All pixels of a row are computed at once; each sees a triangle above it that
    widens by ⌊n/2⌋ a row, and not all its past.

    image_shape is (C, H, W), any H and W, C = 1 or 3; levels is the number of values.
    `likelihood` and `mixtures` are as in `GatedPixelCNN`: with "logistic_mixture" the network sees
    whole pixels. `features` is the paper's h, a multiple of C unless it does; `layers` counts
    the LSTMs; `kernel_size` is the odd n of input-to-state and state-to-state, and
    `first_kernel_size` that of the first layer; `head_features` is the width between the two layers
    of the head (default 2·features). With `residual` what an LSTM takes in is added to what it
    gives; with `skip` every LSTM is connected to the head directly, which then takes nothing else.
    `conditioning` and `map_features` are as in `GatedPixelCNN`; s enters, through V, the first
    layer and every LSTM's gates.

    Raises ValueError for sizes that cannot be.
    """

    whole_past: ClassVar[bool] = False

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 0,
        levels: int = 256,
        *,
        h_shape: tuple[int, ...] | None = None,
        features: int,
        layers: int,
        kernel_size: int = 3,
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
            block=lstm_block(kernel_size, diagonal=False, residual=residual, skip=skip),
        )

    def walk(self, h: Tensor | None, batch: int) -> RowLSTMWalk:
        """The walk through a batch of images that are drawn given h (batch, *h_shape)."""
        return RowLSTMWalk(self, h, batch)
