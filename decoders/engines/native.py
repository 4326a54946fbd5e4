"""What the native engines share: a call into C++ in a thread of its own, its progress, Ctrl-C.

A native engine is a kernel in C++, made of `draw.h`, `products.h`, `simd.h` and `threads.h`, and
the Python that packs a model's matrices for it. Both stand with the model's walk: this module
knows no model.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from ctypes import Structure, c_double, c_int32, c_int64, c_void_p
from threading import Event, Thread
from typing import Any, TypeVar

import torch
from torch import Tensor

from repr_toolkit.decoders.engines.draw import Draw
from repr_toolkit.decoders.engines.library import BuildError
from repr_toolkit.decoders.likelihoods import Bernoulli, Categorical, DiscretizedLogisticMixture

SECONDS_BETWEEN_LOOKS = 0.1
HOTTEST = 1e30
"""A temperature at which all levels have the same mass, and which float32 can hold."""


class Job(Structure):
    """One call, as draw.h declares it: what is to be drawn, and where it goes."""

    _fields_ = [
        *((name, c_int32) for name in ("images", "channels", "height", "width", "levels")),
        *((name, c_int32) for name in ("threads", "mixtures", "parameters")),
        *((name, c_double) for name in ("temperature", "least_log_scale", "greatest_log_scale")),
        *(
            (name, c_void_p)
            for name in ("noise", "known", "mask", "x", "params", "choices", "decided_by")
        ),
        ("rows_done", c_int64),
        ("stop", c_int32),
    ]


def obstacle(
    model: Any, weight: Tensor, draw: Draw | None, library: Callable[[], ctypes.CDLL | BuildError]
) -> str | None:
    """Why a kernel cannot draw from a model with weights like this one, or None if it can.

    `library` gives the kernel, and builds it on first use. A subclass of `Draw` that decides the
    levels by a `level` or `keep` of its own is an obstacle, since a kernel calls neither.
    """
    if weight.device.type != "cpu":
        return f"it runs on the CPU, and the model is on {weight.device.type}"
    if weight.dtype not in (torch.float32, torch.float64):
        return f"it takes float32 and float64 weights, not {weight.dtype}"
    if not isinstance(model.likelihood, Bernoulli | Categorical | DiscretizedLogisticMixture):
        return f"it knows no {type(model.likelihood).__name__}"
    if draw is not None:
        kind = type(draw)
        if kind.level is not Draw.level or kind.keep is not Draw.keep or kind.on_host:
            return f"it decides the levels in C++, and a {kind.__name__} decides them in Python"
    kernel = library()
    return str(kernel) if isinstance(kernel, BuildError) else None


def draw_images(
    run: Callable[[Job], int],
    draw: Draw,
    model: Any,
    *,
    params: Tensor | None = None,
    choices: Tensor | None = None,
) -> Tensor:
    """The images, uint8 (B, C, H, W), that `run`, a call into a kernel, draws for a `Job`.

    `run` returns 0, or another number where memory ran out. It works on torch's number of threads,
    each with images of its own. One logit of a Bernoulli is two to it, of which the first is 0. It
    also fills `params` (B, C or 1, H, W, K), of the noise's dtype, and `choices`, uint8
    (B, C, H, W), with what `model.params` gives and the levels drawn from it, also where `known`
    stays.

    Raises MemoryError where memory runs out, and ValueError where `params` or `choices` are not
    contiguous.
    """
    for name, tensor in (("params", params), ("choices", choices)):
        if tensor is not None and not tensor.is_contiguous():
            raise ValueError(f"{name} is filled in place and must be contiguous")
    batch, channels, height, width = draw.noise.shape
    x = torch.empty(draw.noise.shape, dtype=torch.uint8)
    tensors = {
        "noise": draw.noise,
        "known": draw.known,
        "mask": None if draw.mask is None else draw.mask.to(torch.uint8),
        "x": x,
        "params": params,
        "choices": choices,
        "decided_by": draw.decided_by,
    }
    likelihood = model.likelihood
    mixture: dict[str, Any] = {}
    if isinstance(likelihood, DiscretizedLogisticMixture):
        mixture["mixtures"] = likelihood.mixtures
        mixture["least_log_scale"], mixture["greatest_log_scale"] = likelihood.log_scales
    job = structure(
        Job,
        tensors,
        images=batch,
        channels=channels,
        height=height,
        width=width,
        levels=model.levels,
        threads=torch.get_num_threads(),
        parameters=model.levels if isinstance(likelihood, Bernoulli) else likelihood.size,
        **mixture,
        temperature=min(draw.temperature, HOTTEST),
    )
    status: list[int] = []
    done = Event()

    def work() -> None:
        try:
            status.append(run(job))
        finally:
            done.set()

    # A thread of its own, so that this one can show progress and heed Ctrl-C. It waits for an
    # event, since Python 3.11 takes a thread for ended once its join was interrupted.
    thread = Thread(target=work, daemon=True)
    try:
        try:
            thread.start()
        except RuntimeError:  # the machine gives no more threads
            work()
        while not done.wait(SECONDS_BETWEEN_LOOKS):
            draw.progress(job.rows_done / (batch * height))
        draw.progress(1.0)
    finally:
        job.stop = 1
        _wait_through_interrupts(done)
    require_memory(status[0])
    return x


S = TypeVar("S", bound=Structure)


def structure(kind: type[S], tensors: Mapping[str, Tensor | None], **numbers: Any) -> S:
    """A C structure with pointers to the contiguous memory of `tensors`, which it keeps alive.

    A tensor that is not contiguous is copied; None is a null pointer.
    """
    contiguous = {name: t.contiguous() for name, t in tensors.items() if t is not None}
    result = kind(**{name: t.data_ptr() for name, t in contiguous.items()}, **numbers)
    result.tensors = contiguous
    return result


def require_memory(status: int) -> None:
    """Raise MemoryError unless a kernel's function returned 0."""
    if status:
        raise MemoryError("there is no memory for so many images at once; take fewer")


def _wait_through_interrupts(done: Event) -> None:
    """Wait for a thread whose memory is freed afterwards; raise KeyboardInterrupt only then."""
    interrupted = False
    while not done.is_set():
        try:
            done.wait()
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
