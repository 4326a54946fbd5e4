"""Parts of a batch give the loss and the gradient of the batch, whatever the number of threads."""

import threading
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.micro_batches import MicroBatches
from toys.decoders import Independent


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


def test_a_loss_that_draws_random_numbers_runs_in_turns() -> None:
    weight = nn.Parameter(torch.ones(()))
    names: set[str] = set()

    def loss(batch: Mapping[str, Tensor]) -> Tensor:
        names.add(threading.current_thread().name)
        return (weight * torch.rand(len(batch["image"]))).mean()

    batch = {"image": torch.zeros(6, 1, 1, 1, dtype=torch.uint8)}
    results = []
    for threads in (1, 3):
        torch.manual_seed(0)
        results.append(gradients(loss, [weight], batch, 2, threads, batches=3)[0])
    assert torch.equal(*results)
    assert names == {threading.current_thread().name}


def test_parts_run_side_by_side_after_the_first_batch() -> None:
    weight, names = nn.Parameter(torch.ones(())), list[str]()
    together = threading.Barrier(3, timeout=60)

    def loss(batch: Mapping[str, Tensor]) -> Tensor:
        names.append(threading.current_thread().name)
        if len(names) > 3:  # each waits for the two others
            together.wait()
        return weight * batch["image"].float().mean()

    batch = {"image": torch.ones(6, 1, 1, 1, dtype=torch.uint8)}
    gradients(loss, [weight], batch, 2, threads=3)
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


def test_batch_statistics_are_of_the_whole_batch() -> None:
    model, _ = model_and_batch()
    for normalised in (False, True):
        model = EncoderDecoder(None, Independent((1, 4, 4), 0, 9), micro_batch=2)
        if normalised:
            model.decoder.extra = nn.BatchNorm2d(1)
        model.on_fit_start()
        assert (model.micro_batches is None) == normalised
        model.on_fit_end()
