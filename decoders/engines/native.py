"""The native engine of the Gated PixelCNN: one call into C++ (native.cpp) draws whole images."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import Structure, c_double, c_int32, c_int64, c_void_p
from threading import Event, Thread
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from repr_toolkit.decoders.engines import weights
from repr_toolkit.decoders.engines.draw import Draw, host_obstacle
from repr_toolkit.decoders.engines.library import BuildError, library

if TYPE_CHECKING:
    from repr_toolkit.decoders.gated_pixelcnn import GatedPixelCNN

SECONDS_BETWEEN_LOOKS = 0.1
HOTTEST = 1e30
"""A temperature at which all levels have the same mass, and which float32 can hold."""


def obstacle(model: GatedPixelCNN, draw: Draw | None = None) -> str | None:
    """Why the engine cannot draw from a model, or None if it can. Builds it on first use."""
    weight = model.head_hidden.weight
    if weight.device.type != "cpu":
        return f"it runs on the CPU, and the model is on {weight.device.type}"
    if weight.dtype not in (torch.float32, torch.float64):
        return f"it takes float32 and float64 weights, not {weight.dtype}"
    built = library()
    return str(built) if isinstance(built, BuildError) else host_obstacle(model, draw)


def sample(
    model: GatedPixelCNN,
    draw: Draw,
    *,
    logits: Tensor | None = None,
    choices: Tensor | None = None,
) -> Tensor:
    """Draw uint8 images (B, C, H, W) on torch's number of threads, each with images of its own.
    For a look inside, `logits` (B, C, H, W, K), of the weights' dtype, and
    `choices` (uint8 (B, C, H, W)) are filled with the logits of every sub-pixel and with what is
    drawn from them, also where `known` stays instead; both contiguous.

    Raises MemoryError where memory runs out.
    """
    h, noise = draw.h, draw.noise
    s = model.conditioning(h) if model.conditioning is not None and h is not None else None
    drawn = torch.empty(noise.shape, dtype=torch.uint8)
    given = {
        "scaled": model.scale(torch.arange(256)),
        "map": s.to(noise.dtype).permute(0, 2, 3, 1) if s is not None else None,
        "noise": noise,
        "known": draw.known,
        "mask": draw.mask.to(torch.uint8) if draw.mask is not None else None,
        "drawn": drawn,
        "logits": logits,
        "choices": choices,
    }
    for name in ("logits", "choices"):
        tensor = given[name]
        if tensor is not None and not tensor.is_contiguous():
            raise ValueError(f"{name} is filled in place and must be contiguous")
    # What the call reads and writes, alive until it returns.
    tensors = {name: t.contiguous() for name, t in given.items() if t is not None}
    pointers = {name: t.data_ptr() for name, t in tensors.items()}
    batch, _, height, _ = noise.shape
    job = _Job(
        images=batch,
        threads=torch.get_num_threads(),
        temperature=min(draw.temperature, HOTTEST),
        **pointers,
    )
    with _sampler(model, None if s is None else s.shape) as (native, sampler):
        status: list[int] = []
        done = Event()

        def run() -> None:
            try:
                status.append(native.sampler_run(sampler, ctypes.byref(job)))
            finally:
                done.set()

        # In a thread of its own, so that this one can show progress and heed Ctrl-C. It waits for
        # an event, since Python 3.11 takes a thread whose join is interrupted for ended.
        thread = Thread(target=run, daemon=True)
        try:
            try:
                thread.start()
            except RuntimeError:  # the machine gives no more threads
                run()
            while not done.wait(SECONDS_BETWEEN_LOOKS):
                draw.progress(job.rows_done / (batch * height))
            draw.progress(1.0)
        finally:
            job.stop = 1
            _outlast(done)
        _require_memory(status[0])
    return drawn


def _outlast(done: Event) -> None:
    """Wait, whatever interrupts: what a thread works on is freed afterwards."""
    interrupted = False
    while not done.is_set():
        try:
            done.wait()
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt


@contextmanager
def _sampler(
    model: GatedPixelCNN, map_shape: tuple[int, ...] | None
) -> Iterator[tuple[ctypes.CDLL, c_void_p]]:
    """The library, and in it a packed copy of the model for conditioning maps of that shape."""
    native = library()
    if isinstance(native, BuildError):
        raise native
    first = model.gated_layers()[0]
    map_channels, map_height, map_width = map_shape[1:] if map_shape else (0, 0, 0)
    channels, height, width = model.image_shape
    shape = _Shape(
        channels=channels,
        height=height,
        width=width,
        levels=model.levels,
        features=first.features,
        layers=len(model.layers),
        reach=first.vertical.reach,
        head_features=model.head_hidden.out_channels,
        map_channels=map_channels,
        map_height=map_height,
        map_width=map_width,
    )
    is_double = model.head_hidden.weight.dtype == torch.float64
    sampler = c_void_p()
    _require_memory(native.sampler_new(ctypes.byref(shape), is_double, ctypes.byref(sampler)))
    try:
        # A layer at a time, so that there are never two copies of the whole network.
        dtype = model.head_hidden.weight.dtype
        for layer in weights.layer_weights(model):
            _add(native.sampler_add_layer, sampler, _LayerWeights, layer, dtype)
        _add(native.sampler_add_head, sampler, _HeadWeights, weights.head_weights(model), dtype)
        yield native, sampler
    finally:
        native.sampler_delete(sampler)


def _add(
    function: Callable[..., int],
    sampler: c_void_p,
    kind: type[Structure],
    matrices: object,
    dtype: torch.dtype,
) -> None:
    tensors = {
        name: matrix.to(dtype).contiguous()
        for name, matrix in vars(matrices).items()
        if matrix is not None
    }
    pointers = {name: tensor.data_ptr() for name, tensor in tensors.items()}
    _require_memory(function(sampler, ctypes.byref(kind(**pointers))))


def _require_memory(status: int) -> None:
    if status:
        raise MemoryError("there is no memory for drawing so many images at once; draw fewer")


class _Shape(Structure):
    _fields_ = [
        (name, c_int32)
        for name in (
            *("channels", "height", "width", "levels", "features", "layers", "reach"),
            *("head_features", "map_channels", "map_height", "map_width"),
        )
    ]


class _LayerWeights(Structure):
    _fields_ = [(field.name, c_void_p) for field in dataclasses.fields(weights.LayerWeights)]


class _HeadWeights(Structure):
    _fields_ = [(field.name, c_void_p) for field in dataclasses.fields(weights.HeadWeights)]


class _Job(Structure):
    _fields_ = [
        ("images", c_int32),
        ("threads", c_int32),
        ("temperature", c_double),
        *(
            (name, c_void_p)
            for name in ("scaled", "map", "noise", "known", "mask", "drawn", "logits", "choices")
        ),
        ("rows_done", c_int64),
        ("stop", c_int32),
    ]
