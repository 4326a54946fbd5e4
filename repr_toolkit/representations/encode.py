"""From an encoder and a data set to a Representation."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from math import prod
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from repr_toolkit.data import ImageData
from repr_toolkit.encoders import Encoder
from repr_toolkit.models.precision import exactly
from repr_toolkit.representations.representation import H, Representation
from repr_toolkit.support.console import bar
from repr_toolkit.support.processes import fastest_device

BATCH_PIXELS = 2**21  # of the images that a network sees at a time


def encoded(
    name: str,
    encoder: Encoder,
    data: ImageData,
    made_by: str,
    *,
    batch_size: int = 256,
    progress: bool = False,
) -> Representation:
    """h of all images by an encoder, on the fastest device, in eval mode and full precision.

    Raises ValueError for data without the key that the encoder reads, and what the encoder says
    of images that do not fit it.
    """
    keys = data.splits["train"].keys
    if encoder.source not in keys:
        raise ValueError(
            f"{name} reads {encoder.source!r}, which {data.name} has not; it has {', '.join(keys)}"
        )
    net = cast(nn.Module, encoder).eval().to(fastest_device())
    try:
        # An encoder that enlarges its images needs memory for as many pixels.
        size = getattr(encoder, "size", None)
        if isinstance(size, tuple):
            batch_size = max(1, min(batch_size, BATCH_PIXELS // prod(size)))
        total = sum(len(split) for split in data.splits.values())
        h, done = {}, 0
        with bar(f"h of {name}", total, shown=progress) as show, exactly():
            for key, split in data.splits.items():
                values = np.empty((len(split), encoder.h_dim), np.float32)
                for start in range(0, len(split), batch_size):
                    rows = slice(start, min(start + batch_size, len(split)))
                    x = split[rows][encoder.source].to(fastest_device())
                    values[rows] = encoder(x).flatten(1).to(torch.float32).cpu().numpy()
                    show(done + rows.stop)
                done += len(split)
                h[key] = values
    finally:
        net.cpu()
    return of(name, made_by, data, h)


def of(name: str, made_by: str, data: ImageData, h: Mapping[str, H]) -> Representation:
    """h of these data."""
    return Representation(name, made_by, data.fingerprint, data.levels, h)


def identity(encoder: Encoder, arguments: Mapping[str, Any], data: ImageData) -> str:
    """Which encoder this is: its own `identity`, or its class with a digest of what makes it.

    That is its class's path, its arguments with their defaults (but for where weights came from),
    and its weights, whatever file they came from.
    """
    kind = type(encoder)
    own = getattr(encoder, "identity", None)
    if isinstance(own, str):
        found = own
    else:
        digest = hashlib.sha256(f"{kind.__module__}.{kind.__qualname__}".encode())
        stated = json.dumps(_with_defaults(kind, arguments), sort_keys=True, default=str)
        digest.update(stated.encode())
        digest.update(weights_digest(cast(nn.Module, encoder)).encode())
        found = f"{kind.__name__} {digest.hexdigest()[:12]}"
    if encoder.source == "image":
        return f"{found} of {'×'.join(map(str, data.image_shape))} images"
    maker = getattr(encoder, "made_by", None) or data.encoder
    return f"{found} of {maker}" if encoder.source == "embedding" and maker else found


def weights_digest(module: nn.Module) -> str:
    """SHA-256 (hex) of all weights and buffers by name, but for counters of batches."""
    digest = hashlib.sha256()
    for key, value in sorted(module.state_dict().items()):
        if not key.endswith("num_batches_tracked"):
            digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
            raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(raw.numpy().data)
    return digest.hexdigest()


def _with_defaults(kind: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(kind).parameters
    defaults = {
        key: parameter.default
        for key, parameter in parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    known = {**defaults, **arguments}
    return {key: value for key, value in known.items() if key != "weights"}
