"""The steps of a recurrence in C++, on a CPU: recurrence.cpp, compiled on first use."""

import ctypes
from collections.abc import Mapping
from ctypes import Structure, c_int32, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.engines import native
from repr_toolkit.decoders.engines.library import BuildError, library

SOURCE = Path(__file__).with_name("recurrence.cpp")
FUNCTIONS = ("lstm_forward", "lstm_backward")
INDICES = ("lengths", "inside", "seen", "order")
TENSORS = (
    *("weight", "x", "outside", "gates", "states", "cells", "out"),
    *("by_gates", "by_x", "by_outside"),
)


class Lstm(Structure):
    """A call, as recurrence.cpp declares it."""

    _fields_ = [
        *((name, c_int32) for name in ("images", "directions", "pixels", "places", "features")),
        *((name, c_int32) for name in ("taps", "steps", "carried", "threads")),
        *((name, c_void_p) for name in (*INDICES, *TENSORS)),
    ]


def kernel(like: Tensor) -> ctypes.CDLL | None:
    """The kernel, if it serves tensors of such a device and dtype and can be built here."""
    if like.device.type != "cpu" or like.dtype not in (torch.float32, torch.float64):
        return None
    functions = library(SOURCE, FUNCTIONS)
    return None if isinstance(functions, BuildError) else functions


def forward(
    kernel: ctypes.CDLL, steps: Any, x: Tensor, taps: Tensor, outside: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `recurrence._forward_steps` returns."""
    (batch, pixels, directions, _), h = x.shape, outside.shape[2]
    out, gates, states, cells = (
        x.new_empty(directions, count, batch, width)
        for count, width in ((pixels, h), (pixels, 4 * h), (steps.count, h), (steps.count, h))
    )
    results = {"out": out, "gates": gates, "states": states, "cells": cells}
    _run(kernel.lstm_forward, steps, {"x": x, "weight": taps, "outside": outside, **results})
    return out, gates, states, cells


def backward(
    kernel: ctypes.CDLL,
    steps: Any,
    grad: Tensor,
    gates: Tensor,
    states: Tensor,
    cells: Tensor,
    taps: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """What `recurrence._backward_steps` returns."""
    directions, pixels, batch, width = gates.shape
    by_gates = gates.new_empty(gates.shape)
    by_x = gates.new_empty(batch, pixels, directions, width)
    by_outside = gates.new_empty(batch, 2, directions, width // 4)
    kept = {"out": grad, "gates": gates, "states": states, "cells": cells, "weight": taps}
    results = {"by_gates": by_gates, "by_x": by_x, "by_outside": by_outside}
    _run(kernel.lstm_backward, steps, kept | results)
    return by_gates, by_x, by_outside.sum(0)


def _run(function: Any, steps: Any, tensors: Mapping[str, Tensor]) -> None:
    """Call a function of the kernel, which fills outputs among the tensors; they are contiguous.

    `steps` are those of `recurrence.Steps`. Raises MemoryError where memory runs out.
    """
    directions, places, images, features = tensors["states"].shape
    job = native.structure(
        Lstm,
        {**steps.tables, **tensors},
        images=images,
        directions=directions,
        pixels=steps.order.shape[1],
        places=places,
        features=features,
        taps=len(steps.seen),
        steps=len(steps.cells),
        carried=steps.carried,
        threads=torch.get_num_threads(),
    )
    is_double = tensors["states"].dtype == torch.float64
    native.require_memory(function(ctypes.byref(job), is_double))
