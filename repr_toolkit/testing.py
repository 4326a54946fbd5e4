"""Conformance checks for anyone's encoder or decoder: `repr-toolkit check CLASS_PATH`.

Each check states one sentence of the contract and raises `ContractError` where it does not hold.
The checks run in float64 on random parameters, since zero-initialised layers would hide a leak.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from repr_toolkit.decoders import AutoregressiveDecoder, Decoder

BATCH = 4

AnyDecoder = TypeVar("AnyDecoder", bound=Decoder)


class ContractError(ValueError):
    """What the contract says and the class does not do."""


def check(class_path: str, **init_args: Any) -> list[str]:
    """Check the class of that import path, and return the sentences that hold.

    A class with `log_prob` is a decoder and is built for small grey and RGB images, with and
    without h; any other is an encoder. `init_args` are its further arguments.

    Raises ContractError for the first sentence that does not hold, ValueError where the class
    cannot be imported or built.
    """
    from repr_toolkit.config.build import import_class

    cls = import_class(class_path, nn.Module, "the class to check")
    try:
        if not hasattr(cls, "log_prob"):
            return check_encoder(cls(**_with_defaults(cls, init_args)))
        passed = []
        for channels in (1, 3):
            for h_dim in (0, 4):
                shape = (channels, 5, 4)
                model = cls(**({"image_shape": shape, "h_dim": h_dim, "levels": 5} | init_args))
                label = f"{'RGB' if channels == 3 else 'grey'}, h_dim={h_dim}"
                passed += [f"{label}: {sentence}" for sentence in check_decoder(model)]
    except TypeError as error:
        raise ValueError(f"{class_path} cannot be built: {error}") from error
    return passed


def check_encoder(encoder: Any, batch: Mapping[str, Tensor] | None = None) -> list[str]:
    """Check an encoder on a batch (default: random images and labels of the sizes it names).

    Returns the sentences that hold; raises ContractError for the first that does not.
    """
    _require(isinstance(encoder, nn.Module), "it is a torch.nn.Module")
    for name, kind in (("source", str), ("h_dim", int)):
        _require(isinstance(getattr(encoder, name, None), kind), f"it has {name}: {kind.__name__}")
    if batch is None:
        batch = _random_batch(encoder)
    if encoder.source not in batch:
        raise ContractError(
            f"its source is {encoder.source!r}, and the batch to check it on has only "
            f"{', '.join(batch)}; give check_encoder a batch of your own"
        )
    x = batch[encoder.source]
    was = deepcopy(x)
    encoder.eval()
    with torch.no_grad():
        h, again, alone = encoder(x), encoder(x), encoder(x[:1])
    shape = (len(x), encoder.h_dim)
    return [
        _require(tuple(h.shape) == shape, "forward gives h of shape (B, h_dim)", tuple(h.shape)),
        _require(h.dtype == torch.float32, "h is float32", h.dtype),
        _require(bool(h.isfinite().all()), "h is finite"),
        _require(torch.equal(h, again), "in eval mode the same x gives the same h"),
        _require(
            torch.allclose(h[:1], alone, rtol=1e-3, atol=1e-5),
            "in eval mode h of an image does not depend on the others of its batch",
        ),
        _require(torch.equal(x, was), "forward leaves its input as it was"),
    ]


def check_decoder(decoder: Decoder) -> list[str]:
    """Check a decoder: its contract and, if it is autoregressive, causality and reach.

    Meant for a small image_shape, since the Jacobian is taken whole. The decoder itself is left
    as it is. Returns the sentences that hold; raises ContractError for the first that does not.
    """
    for name in ("image_shape", "h_dim", "levels"):
        _require(hasattr(decoder, name), f"it has {name}")
    decoder = randomised(decoder)
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, *decoder.image_shape)
    x = torch.randint(0, decoder.levels, shape, generator=generator).to(torch.uint8)
    h = None
    if decoder.h_dim:
        h = torch.randn(BATCH, decoder.h_dim, generator=generator, dtype=torch.float64)
    log_prob = decoder.log_prob(x, h)
    loss = decoder.loss(x, h)
    loss.backward()
    untrained = [
        name for name, p in decoder.named_parameters() if p.requires_grad and p.grad is None
    ]
    passed = [
        _require(tuple(log_prob.shape) == (BATCH,), "log_prob has shape (B,)", log_prob.shape),
        _require(bool((log_prob <= 0).all()), "log_prob is that of a discrete image, ≤ 0"),
        _require(loss.shape == () and bool(loss.isfinite()), "loss is a finite scalar"),
        _require(not untrained, "every parameter gets a gradient from the loss", untrained),
        *(
            _require(
                _raises_type_error(method, x.double(), h), f"{name} refuses floats by TypeError"
            )
            for name, method in (("log_prob", decoder.log_prob), ("loss", decoder.loss))
        ),
    ]
    if isinstance(decoder, AutoregressiveDecoder):
        passed += _check_autoregression(decoder, x, h)
    return passed + _check_sampling(decoder, x, h, generator)


def randomised(decoder: AnyDecoder, seed: int = 0) -> AnyDecoder:
    """A copy in float64 and eval mode with every parameter drawn from a normal distribution.

    Weights are scaled by their fan-in, so that no gate saturates until its gradient rounds to 0.
    """
    decoder = deepcopy(decoder).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in decoder.parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            fan_in = prod(parameter.shape[1:])
            parameter.copy_(drawn / fan_in**0.5 if parameter.ndim > 1 else 0.5 * drawn)
    return decoder


def _check_sampling(
    decoder: Decoder, x: Tensor, h: Tensor | None, generator: torch.Generator
) -> list[str]:
    noise = torch.rand(x.shape, generator=generator, dtype=torch.float64)
    n = None if decoder.h_dim else BATCH
    # A plug-in that inherits nothing may leave `obstacle` out: its engines run everywhere.
    obstacle = getattr(decoder, "obstacle", lambda engine: None)
    engines = [engine for engine in decoder.engines if obstacle(engine) is None]
    images = {
        engine: decoder.sample(h, n, noise=noise, engine=engine) for engine in ("auto", *engines)
    }
    mask = noise > 0.5
    completed = decoder.sample(h, n, noise=noise, known=x, mask=mask)
    drawn = images["auto"]
    return [
        _require(
            drawn.dtype == torch.uint8
            and drawn.shape == x.shape
            and int(drawn.max()) < decoder.levels,
            "sample gives uint8 images (B, C, H, W) with values 0…levels−1",
        ),
        _require(
            all(torch.equal(drawn, other) for other in images.values()),
            f"all engines ({', '.join(engines)}) give one image for one noise",
        ),
        _require(torch.equal(completed[mask], x[mask]), "completion keeps the known sub-pixels"),
    ]


def _check_autoregression(decoder: AutoregressiveDecoder, x: Tensor, h: Tensor | None) -> list[str]:
    channels, height, width = decoder.image_shape
    dims = prod(decoder.image_shape)
    depends = torch.zeros(channels, height, width, channels, height, width, dtype=torch.float64)
    reached = torch.zeros(channels, height, width, dtype=torch.float64)
    # Several draws of the parameters, because in one of them a ReLU may be off.
    for seed in range(BATCH):
        model = randomised(decoder, seed)
        image = x[seed : seed + 1].double()
        if h is None:
            over_x = jacobian(model.params, image, vectorize=True)
        else:
            over_x, over_h = jacobian(model.params, (image, h[seed : seed + 1]), vectorize=True)
            reached += over_h.abs().sum((0, 4, 5, 6))
        depends += over_x.abs().sum(4)[0, :, :, :, 0]
    seen = (depends > 0).permute(1, 2, 0, 4, 5, 3)  # (H, W, C, H, W, C), outputs first
    future = torch.ones(dims, dims, dtype=torch.bool).triu()
    leaks = (seen.reshape(dims, dims) & future).any(1).nonzero().flatten().tolist()
    blind = _blind_spot(seen)
    passed = [
        _require(
            not leaks,
            "no sub-pixel depends on itself or a later one",
            [_name(i, width, channels) for i in leaks],
        ),
        _require(not blind, "it has no blind spot", blind),
        _require(
            decoder.params(x, h).stride(-1) == 1, "params are contiguous in their last dimension"
        ),
    ]
    if h is not None:
        passed.append(_require(bool((reached > 0).all()), "h reaches every sub-pixel"))
    return passed


def _blind_spot(seen: Tensor) -> list[str]:
    """Earlier pixels that are not seen although the pixel right above them is."""
    height, width = seen.shape[:2]
    pixels = seen.any(5).any(2)  # (H, W, H, W)
    missed = []
    for r in range(height):
        for c in range(width):
            for row in range(1, r + 1):
                columns = width if row < r else c
                hidden = pixels[r, c, row - 1, :columns] & ~pixels[r, c, row, :columns]
                missed += [
                    f"pixel ({r}, {c}) does not see ({row}, {column})"
                    for column in hidden.nonzero().flatten().tolist()
                ]
    return missed


def _name(index: int, width: int, channels: int) -> str:
    pixel, c = divmod(index, channels)
    return f"row {pixel // width}, column {pixel % width}, {'RGB'[c] if channels == 3 else 'grey'}"


def _random_batch(encoder: nn.Module) -> dict[str, Tensor]:
    shape = getattr(encoder, "image_shape", (3, 32, 32))
    levels = getattr(encoder, "levels", 256)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, levels, (BATCH, *shape), generator=generator)
    labels = torch.arange(BATCH) % getattr(encoder, "h_dim", BATCH)
    return {"image": images.to(torch.uint8), "label": labels}


def _with_defaults(cls: type, init_args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that data would give, where the class asks for them and none is given."""
    from inspect import signature

    given = {"image_shape": (3, 32, 32), "levels": 256, "h_dim": 10, "num_classes": 10}
    wanted = signature(cls).parameters
    return {name: value for name, value in given.items() if name in wanted} | dict(init_args)


def _raises_type_error(method: Callable[..., Tensor], *arguments: Any) -> bool:
    try:
        method(*arguments)
    except TypeError:
        return True
    return False


def _require(holds: bool, sentence: str, found: object = None) -> str:
    if not holds:
        raise ContractError(f"does not hold: {sentence}" + (f"; found {found}" if found else ""))
    return sentence
