"""Parts of a batch give the loss and the gradient of the batch, whatever the number of threads."""

import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from repr_toolkit.decoders import Glow
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.micro_batches import MicroBatches, impurity
from toys.decoders import Independent

BATCH = {"image": torch.ones(6, 1, 1, 1, dtype=torch.uint8)}


def model_and_batch() -> tuple[EncoderDecoder, dict[str, Tensor]]:
    torch.manual_seed(0)
    model = EncoderDecoder(None, Independent((1, 4, 4), 0, 9)).double()
    return model, {"image": torch.randint(0, 9, (10, 1, 4, 4)).to(torch.uint8)}


def gradients(
    loss: Callable[[Mapping[str, Tensor]], Tensor],
    parameters: list[nn.Parameter],
    batch: Mapping[str, Tensor],
    size: int,
    threads: int,
    batches: int = 2,
) -> tuple[Tensor, list[Tensor | None]]:
    """Loss and gradients of the last of some equal batches: the first one is not shared."""
    parts = MicroBatches(loss, parameters, size, threads)
    for _ in range(batches):
        for parameter in parameters:
            parameter.grad = None
        value = parts(batch)
        (2 * value).backward()
    parts.close()
    return value.detach(), [None if p.grad is None else p.grad / 2 for p in parameters]


@pytest.mark.parametrize("size", [1, 3, 5, 10, 99])
def test_loss_and_gradient_are_those_of_the_batch(size: int) -> None:
    model, batch = model_and_batch()
    parameters = [*model.parameters(), nn.Parameter(torch.zeros(2))]  # the last one plays no part
    expected = model.core(batch)
    by_autograd = torch.autograd.grad(expected, parameters, allow_unused=True)
    loss, by_parts = gradients(model.core, parameters, batch, size, threads=3)
    assert float(loss) == pytest.approx(expected.item(), rel=1e-6)
    assert by_parts[-1] is None
    for a, b in zip(by_parts[:-1], by_autograd[:-1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_the_number_of_threads_changes_nothing_and_is_restored() -> None:
    model, batch = model_and_batch()
    parameters, before = list(model.parameters()), torch.get_num_threads()
    results = [gradients(model.core, parameters, batch, 2, n, batches=3) for n in (1, 2, 7)]
    for loss, by_parts in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert all(
            torch.equal(a, b)
            for a, b in zip(by_parts, results[0][1], strict=True)
            if a is not None and b is not None
        )
    assert torch.get_num_threads() == before


class Drawing(Independent):
    """Its loss draws a random number."""

    def loss(self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None) -> Tensor:
        return super().loss(x, h, noise=noise) * (1 + torch.rand(()))


class Counting(Independent):
    """Its loss counts its calls in a buffer."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.register_buffer("calls", torch.zeros(()))

    def loss(self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None) -> Tensor:
        self.get_buffer("calls").add_(1)
        return super().loss(x, h, noise=noise)


@pytest.mark.parametrize(
    ("kind", "impure"),
    [(Independent, ""), (Drawing, "draws random numbers"), (Counting, "writes buffers")],
)
def test_a_loss_that_is_not_pure_takes_whole_batches(
    kind: type[Independent], impure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = EncoderDecoder(None, kind((1, 4, 4), 0, 9), micro_batch=2, threads=2)
    _, batch = model_and_batch()
    sizes: list[int] = []
    core = model.core

    def noting(batch: Mapping[str, Tensor]) -> Tensor:
        sizes.append(len(batch["image"]))
        return core(batch)

    model.compiled_core = noting
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert impurity(model.core, model, batch) == impure
    assert torch.equal(state, torch.get_rng_state())
    assert not dict(model.named_buffers()).get("decoder.calls", torch.zeros(())).any()
    for _ in range(2):
        model.training_loss(batch)
    assert sizes == ([2] * 10 if kind is Independent else [10, 10])
    told = f"  the loss {impure}: training.micro_batch is not used, threads share operations\n"
    assert capsys.readouterr().out == (told if impure else "")
    model.stop_threads()


@pytest.mark.parametrize("memory", ["keep", "recompute", "invert"])
def test_the_noise_of_a_flow_is_shared_out(
    memory: Literal["keep", "recompute", "invert"], capsys: pytest.CaptureFixture[str]
) -> None:
    _, batch = model_and_batch()
    torch.manual_seed(0)
    sizes = {"scales": 1, "steps": 2, "features": 4, "memory": memory}
    flow = Glow((1, 4, 4), 0, 9, dequantisation="variational", **sizes).double()
    flow.train().prepare([(batch["image"], None)])
    found: list[tuple[Tensor, list[Tensor], Tensor]] = []
    for way in ({}, *({"micro_batch": 3, "threads": threads} for threads in (1, 2, 4))):
        model = EncoderDecoder(None, deepcopy(flow), **way)
        torch.manual_seed(1)
        for _ in range(2):  # the first batch is not shared
            model.zero_grad()
            loss = model.training_step(batch)
            loss.backward()
        every = [p.grad for p in model.parameters() if p.grad is not None]
        found.append((loss.detach(), every, torch.get_rng_state()))
        model.stop_threads()
    whole, *parted = found
    for loss, every, state in parted:
        torch.testing.assert_close(loss, whole[0], rtol=1e-6, atol=0, check_dtype=False)
        for one, expected in zip(every, whole[1], strict=True):
            torch.testing.assert_close(one, expected, rtol=1e-9, atol=1e-12)
        assert torch.equal(state, whole[2])
        assert all(torch.equal(a, b) for a, b in zip(every, parted[0][1], strict=True))
    assert capsys.readouterr().out == ""


def test_gradients_are_computed_outside_of_autocast_by_every_thread() -> None:
    """Of a product with autocast off, whose backward pass would take up the caller's autocast."""
    torch.manual_seed(0)
    weight, image = nn.Parameter(torch.randn(8, 8)), torch.ones(6, 1, 8, 8, dtype=torch.uint8)

    def loss(batch: Mapping[str, Tensor]) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            product: Tensor = batch["image"].float().mean((0, 1)) @ weight.tanh() @ weight
        return product.square().mean()

    with torch.autocast("cpu", torch.bfloat16):
        found = [
            gradients(loss, [weight], {"image": image}, 3, threads, batches)[1][0]
            for threads in (0, 1, 2)
            for batches in (1, 2)
        ]
    expected = torch.autograd.grad(loss({"image": image}), weight)[0]
    for gradient in found:
        assert gradient is not None
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)


def test_random_numbers_drawn_later_are_an_error() -> None:
    weight, draws = nn.Parameter(torch.ones(())), [False]

    def loss(batch: Mapping[str, Tensor]) -> Tensor:
        return weight * (torch.rand(()) if draws[0] else 1.0)

    parts = MicroBatches(loss, [weight], size=2, threads=2)
    parts(BATCH)
    draws[0] = True
    with pytest.raises(RuntimeError, match="draws random numbers only sometimes"):
        parts(BATCH)
    parts.close()


def test_parts_run_side_by_side_after_the_first_batch() -> None:
    weight, names = nn.Parameter(torch.ones(())), list[str]()
    together = threading.Barrier(3, timeout=60)

    def loss(batch: Mapping[str, Tensor]) -> Tensor:
        names.append(threading.current_thread().name)
        if len(names) > 3:  # each waits for the two others
            together.wait()
        return weight * batch["image"].float().mean()

    gradients(loss, [weight], BATCH, 2, threads=3)
    assert len(set(names[:3])) == 1
    assert len(set(names[3:])) == 3


def test_autocast_reaches_every_thread() -> None:
    weight, dtypes = nn.Parameter(torch.ones(4, 4)), set[torch.dtype]()

    def loss(batch: Mapping[str, Tensor]) -> Tensor:
        product = batch["image"].flatten(1).float() @ weight
        dtypes.add(product.dtype)
        return product.float().mean()

    batch = {"image": torch.ones(6, 1, 2, 2, dtype=torch.uint8)}
    with torch.autocast("cpu", torch.bfloat16):
        gradients(loss, [weight], batch, 2, threads=3)
    assert dtypes == {torch.bfloat16}


def test_a_weight_that_is_used_often_has_one_gradient_under_autocast() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(16, 16) / 4)

    def loss(batch: Mapping[str, Tensor]) -> Tensor:
        x = batch["image"].flatten(1).float().expand(-1, 16)
        for _ in range(20):
            x = torch.tanh(x @ weight)
        return x.float().mean()

    gradients_seen = set()
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(20):
            _, (gradient,) = gradients(loss, [weight], BATCH, 1, threads=4)
            assert gradient is not None
            gradients_seen.add(gradient.sum().item())
    assert len(gradients_seen) == 1
