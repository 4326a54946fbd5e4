"""NICE (1410.8516): additive couplings of all sub-pixels, a diagonal scale, a logistic prior."""

from math import prod

from torch import Tensor, nn

from repr_toolkit.decoders.conditioning import conditioning_of
from repr_toolkit.decoders.flows.bijections import Diagonal, Shape
from repr_toolkit.decoders.flows.chain import Chain
from repr_toolkit.decoders.flows.couplings import ParityCoupling, Perceptron
from repr_toolkit.decoders.flows.dequantisation import DequantisationKind
from repr_toolkit.decoders.flows.flow import Flow
from repr_toolkit.decoders.flows.stages import LogisticPrior, Stage
from repr_toolkit.decoders.streams import apart


class NICE(Flow):
    """Couplings of the even by the odd sub-pixels and in turn, by perceptrons.

    z = exp(s) ⊙ f_n(… f_1(y)), each f_i adding to one half of the sub-pixels what a perceptron
    makes of the other half; the prior is logistic.

    `layers` couplings (4 in the paper) of `hidden` layers (5) of `features` ReLU units (1000). h, a
    map too, is a vector here, of which a linear map is added in every hidden layer, and moves place
    and scale of the prior. The last layer of each perceptron starts at 0, which the paper does not
    say. Raises ValueError for an image of one sub-pixel.
    """

    def __init__(
        self,
        image_shape: Shape,
        h_dim: int = 0,
        levels: int = 256,
        *,
        h_shape: tuple[int, ...] | None = None,
        layers: int = 4,
        hidden: int = 5,
        features: int = 1000,
        dequantisation: DequantisationKind = "uniform",
    ) -> None:
        super().__init__(image_shape, h_dim, levels, h_shape=h_shape, dequantisation=dequantisation)
        count = prod(image_shape)
        if count < 2:
            raise ValueError("an image of one sub-pixel has no two halves")
        if min(layers, hidden, features) < 1:
            raise ValueError("layers, hidden and features are at least 1 each")
        halves = (count + 1) // 2, count // 2
        with apart():
            conditioning = conditioning_of("vector", (self.h_dim,), (1, 1), 0)
        couplings = []
        for i in range(layers):
            stays, moves = halves[:: -1 if i % 2 else 1]
            network = Perceptron(stays, moves, features, hidden, self.h_dim)
            couplings.append(ParityCoupling(network, affine=False, odd=bool(i % 2)))
        steps = Chain([*couplings, Diagonal(self.image_shape)])
        prior = LogisticPrior(self.image_shape, self.h_dim)
        self.stages = nn.ModuleList([Stage(conditioning, steps, prior)])
        self.features = features

    def _parts(self, y: Tensor, h: Tensor | None) -> tuple[list[Tensor], Tensor]:
        return super()._parts(y, None if h is None else h.flatten(1))

    def inverse(self, z: Tensor, h: Tensor | None = None) -> Tensor:
        return super().inverse(z, None if h is None else h.flatten(1))

    @property
    def values_per_image(self) -> int:
        return max(prod(self.image_shape), self.features)
