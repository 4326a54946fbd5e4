"""Glow (1807.03039): scales of steps of actnorm, an invertible 1×1 convolution and a coupling."""

from math import prod
from typing import ClassVar, Literal

from torch import Tensor, nn

from repr_toolkit.decoders.conditioning import ConditioningKind, conditioning_of
from repr_toolkit.decoders.flows.bijections import COUPLING_BOUND, Bijection, Shape, Squeeze
from repr_toolkit.decoders.flows.chain import Chain, MemoryKind
from repr_toolkit.decoders.flows.couplings import ChannelCoupling
from repr_toolkit.decoders.flows.dequantisation import DequantisationKind
from repr_toolkit.decoders.flows.flow import Flow, require_scales
from repr_toolkit.decoders.flows.mixing import Mixing, PermutationKind
from repr_toolkit.decoders.flows.networks import ThreeConvs
from repr_toolkit.decoders.flows.stages import GaussianPrior, Stage
from repr_toolkit.decoders.streams import apart


class Step(Bijection):
    """Actnorm, a mixing of the channels, a coupling of their halves."""

    def __init__(
        self,
        channels: int,
        features: int,
        s_channels: int,
        permutation: PermutationKind,
        *,
        affine: bool,
        bound: float = COUPLING_BOUND,
    ) -> None:
        super().__init__()
        self.mixing = Mixing(channels, permutation)
        outputs = channels if affine else channels // 2
        network = ThreeConvs(channels // 2, outputs, features, s_channels)
        self.coupling = ChannelCoupling(network, affine=affine, bound=bound)

    def forward(self, x: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        x, log_det = self.mixing(x, s)
        y, further = self.coupling(x, s)
        return y, log_det + further

    def inverse(self, y: Tensor, s: Tensor | None) -> Tensor:
        return self.mixing.inverse(self.coupling.inverse(y, s), s)


class Glow(Flow):
    """L `scales` of K `steps`, each scale half the size of the one before it.

    After each scale but the last, half of the channels leave, by a normal law whose mean and σ are
    made of the other half; after the last, all leave. `features` is the width of the coupling
    networks (512 in the paper). `permutation` mixes the channels before each coupling: "lu", the
    1×1 convolution by its LU decomposition, "plain", the same by its weight, "shuffle", a random
    order that stays, or "reverse". `coupling` is "affine" or "additive". `conditioning` and
    `map_features` say how h becomes a map at each scale (`decoders/conditioning.py`), which every
    layer of every coupling and every prior gets. `memory` says what training keeps (see `Chain`);
    with "invert" it runs as written, though the training be compiled.

    `bound` holds the log-scales of couplings within ±`bound`, which the paper does not do, and
    exp of them takes the place of the paper's sigmoid(s + 2): the larger it is, the more a coupling
    can say, and the sooner an image unlike any that was trained on is not given back. The
    log-scales of actnorm, of the 1×1 convolutions and of priors are bounded as well; the weights of
    "plain" are not.

    Raises ValueError for sizes that 2^L does not divide, and other values that cannot be.
    """

    check_shapes: ClassVar[tuple[Shape, ...]] = ((1, 4, 8), (3, 4, 8))

    def __init__(
        self,
        image_shape: Shape,
        h_dim: int = 0,
        levels: int = 256,
        *,
        h_shape: tuple[int, ...] | None = None,
        scales: int = 3,
        steps: int = 8,
        features: int = 128,
        permutation: PermutationKind = "lu",
        coupling: Literal["affine", "additive"] = "affine",
        bound: float = COUPLING_BOUND,
        conditioning: ConditioningKind = "vector",
        map_features: int = 16,
        dequantisation: DequantisationKind = "uniform",
        memory: MemoryKind = "keep",
    ) -> None:
        super().__init__(image_shape, h_dim, levels, h_shape=h_shape, dequantisation=dequantisation)
        require_scales(scales, image_shape, least=1)
        if steps < 1 or features < 1:
            raise ValueError(f"steps and features are at least 1, not {steps} and {features}")
        if coupling not in ("affine", "additive"):
            raise ValueError(f'coupling is "affine" or "additive", not {coupling!r}')
        channels, height, width = image_shape
        self.features = features
        self.stages = nn.ModuleList()
        for scale in range(scales):
            channels, height, width = 4 * channels, height // 2, width // 2
            with apart():
                makes_s = conditioning_of(conditioning, self.h_shape, (height, width), map_features)
            s_channels = makes_s.channels if makes_s else 0
            chain: list[Bijection] = [Squeeze()]
            for _ in range(steps):
                affine = coupling == "affine"
                step = Step(channels, features, s_channels, permutation, affine=affine, bound=bound)
                chain.append(step)
            split = scale < scales - 1
            shape = (channels, height, width)
            prior = GaussianPrior(shape, s_channels, split=split, learned=True)
            self.stages.append(Stage(makes_s, Chain(chain, memory), prior))
            channels //= 2

    @property
    def values_per_image(self) -> int:
        return max(prod(self.image_shape), self.features * prod(self.image_shape[1:]) // 4)
