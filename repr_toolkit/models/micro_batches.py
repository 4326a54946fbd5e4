"""The loss of a batch and its gradient, in parts: side by side, a thread each, or one by one.

One by one they need the memory of one part. Threads that share an operation meet at its end, a
thousand times a step, and wait there for one whose core another process has taken. Parts of a batch
meet once a step. What is computed depends on the size of the parts alone, not on the number of
threads.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

Batch = Mapping[str, Tensor]
"""One batch: `image`, uint8 (B, C, H, W) with values 0…levels−1, and the data's other keys."""

Part = tuple[Tensor, list[Tensor | None]]
"""The loss of a part of a batch, and its gradient by each parameter."""


class MicroBatches:
    """A loss, the mean over a batch, and its gradient as the weighted sum over parts of the batch.

    The parts have `size` images; the last one may have fewer. `loss` is a function of a batch and
    of `parameters`. On a CPU, if it is without `impurity`, they run on at most `threads` threads;
    with 0 of them one after another, on any device. Close it after use.
    """

    def __init__(
        self,
        loss: Callable[[Batch], Tensor],
        parameters: Sequence[nn.Parameter],
        size: int,
        threads: int,
    ) -> None:
        self._loss, self._parameters = loss, parameters
        self._size, self._threads = size, threads
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """The mean loss, a scalar; its backward pass gives the parameters their gradients.

        Raises RuntimeError where parts side by side drew random numbers, in an order that is
        chance.
        """
        loss: Tensor = _Loss.apply(self, batch, *self._parameters)
        return loss

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def parts(self, batch: Batch) -> Part:
        """The loss and the gradient of a batch."""
        count = len(batch["image"])
        starts = range(0, count, self._size)
        parts = [{k: v[i : i + self._size] for k, v in batch.items()} for i in starts]
        # Autocast is a setting of each thread, but the copies that it keeps are the process's.
        device = batch["image"].device
        autocast = torch.autocast(
            device.type,
            torch.get_autocast_dtype(device.type),
            torch.is_autocast_enabled(device.type),
            cache_enabled=False,
        )
        work = partial(self._part, autocast)
        state = torch.get_rng_state()
        loss = torch.zeros((), device=device)
        total: list[Tensor | None] = [None] * len(self._parameters)
        with threads_in_operations(1) if self._threads else nullcontext():
            # The first batch takes turns: it may compile.
            results = map(work, parts) if self._pool is None else self._pool.map(work, parts)
            for part, (value, gradient) in zip(parts, results, strict=True):
                weight = len(part["image"]) / count
                loss += weight * value
                for i, (so_far, one) in enumerate(zip(total, gradient, strict=True)):
                    if one is not None:
                        one = one * weight
                        total[i] = one if so_far is None else so_far.add_(one)
        if self._threads and not torch.equal(state, torch.get_rng_state()):
            raise RuntimeError(
                "the training loss draws random numbers only sometimes; parts of a batch are "
                "computed side by side, and the order of the draws would be chance"
            )
        threads = min(self._threads, len(parts))
        if self._pool is None and threads > 1:
            self._pool = ThreadPoolExecutor(
                threads, initializer=torch.set_num_threads, initargs=(1,)
            )
        return loss, total

    def _part(self, autocast: torch.autocast, part: Batch) -> Part:
        with torch.enable_grad(), copy(autocast):
            loss = self._loss(part)
        # Outside of autocast, as a whole batch's, whichever thread it is: the first batch's is the
        # caller's, which is within.
        with torch.autocast(part["image"].device.type, enabled=False):
            gradient = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        return loss.detach().float(), list(gradient)


def impurity(loss: Callable[[Batch], Tensor], module: nn.Module, batch: Batch) -> str:
    """What a loss of a module does besides: "draws random numbers", "writes buffers", or "".

    As dropout and batch normalisation do. It is tried on two images of a batch, which changes
    nothing.
    """
    state, buffers = torch.get_rng_state(), [b.clone() for b in module.buffers()]
    versions = [b._version for b in module.buffers()]
    with torch.no_grad():
        loss({key: value[:2] for key, value in batch.items()})
    draws = not torch.equal(state, torch.get_rng_state())
    writes = versions != [b._version for b in module.buffers()]
    torch.set_rng_state(state)
    if writes:
        for buffer, before in zip(module.buffers(), buffers, strict=True):
            buffer.copy_(before)
    return "draws random numbers" if draws else "writes buffers" if writes else ""


class _Loss(torch.autograd.Function):
    """A loss whose gradient is computed together with it."""

    @staticmethod
    def forward(ctx: Any, work: MicroBatches, batch: Batch, *parameters: Tensor) -> Tensor:
        loss, ctx.gradients = work.parts(batch)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        (grad,) = grads
        scaled = (None if g is None else g * grad for g in ctx.gradients)
        return None, None, *scaled


@contextmanager
def threads_in_operations(count: int) -> Iterator[None]:
    """So many threads inside an operation of this thread; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
