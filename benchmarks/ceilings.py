"""The most that the machine can do, measured by plain torch calls in the same run.

The shapes are those of the work: the vertical stack's convolution at batch 16, for 66 features
with 3×3 kernels and for the paper's 384 with 5×5, and one product of a sampler's step. As a
matrix product, M × K by K × N, such a convolution has M = 16·32·32 positions, K = inputs times
kernel and N outputs. torch computes products and convolutions by different libraries, and either
may be faster: the ceiling is the better of the two.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from rich.table import Table
from torch import Tensor

from benchmarks.device import one_thread, waiting
from repr_toolkit.support.processes import fastest_device

BATCH, SIDE = 16, 32


@dataclass(frozen=True)
class Convolution:
    """The vertical stack's convolution of some features, its kernel cropped."""

    features: int
    kernel: tuple[int, int]

    @property
    def product(self) -> tuple[int, int, int]:
        """M, K and N of the same work as a matrix product."""
        return BATCH * SIDE**2, prod(self.kernel) * self.features, 2 * self.features


STEP = Convolution(66, (2, 3))
PAPER = Convolution(384, (3, 5))
CELL = (8, 66, 48)
"""8 images, 66 maps, 48 outputs: about the work of one layer for one sub-pixel."""


@dataclass(frozen=True)
class Ceilings:
    """FLOP/s by kind of work, as a matrix product and as a convolution; bytes/s of memory."""

    products: dict[str, float]
    convolutions: dict[str, float]
    cell: float
    bandwidth: float

    def of(self, kind: str) -> float:
        """The better FLOP/s of the two, for "fp32", "bf16" or "paper fp32"."""
        return max(self.products[kind], self.convolutions[kind])


def measure(seconds: float = 1.0) -> Ceilings:
    """The best of many calls of each kind, within `seconds` for each kind; there are eight."""
    kinds = {
        "fp32": (STEP, torch.float32),
        "bf16": (STEP, torch.bfloat16),
        "paper fp32": (PAPER, torch.float32),
    }
    with torch.inference_mode():
        return Ceilings(
            {kind: product(c.product, dtype, seconds) for kind, (c, dtype) in kinds.items()},
            {kind: convolution(c, dtype, seconds) for kind, (c, dtype) in kinds.items()},
            product(CELL, torch.float32, seconds, threads=1),
            bandwidth(seconds),
        )


def product(
    shape: tuple[int, int, int], dtype: torch.dtype, seconds: float, threads: int | None = None
) -> float:
    """FLOP/s of torch.mm."""
    m, k, n = shape
    a, b, out = _random((m, k), dtype), _random((k, n), dtype), _random((m, n), dtype)
    calls = max(1, 10**7 // (m * k * n))  # long beside a reading of the clock
    with one_thread() if threads == 1 else nullcontext():
        return 2 * m * k * n / _best(lambda: torch.mm(a, b, out=out), seconds, calls)


def convolution(shape: Convolution, dtype: torch.dtype, seconds: float) -> float:
    """FLOP/s of torch's convolution, with channels last."""
    p, (height, width) = shape.features, shape.kernel
    x = _random((BATCH, p, SIDE + height - 1, SIDE + width - 1), dtype)
    weight = _random((2 * p, p, height, width), dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    weight = weight.contiguous(memory_format=torch.channels_last)
    return 2 * prod(shape.product) / _best(lambda: F.conv2d(x, weight), seconds)


def bandwidth(seconds: float, floats: int = 2**26) -> float:
    """Bytes/s of a ← b + c, two arrays read and one written, far larger than any cache."""
    a, b, c = (torch.ones(floats, device=fastest_device()) for _ in range(3))
    return 3 * 4 * floats / _best(lambda: torch.add(b, c, out=a), seconds)


def table(ceilings: Ceilings) -> Table:
    """The ceilings as the bench prints them."""
    result = Table(title="measured ceilings", title_justify="left")
    result.add_column("what")
    for heading in ("as a product", "as a convolution"):
        result.add_column(heading, justify="right")
    for kind, shape in {"fp32": STEP, "bf16": STEP, "paper fp32": PAPER}.items():
        m, k, n = shape.product
        values = (ceilings.products[kind], ceilings.convolutions[kind])
        result.add_row(f"{kind}, {m}×{k}×{n}", *(f"{v / 1e9:,.0f} GFLOP/s" for v in values))
    m, k, n = CELL
    result.add_row(f"fp32, {m}×{k}×{n}, one thread", f"{ceilings.cell / 1e9:,.0f} GFLOP/s", "")
    result.add_row("memory, a ← b + c of 256 MB each", f"{ceilings.bandwidth / 1e9:,.0f} GB/s", "")
    return result


def _random(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.rand(shape, device=fastest_device()).to(dtype)


def _best(call: Callable[[], object], seconds: float, calls: int = 1) -> float:
    """The shortest time of a call, over blocks of `calls` calls for `seconds`."""

    def block() -> None:
        for _ in range(calls):
            call()

    block = waiting(block)
    block()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        block()
        times.append((time.perf_counter() - begin) / calls)
    return min(times)
