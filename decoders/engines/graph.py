"""The CUDA graph engine of the Gated PixelCNN: the cached engine's steps, recorded and replayed.

A pixel is some two hundred small operations, and launching them one by one costs more than their
arithmetic. Recorded as CUDA graphs, the step to the next row and the step to the next pixel are
one launch each, and nothing waits for the host until the images are done.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from repr_toolkit.decoders.engines.cached import Steps
from repr_toolkit.decoders.engines.draw import Draw, host_obstacle

if TYPE_CHECKING:
    from repr_toolkit.decoders.gated_pixelcnn import GatedPixelCNN

WARM_UP = 3
"""Runs before recording, in which libraries load kernels and allocate what they keep."""


def obstacle(model: GatedPixelCNN, draw: Draw | None = None) -> str | None:
    """Why the engine cannot draw from a model, or None if it can."""
    if model.head_hidden.weight.device.type != "cuda":
        return "it needs a CUDA device"
    return host_obstacle(model, draw)


def sample(model: GatedPixelCNN, draw: Draw) -> Tensor:
    """Draw uint8 images (B, C, H, W) on CUDA.

    The progress is how much is launched, which the device follows.
    """
    with torch.cuda.device(draw.noise.device):
        steps = Steps(model, draw)
        row, pixel = _record(steps)
        try:
            return steps.images(row.replay, pixel.replay)
        finally:  # before the graphs and their memory are freed
            torch.cuda.current_stream().synchronize()


def _record(steps: Steps) -> tuple[torch.cuda.CUDAGraph, torch.cuda.CUDAGraph]:
    """The graphs of the two steps, which are left at their start.

    What the steps keep was allocated before recording; what they make in between lies in memory
    of the graph's own.
    """
    current = torch.cuda.current_stream()
    stream = _side_stream(current.device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            steps.restart()
            steps.row()
            steps.pixel()
    current.wait_stream(stream)
    row, pixel = _graph(steps.row, stream), _graph(steps.pixel, stream)
    steps.restart()
    return row, pixel


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream to record on: one a device, as cuBLAS keeps a workspace for each that it sees."""
    return torch.cuda.Stream(device)


def _graph(step: Callable[[], None], stream: torch.cuda.Stream) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    # Thread-local, so that other threads may use the device meanwhile, as a data loader's does.
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        step()
    return graph
