"""The native engine of the Gated PixelCNN: gated_pixelcnn_native.cpp draws whole images."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import Structure, c_int32, c_void_p
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.engines import native
from repr_toolkit.decoders.engines.draw import Draw
from repr_toolkit.decoders.engines.library import BuildError, library
from repr_toolkit.decoders.likelihoods import Bernoulli
from repr_toolkit.decoders.walks.gated_pixelcnn_weights import LayerWeights, layer_weights
from repr_toolkit.decoders.walks.weights import HeadWeights, head_weights

SOURCE = Path(__file__).with_suffix(".cpp")
FUNCTIONS = (
    *("sampler_new", "sampler_add_layer", "sampler_add_head", "sampler_run", "sampler_delete"),
)


def kernel() -> ctypes.CDLL | BuildError:
    """The kernel, or why there is none; built on first use."""
    return library(SOURCE, FUNCTIONS)


def obstacle(model: Any, draw: Draw | None = None) -> str | None:
    """Why the engine cannot draw from a model, or None if it can."""
    return native.obstacle(model, model.head_hidden.weight, draw, kernel)


def sample(
    model: Any, draw: Draw, *, params: Tensor | None = None, choices: Tensor | None = None
) -> Tensor:
    """Draw uint8 images (B, C, H, W); see `native.draw_images`."""
    s = model.conditioning(draw.h) if model.conditioning is not None else None
    layers, head = layer_weights(model), _head(model)
    map_height, map_width = (0, 0) if s is None else s.shape[2:]
    inputs = native.structure(
        _Inputs,
        {
            "scale": model.scale(torch.arange(256)),
            "map": None if s is None else s.to(draw.noise.dtype).permute(0, 2, 3, 1),
        },
        map_height=map_height,
        map_width=map_width,
    )
    with _sampler(layers, head, draw.noise, model.groups) as (functions, sampler):
        return native.draw_images(
            lambda job: functions.sampler_run(sampler, ctypes.byref(inputs), ctypes.byref(job)),
            draw,
            model,
            params=params,
            choices=choices,
        )


def _head(model: Any) -> HeadWeights:
    """The head's matrices; beside one logit stands that of level 0, which is 0."""
    head = head_weights(model)
    if not isinstance(model.likelihood, Bernoulli):
        return head
    logits, logits_bias = (
        torch.stack([torch.zeros_like(one), one], -1).flatten(-2)
        for one in (head.logits, head.logits_bias)
    )
    return dataclasses.replace(head, logits=logits, logits_bias=logits_bias)


@contextmanager
def _sampler(
    layers: Iterator[LayerWeights], head: HeadWeights, noise: Tensor, groups: int
) -> Iterator[tuple[ctypes.CDLL, c_void_p]]:
    """The kernel's functions, and a packed copy of the network for noise (B, C, H, W)."""
    functions = kernel()
    if isinstance(functions, BuildError):
        raise functions
    channels, dtype = noise.shape[1], noise.dtype
    first = next(layers)
    sizes = _Sizes(
        channels=channels,
        groups=groups,
        parameters=head.logits.shape[1] // groups,
        features=first.features,
        reach=first.reach(channels),
        head_features=head.hidden.shape[1],
        map_channels=0 if first.condition is None else first.condition.shape[0],
    )
    sampler = c_void_p()
    is_double = dtype == torch.float64
    native.require_memory(
        functions.sampler_new(ctypes.byref(sizes), is_double, ctypes.byref(sampler))
    )
    try:
        # A layer at a time, so that there are never two copies of the whole network.
        for layer in chain([first], layers):
            weights = _pointers(_LayerWeights, layer, dtype)
            native.require_memory(functions.sampler_add_layer(sampler, ctypes.byref(weights)))
        weights = _pointers(_HeadWeights, head, dtype)
        native.require_memory(functions.sampler_add_head(sampler, ctypes.byref(weights)))
        yield functions, sampler
    finally:
        functions.sampler_delete(sampler)


def _pointers(
    kind: type[Structure], weights: LayerWeights | HeadWeights, dtype: torch.dtype
) -> Structure:
    tensors = {n: None if t is None else t.to(dtype) for n, t in vars(weights).items()}
    return native.structure(kind, tensors)


class _Sizes(Structure):
    _fields_ = [
        (name, c_int32)
        for name in (
            *("channels", "groups", "parameters", "features", "reach", "head_features"),
            "map_channels",
        )
    ]


class _LayerWeights(Structure):
    _fields_ = [(field.name, c_void_p) for field in dataclasses.fields(LayerWeights)]


class _HeadWeights(Structure):
    _fields_ = [(field.name, c_void_p) for field in dataclasses.fields(HeadWeights)]


class _Inputs(Structure):
    _fields_ = [
        ("scale", c_void_p),
        ("map", c_void_p),
        ("map_height", c_int32),
        ("map_width", c_int32),
    ]
