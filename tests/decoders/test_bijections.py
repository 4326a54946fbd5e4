"""The parts of flows: each with its inverse, and the determinant of its Jacobian."""

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from repr_toolkit.decoders import NICE, Flow, RealNVP
from repr_toolkit.decoders.flows.bijections import ActNorm, Bijection, Diagonal, Logit, Squeeze
from repr_toolkit.decoders.flows.chain import Chain
from repr_toolkit.decoders.flows.couplings import (
    ChannelCoupling,
    CheckerboardCoupling,
    ParityCoupling,
    Perceptron,
)
from repr_toolkit.decoders.flows.glow import Step
from repr_toolkit.decoders.flows.mixing import LU, Mixing, mixing_matrix
from repr_toolkit.decoders.flows.networks import ResidualNet, ThreeConvs
from repr_toolkit.decoders.flows.stages import GaussianPrior, LogisticPrior, Stage
from repr_toolkit.testing import randomised

SHAPE = (4, 2, 4)
Build = Callable[[int], nn.Module]


def coupling(make: Any, network: Any, count: int = 4, **options: Any) -> Build:
    def build(s_channels: int) -> Bijection:
        outputs = count * (2 if options["affine"] else 1)
        built: Bijection = make(network(count, outputs, s_channels), **options)
        return built

    return build


def three(inputs: int, outputs: int, s_channels: int) -> ThreeConvs:
    return ThreeConvs(inputs, outputs, 5, s_channels)


def residual(inputs: int, outputs: int, s_channels: int) -> ResidualNet:
    return ResidualNet(inputs, outputs, 5, 1, s_channels)


def perceptron(inputs: int, outputs: int, s_channels: int) -> Perceptron:
    return Perceptron(inputs, outputs, 5, 2, s_channels)


def step(permutation: Any, affine: bool) -> Build:
    return lambda s_channels: Step(4, 5, s_channels, permutation, affine=affine)


board = partial(CheckerboardCoupling, size=(2, 4))
PARTS: dict[str, Build] = {
    "squeeze": lambda _: Squeeze(),
    "logit": lambda _: Logit(0.05),
    "diagonal": lambda _: Diagonal(SHAPE),
    **{f"mixing-{kind}": partial(lambda kind, _: Mixing(4, kind), kind)
       for kind in ("lu", "plain", "shuffle", "reverse", None)},
    "channels": coupling(ChannelCoupling, three, 2, affine=True),
    "channels-second": coupling(ChannelCoupling, residual, 2, affine=True, second=True),
    "channels-additive": coupling(ChannelCoupling, three, 2, affine=False),
    "checkerboard": coupling(board, residual, affine=True, odd=False),
    "checkerboard-odd": coupling(board, residual, affine=False, odd=True),
    "parity": coupling(ParityCoupling, perceptron, 16, affine=False, odd=False),
    "parity-odd": coupling(ParityCoupling, perceptron, 16, affine=True, odd=True),
    "step": step("lu", True),
    "chain": lambda s_channels: Chain([step("plain", False)(s_channels), Squeeze()]),
}  # fmt: skip
PRIORS: dict[str, Build] = {
    "split": lambda n: GaussianPrior(SHAPE, n, split=True, learned=True),
    "split-fixed": lambda n: GaussianPrior(SHAPE, n, split=True, learned=False),
    "top": lambda n: GaussianPrior(SHAPE, n, split=False, learned=True),
    "top-fixed": lambda n: GaussianPrior(SHAPE, n, split=False, learned=False),
    "logistic": lambda n: LogisticPrior(SHAPE, n),
}


def example(build: Build, s_channels: int) -> tuple[Any, Tensor, Tensor | None]:
    torch.manual_seed(0)
    part = randomised(build(s_channels))
    x = torch.rand(2, *SHAPE, dtype=torch.float64) - 0.5
    s = torch.randn(2, s_channels, 1, 1, dtype=torch.float64) if s_channels else None
    return part, x, s


def jacobians(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∂f/∂x of each of a batch, (B, D, D)."""
    whole = torch.autograd.functional.jacobian(lambda x: f(x).flatten(1).sum(0), x)
    return whole.flatten(2).transpose(0, 1)


@pytest.mark.parametrize("s_channels", [0, 3])
@pytest.mark.parametrize("build", PARTS.values(), ids=PARTS)
def test_a_part_has_its_inverse_and_its_determinant(build: Build, s_channels: int) -> None:
    part, x, s = example(build, s_channels)
    y, log_det = part(x, s)
    torch.testing.assert_close(part.inverse(y, s), x, rtol=0, atol=1e-12)
    found = torch.linalg.slogdet(jacobians(lambda x: part(x, s)[0], x)).logabsdet
    torch.testing.assert_close(log_det.expand(2), found, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("s_channels", [0, 3])
@pytest.mark.parametrize("build", PRIORS.values(), ids=PRIORS)
def test_a_prior_standardises_what_leaves(build: Build, s_channels: int) -> None:
    """log p(z) = log N(ε; 0, 1) + log|det ∂(rest, ε)/∂x| for the ε that it is made to."""
    prior, x, s = example(build, s_channels)

    def made(x: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        rest, z, log_p = prior(x, s)
        return rest, prior.standardised(z), log_p

    def as_one(x: Tensor) -> Tensor:
        rest, e, _ = made(x)
        return e if rest is None else torch.cat([rest, e], 1)

    rest, e, log_p = made(x)
    assert e.shape[1:] == prior.part
    back = prior.inverse(rest, prior.restored(e), s)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-12)
    normal = torch.distributions.Normal(0, 1).log_prob(e).flatten(1).sum(1)
    log_det = torch.linalg.slogdet(jacobians(as_one, x)).logabsdet
    torch.testing.assert_close(log_p, normal + log_det, rtol=1e-10, atol=1e-10)


class Plane(Flow):
    """Two steps of two channels of one pixel: a density in the plane."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        steps = Chain([Turned(), *(Step(2, 8, 0, "lu", affine=True) for _ in range(3))])
        prior = GaussianPrior((2, 1, 1), 0, split=False, learned=True)
        self.stages = nn.ModuleList([Stage(None, steps, prior)])


class Turned(Bijection):
    """Columns as channels."""

    def forward(self, x: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        return x.transpose(1, 3), x.new_zeros(())

    def inverse(self, y: Tensor, s: Tensor | None) -> Tensor:
        return y.transpose(1, 3)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (Plane, {}),
        (NICE, {"layers": 3, "hidden": 1, "features": 8}),
        (NICE, {"layers": 2, "hidden": 1, "features": 8, "h_dim": 2}),
        (RealNVP, {"scales": 0, "features": 4, "blocks": 1, "alpha": 0.1}),
        (RealNVP, {"scales": 0, "features": 4, "blocks": 0, "h_dim": 2}),
    ],
)
@torch.no_grad()
def test_a_density_integrates_to_one(make: Any, options: dict[str, Any]) -> None:
    """By the midpoint rule, of RealNVP over the logits of pixels."""
    torch.manual_seed(1)
    model = randomised(make((1, 1, 2), **options))
    for parameter in model.parameters():
        parameter *= 0.3  # which spread less far
    if model.has_preparation:
        h = torch.randn(64, 2, dtype=torch.float64) if model.h_dim else None
        model.prepare([(torch.randint(0, 256, (64, 1, 1, 2), dtype=torch.uint8), h)])
    first = model.stages[0].steps.steps[0]
    sides, reach, total = 1000, 24.0, 0.0
    middles = ((torch.arange(sides) + 0.5) / sides * 2 - 1).double() * reach
    for row in middles.split(100):
        y, log_det = torch.cartesian_prod(row, middles)[:, None, None], 0
        if isinstance(first, Logit):
            y = first.inverse(y, None)
            log_det = first(y, None)[1]
        h = torch.tensor([[0.3, -0.8]]).double().expand(len(y), 2) if model.h_dim else None
        total += float((model.log_density(y, h) - log_det).exp().sum())
    assert total * (2 * reach / sides) ** 2 == pytest.approx(1, abs=1e-3)


def test_actnorm_takes_its_statistics_once() -> None:
    torch.manual_seed(0)
    norm, x = ActNorm(3), 3 * torch.randn(5, 3, 4, 4) + 7
    norm.take(x)
    assert not norm.prepared
    norm.preparing = True
    norm.take(x)
    assert norm.prepared
    scale, bias, log_scale = norm.affine()
    y = x * scale[:, None, None] + bias[:, None, None]
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(y.var((0, 2, 3), correction=0), torch.ones(3))
    torch.testing.assert_close(log_scale.exp(), scale)
    assert {"mean", "log_deviation", "prepared"} <= norm.state_dict().keys()


@pytest.mark.parametrize("kind", ["lu", "plain", "shuffle", "reverse"])
def test_mixing_begins_with_a_rotation_or_a_permutation(kind: Any) -> None:
    torch.manual_seed(0)
    mix = mixing_matrix(kind, 12)
    matrix, log_det = mix()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(12), rtol=0, atol=1e-5)
    assert abs(log_det.item()) < 1e-5
    assert (matrix.count_nonzero() == 12) == (kind in ("shuffle", "reverse"))
    assert isinstance(mix, LU) == (kind == "lu")


def test_what_cannot_mix_is_named() -> None:
    unknown: Any = "random"
    with pytest.raises(ValueError, match="not 'random'"):
        mixing_matrix(unknown, 3)


def test_inverses_are_kept_until_the_weights_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """By one comparison for all of them."""
    torch.manual_seed(0)
    chain = Chain([Mixing(4, "lu"), Mixing(4, "plain"), Step(4, 2, 0, "shuffle", affine=True)])
    inverted, equal = Mock(wraps=torch.linalg.inv_ex), Mock(wraps=torch.equal)
    monkeypatch.setattr(torch.linalg, "inv_ex", inverted)
    monkeypatch.setattr(torch, "equal", equal)
    x = torch.randn(2, 4, 3, 3)
    with torch.inference_mode():
        chain.inverse(x, None)
    chain.inverse(x, None)
    assert (inverted.call_count, equal.call_count) == (3, 1)
    for parameter in chain.parameters():  # in a way that no version counter sees
        parameter.data.copy_(torch.randn_like(parameter) * 0.3)
        y, _ = chain(x, None)
        torch.testing.assert_close(chain.inverse(y, None), x, rtol=0, atol=1e-4)
    y, _ = chain.double()(x.double(), None)
    torch.testing.assert_close(chain.inverse(y, None), x.double(), rtol=0, atol=1e-12)


def test_a_coupling_scales_by_its_bound_at_most() -> None:
    network = three(2, 4, 0)
    with torch.no_grad():
        for parameter in network.out.conv.parameters():
            parameter.fill_(1e6)
    for bound in (0.5, 2.0):
        _, log_scale = ChannelCoupling(network, affine=True, bound=bound).maps(
            torch.zeros(1, 2, 3, 3), None
        )
        assert log_scale is not None
        torch.testing.assert_close(log_scale, torch.full_like(log_scale, bound))
    with pytest.raises(ValueError, match="is positive, not 0"):
        ChannelCoupling(network, affine=True, bound=0)


def test_log_scales_are_bounded() -> None:
    """Of parameters beyond all reason every part stays finite, and has its inverse."""
    for build in PARTS.values():
        part: Any = randomised(build(0))
        for name, parameter in part.named_parameters():
            if "log" in name:
                parameter.data.fill_(1e6)
        x = torch.rand(2, *SHAPE, dtype=torch.float64) - 0.5
        y, log_det = part(x, None)
        assert y.isfinite().all()
        assert log_det.isfinite().all()
        torch.testing.assert_close(part.inverse(y, None), x, rtol=0, atol=1e-8)
