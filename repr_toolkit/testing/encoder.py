"""The contract of an encoder."""

from collections.abc import Mapping
from copy import deepcopy
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from repr_toolkit.testing.contract import Contract, ContractError

BATCH = 4


def check_encoder(encoder: Any, batch: Mapping[str, Tensor] | None = None) -> list[str]:
    """Check an encoder on a batch (default: random images and labels of the sizes it names).

    Returns the sentences that hold; raises ContractError for the first that does not.
    """
    contract = Contract()
    require = contract.require
    require(isinstance(encoder, nn.Module), "it is a torch.nn.Module")
    for name, kind in (("source", str), ("h_dim", int)):
        require(isinstance(getattr(encoder, name, None), kind), f"it has {name}: {kind.__name__}")
    if batch is None:
        batch = _random_batch(encoder)
    if encoder.source not in batch:
        raise ContractError(
            f"its source is {encoder.source!r}, and the batch to check it on has only "
            f"{', '.join(batch)}; give check_encoder a batch of your own"
        )
    x = batch[encoder.source]
    before = deepcopy(x)
    encoder = deepcopy(encoder).eval()
    with torch.no_grad():
        h, again, first = encoder(x), encoder(x), encoder(x[:1])
    h_shape = tuple(getattr(encoder, "h_shape", (encoder.h_dim,)))
    named = "(B, *h_shape)" if hasattr(encoder, "h_shape") else "(B, h_dim)"
    require(prod(h_shape) == encoder.h_dim, "h_dim is the product of h_shape", h_shape)
    require(tuple(h.shape) == (len(x), *h_shape), f"forward gives h of shape {named}", h.shape)
    require(h.dtype == torch.float32, "h is float32", h.dtype)
    require(h.isfinite().all(), "h is finite")
    require(torch.equal(h, again), "in eval mode the same x gives the same h")
    require(
        torch.allclose(h[:1], first, rtol=1e-3, atol=1e-5),
        "in eval mode h of an image does not depend on the others of its batch",
    )
    require(torch.equal(x, before), "forward leaves its input as it was")
    trained = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    if trained:
        h = encoder.train()(x)
        if h.requires_grad:
            h.square().sum().backward()
        unreached = [name for name, parameter in trained.items() if parameter.grad is None]
        require(not unreached, "every parameter that requires a gradient gets one", unreached)
    return contract.sentences


def _random_batch(encoder: nn.Module) -> dict[str, Tensor]:
    shape = getattr(encoder, "image_shape", (3, 32, 32))
    levels = getattr(encoder, "levels", 256)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, levels, (BATCH, *shape), generator=generator)
    labels = torch.arange(BATCH) % getattr(encoder, "h_dim", BATCH)
    return {"image": images.to(torch.uint8), "label": labels}
