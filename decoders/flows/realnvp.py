"""RealNVP (1605.08803): couplings by checkerboards and by channels, of the logits of pixels."""

from math import prod
from typing import ClassVar, Literal

from torch import nn

from repr_toolkit.decoders.conditioning import ConditioningKind, conditioning_of
from repr_toolkit.decoders.flows.bijections import COUPLING_BOUND, Bijection, Logit, Shape, Squeeze
from repr_toolkit.decoders.flows.chain import Chain, MemoryKind
from repr_toolkit.decoders.flows.couplings import ChannelCoupling, CheckerboardCoupling, Coupling
from repr_toolkit.decoders.flows.dequantisation import DequantisationKind
from repr_toolkit.decoders.flows.flow import Flow, require_scales
from repr_toolkit.decoders.flows.mixing import Mixing
from repr_toolkit.decoders.flows.networks import ResidualNet
from repr_toolkit.decoders.flows.stages import GaussianPrior, Stage
from repr_toolkit.decoders.streams import apart


class RealNVP(Flow):
    """At each of L `scales` three checkerboard couplings, a squeeze, three couplings of channels.

    After each scale half of the channels leave; then come four more checkerboards, and all leaves
    (§3.6). So a grey image of 28×28, which can be halved twice, has L ≤ 2, and L = 0 is
    checkerboards alone, of any size. The pixels are logits of α + (1 − 2α)x, whose log-determinant
    counts. The networks are residual, `blocks` blocks of `features` maps; actnorm takes the place
    of batch normalisation in them and after each coupling, and the priors are standard normal,
    unless h moves them. The log-scales of couplings are held within ±`bound`, where the paper
    learns the size of a tanh; actnorm's are bounded as well. `conditioning`, `map_features`,
    `bound` and `memory` are those of `Glow`.

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
        scales: int = 2,
        features: int = 32,
        blocks: int = 2,
        alpha: float = 0.05,
        bound: float = COUPLING_BOUND,
        conditioning: ConditioningKind = "vector",
        map_features: int = 16,
        dequantisation: DequantisationKind = "uniform",
        memory: MemoryKind = "keep",
    ) -> None:
        super().__init__(image_shape, h_dim, levels, h_shape=h_shape, dequantisation=dequantisation)
        require_scales(scales, image_shape, least=0)
        if features < 1 or blocks < 0:
            raise ValueError(f"features is at least 1, blocks 0, not {features} and {blocks}")
        self.features = features
        self.stages = nn.ModuleList()

        def stage(
            shape: Shape,
            first: list[Bijection],
            couplings: int,
            kind: Literal["checkerboard", "channels"],
            leaves: Literal["half", "all"] | None,
        ) -> Stage:
            """What is `first`, then couplings of a kind; then half of the channels or all leave."""
            channels, *size = shape
            with apart():
                makes_s = conditioning_of(
                    conditioning, self.h_shape, (size[0], size[1]), map_features
                )
            s_channels = makes_s.channels if makes_s else 0
            chain = first
            for number in range(couplings):
                inputs = channels // 2 if kind == "channels" else channels
                network = ResidualNet(inputs, 2 * inputs, features, blocks, s_channels)
                odd = bool(number % 2)
                coupling: Coupling
                if kind == "channels":
                    coupling = ChannelCoupling(network, affine=True, second=odd, bound=bound)
                else:
                    place = (size[0], size[1])
                    coupling = CheckerboardCoupling(
                        network, place, affine=True, odd=odd, bound=bound
                    )
                chain += [coupling, Mixing(channels, None)]
            prior = None
            if leaves:
                prior = GaussianPrior(shape, s_channels, split=leaves == "half", learned=False)
            return Stage(makes_s, Chain(chain, memory), prior)

        channels, height, width = image_shape
        first: list[Bijection] = [Logit(alpha)]
        for _ in range(scales):
            shape = (channels, height, width)
            self.stages.append(stage(shape, first, 3, "checkerboard", None))
            first = []
            channels, height, width = 4 * channels, height // 2, width // 2
            shape = (channels, height, width)
            self.stages.append(stage(shape, [Squeeze()], 3, "channels", "half"))
            channels //= 2
        self.stages.append(stage((channels, height, width), first, 4, "checkerboard", "all"))

    @property
    def values_per_image(self) -> int:
        return max(prod(self.image_shape), self.features * prod(self.image_shape[1:]))
