"""The CUDA graph engine: the steps of a model's walk, recorded and replayed.

A pixel is some two hundred small operations, and launching them one by one costs more than their
arithmetic. Recorded as CUDA graphs, the step to the next row and the step to the next pixel are
one launch each, and nothing waits for the host until the images are done.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.engines import walk
from repr_toolkit.decoders.engines.draw import Draw, host_obstacle
from repr_toolkit.decoders.engines.walk import Walk, decide

WARM_UP = 3
"""Runs before recording, in which libraries load kernels and allocate what they keep."""

Step = Callable[[], None]


def obstacle(model: Any, draw: Draw | None = None) -> str | None:
    """Why the engine cannot draw from a model, or None if it can."""
    if next(model.parameters()).device.type != "cuda":
        return "it needs a CUDA device"
    return walk.obstacle(model, draw) or host_obstacle(model, draw)


def sample(model: Any, draw: Draw) -> Tensor:
    """Draw uint8 images (B, C, H, W) on CUDA from a model with a `walk`.

    The progress is how much is launched, which the device follows.
    """
    with torch.cuda.device(draw.noise.device):
        walk = model.walk(draw.h, len(draw.noise))
        graphs: list[torch.cuda.CUDAGraph] = []

        def record(step: Step, start: Step) -> Step:
            graphs.append(_graph(step, start))
            return graphs[-1].replay

        try:
            return replayed(walk, draw, record)
        finally:  # before the graphs and their memory are freed
            torch.cuda.current_stream().synchronize()


def replayed(walk: Walk, draw: Draw, record: Callable[[Step, Step], Step]) -> Tensor:
    """Draw uint8 images (B, C, H, W) by steps that are recorded once for every kind.

    `record` is given a step and what brings the walk to where it can be made; it returns what
    replays it.
    """
    x = torch.zeros(draw.noise.shape, dtype=torch.uint8, device=draw.noise.device)
    height, width = x.shape[2:]

    def start(position: int) -> None:
        walk.restart()
        walk.position.fill_(position)

    def pixel(kind: Hashable) -> None:
        walk.pixel(kind)
        decide(walk, draw, x, walk.position // width, walk.position % width)

    rows: dict[Hashable, Step] = {}
    pixels: dict[Hashable, Step] = {}
    order = [(row, column) for row in range(height) for column in range(width)]
    for position, (row_kind, pixel_kind) in enumerate(walk.kinds(*place) for place in order):
        at = partial(start, position)
        if position % width == 0 and row_kind not in rows:
            rows[row_kind] = record(partial(walk.row, row_kind), at)
        if pixel_kind not in pixels:
            pixels[pixel_kind] = record(partial(pixel, pixel_kind), at)
    start(0)
    for row, column in order:
        row_kind, pixel_kind = walk.kinds(row, column)
        if column == 0:
            rows[row_kind]()
        pixels[pixel_kind]()
        if column == width - 1:
            draw.progress((row + 1) / height)
    return x


def _graph(step: Step, start: Step) -> torch.cuda.CUDAGraph:
    """The graph of a step.

    What the walk keeps was allocated before recording; what a step makes in between lies in memory
    of the graph's own.
    """
    current = torch.cuda.current_stream()
    stream = _side_stream(current.device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            start()
            step()
    current.wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Thread-local, so that other threads may use the device meanwhile, as a data loader's does.
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        step()
    return graph


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream to record on: one a device, as cuBLAS keeps a workspace for each that it sees."""
    return torch.cuda.Stream(device)
