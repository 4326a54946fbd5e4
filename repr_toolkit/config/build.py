"""Building an encoder and a decoder from class paths and checked arguments."""

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from jsonargparse import ArgumentParser
from torch import nn
from torch.optim import Optimizer

from repr_toolkit.config.recipe import Config, explain
from repr_toolkit.decoders import Decoder
from repr_toolkit.support.importing import import_callable

if TYPE_CHECKING:
    from repr_toolkit.encoders import Encoder

Origins = Mapping[str, Mapping[str, Any]]
"""Arguments that data or encoder determine, by the words that say so in errors: "the data's"."""


class HasShape(Protocol):
    """The properties of the data that a model needs."""

    @property
    def image_shape(self) -> tuple[int, int, int]: ...
    @property
    def levels(self) -> int: ...


class Built(NamedTuple):
    """The two parts of a model, and the configuration that rebuilds them without data."""

    encoder: "Encoder | None"
    decoder: Decoder
    config: Config


class BuiltMetric(NamedTuple):
    """An encoder, the loss and the miner that train it, and the configuration that rebuilds all."""

    encoder: "Encoder"
    loss: nn.Module
    miner: nn.Module | None
    config: Config


def build(config: Mapping[str, Any], data: HasShape | None = None) -> Built:
    """Encoder and decoder of a configuration, which stays as it is.

    `image_shape` and `levels` come from the data, `h_dim` and `h_shape` (if the encoder states one)
    from the encoder, for every class whose signature has such parameters. The returned
    configuration has them and the defaults of all other arguments in its init_args. Without data
    they must be there already.

    Each part draws its initial weights by a seed of its own (`seeded`), which follows from the
    configuration's: a decoder starts alike whatever encoder it has.

    Raises ValueError for an explicit value that disagrees, for unknown arguments or arguments of
    the wrong type, and for a class that breaks the contract; ImportError for a class path that
    leads nowhere; TypeError for a class that is not an nn.Module.
    """
    resolved = deepcopy(dict(config))
    shape = _shape(data)
    encoder = None
    h: dict[str, Any] = {"h_dim": 0}
    if resolved["model"]["encoder"] is not None:
        encoder, h["h_dim"] = _encoder(resolved, shape)
    if h_shape := getattr(encoder, "h_shape", None):
        h["h_shape"] = list(h_shape)
    spec = resolved["model"]["decoder"]
    if spec is None:
        raise ValueError("this configuration has no model.decoder: it trains an encoder alone")
    origins = {"the encoder's" if encoder else "no encoder:": h, "the data's": shape}
    with seeded(config["seed"], "decoder"):
        decoder = _instantiate(spec, "model.decoder", origins)
    if not isinstance(decoder, Decoder):
        raise ValueError(
            f"model.decoder: {type(decoder).__name__} is no Decoder; inherit "
            f"repr_toolkit.decoders.Decoder, which has what is the same for all"
        )
    if decoder.h_dim != h["h_dim"]:
        raise ValueError(
            f"model.decoder.h_dim is {decoder.h_dim}, but the encoder's is {h['h_dim']}"
        )
    for key, value in shape.items():
        if _differs(getattr(decoder, key, None), value):
            stated = getattr(decoder, key, None)
            raise ValueError(f"model.decoder.{key} is {stated}, but the data's is {value}")
    return Built(encoder, decoder, resolved)


def build_metric(config: Mapping[str, Any], data: HasShape | None = None) -> BuiltMetric:
    """Encoder, loss and miner of a configuration with a `model.metric`, which stays as it is.

    `embedding_size` of the loss, if it has this parameter, is the encoder's `h_dim`. Everything
    else, errors included, is as in `build`.
    """
    resolved = deepcopy(dict(config))
    encoder, h_dim = _encoder(resolved, _shape(data))
    if not any(p.requires_grad for p in cast("nn.Module", encoder).parameters()):
        raise ValueError(
            f"model.metric trains an encoder alone, but {type(encoder).__name__} as configured "
            f"has no weights to train; FaceNet has with init_args: {{trainable: true}}"
        )
    metric = resolved["model"]["metric"]
    size = {"the encoder's": {"embedding_size": h_dim}}
    with seeded(config["seed"], "loss"):
        loss = _instantiate_nested(metric["loss"], "model.metric.loss", size)
    miner = metric["miner"] and _instantiate_nested(metric["miner"], "model.metric.miner", {})
    return BuiltMetric(encoder, loss, miner, resolved)


@contextmanager
def seeded(seed: int, part: str) -> Iterator[None]:
    """Draw a part's initial weights by a seed of its own; torch's generator stays as it is.

    It follows from a run's seed and the part's name. That of "encoder" is the run's seed itself,
    by which earlier versions drew an encoder too, so that an old run's encoder before training
    still is what it was.
    """
    words = (seed, *part.encode())
    part_seed = int(np.random.SeedSequence(words).generate_state(1)[0])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed if part == "encoder" else part_seed)
        yield


def _shape(data: HasShape | None) -> dict[str, Any]:
    """The init_args that the data determine; none without data."""
    if data is None:
        return {}
    return {"image_shape": list(data.image_shape), "levels": data.levels}


def _encoder(resolved: Config, shape: Mapping[str, Any]) -> tuple["Encoder", int]:
    """The encoder of a configuration, into which its init_args are written, and its h_dim."""
    with seeded(resolved["seed"], "encoder"):
        encoder = _instantiate(resolved["model"]["encoder"], "model.encoder", {"the data's": shape})
    for key, kind in {"h_dim": int, "source": str}.items():
        value = getattr(encoder, key, None)
        if not isinstance(value, kind):
            raise ValueError(
                f"model.encoder: {type(encoder).__name__}.{key} is {value!r}, "
                f"not of type {kind.__name__}"
            )
    return cast("Encoder", encoder), cast("Encoder", encoder).h_dim


def _instantiate(spec: Config, name: str, origins: Origins) -> nn.Module:
    """An instance of a class spec, into whose init_args all of its arguments are written.

    Writing today's defaults, too, lets the configuration rebuild the model when they change.
    """
    _, arguments, instantiate = parse(spec, name, origins, nn.Module)
    spec["init_args"] = plain(arguments)
    return _made(name, instantiate)


def _instantiate_nested(spec: Config, name: str, origins: Origins) -> nn.Module:
    """As `_instantiate`, for classes whose untyped arguments may be class specs themselves.

    Such as the distance of a loss: the signatures of pytorch-metric-learning have no types.
    """
    inner = {
        key: {"class_path": value["class_path"], "init_args": dict(value.get("init_args") or {})}
        for key, value in spec["init_args"].items()
        if isinstance(value, Mapping) and "class_path" in value
    }
    kind, arguments, _ = parse(spec, name, origins, nn.Module, skip=inner)
    parts = {
        key: _instantiate_nested(part, f"{name}.init_args.{key}", {}) for key, part in inner.items()
    }
    spec["init_args"] = plain({**arguments, **inner})
    return _made(name, partial(kind, **{**arguments, **parts}))


def _made(name: str, instantiate: Callable[[], Any]) -> nn.Module:
    """What is instantiated; ValueError, naming the setting, for arguments that cannot be."""
    try:
        module: nn.Module = instantiate()
    except (RuntimeError, ArithmeticError, AssertionError, LookupError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ValueError(f"{name} cannot be built with these init_args: {reason}") from error
    return module


def plain(arguments: Any) -> Any:
    """Arguments in YAML's own types."""
    return json.loads(json.dumps(arguments, default=str))


def _differs(value: Any, expected: Any) -> bool:
    return bool((list(value) if isinstance(value, tuple) else value) != expected)


def parse(
    spec: Config, name: str, origins: Origins, base: type, *, skip: Iterable[str] = ()
) -> tuple[type, dict[str, Any], Callable[[], Any]]:
    """The class of a spec, its arguments with their defaults, and a function that instantiates it.

    Values that the class's signature asks for are written into the init_args; `origins` has them
    by the words that name their origin. `skip` names init_args that are left out of the parsing.
    """
    kind = import_class(spec["class_path"], base, name)
    parser = ArgumentParser(exit_on_error=False)
    unparsed = {"params"} if base is Optimizer else set()
    keys = parser.add_class_arguments(kind, "object", fail_untyped=False, skip=unparsed)
    accepted = [key.split(".")[1] for key in keys]
    arguments = spec["init_args"]
    for origin, provided in origins.items():
        for key, value in provided.items():
            if key in arguments and _differs(arguments[key], value):
                raise ValueError(
                    f"{name}.init_args.{key} is {arguments[key]}, but {origin} {key} is {value}; "
                    f"leave it out, or make them agree"
                )
            if key in accepted:
                arguments[key] = value
    for key in arguments:
        if key not in accepted:
            close = get_close_matches(str(key), accepted, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"it takes {', '.join(accepted)}"
            raise ValueError(f"{name}.init_args.{key}: {spec['class_path']} has none; {hint}")
    rest = {key: deepcopy(value) for key, value in arguments.items() if key not in skip}
    try:
        parsed = parser.parse_object({"object": rest})
    except Exception as error:  # besides jsonargparse's own, whatever anybody's class raises
        reason = explain(error, f"{name}.init_args")
        raise ValueError(f"{reason} (arguments of {spec['class_path']})") from error
    values = parsed.as_dict().get("object", {})
    return kind, values, lambda: parser.instantiate(parsed).object


def import_class(path: str, kind: type, name: str) -> type:
    """The subclass of `kind` at an import path that the setting `name` gives as its class_path.

    Raises ImportError for a path that leads nowhere, TypeError for anything but such a class.
    """
    try:
        cls = import_callable(path)
    except ImportError as error:
        raise ImportError(f"{name}.class_path: {error}") from error
    if not (inspect.isclass(cls) and issubclass(cls, kind)):
        raise TypeError(f"{name}.class_path {path} is not a subclass of {kind.__name__}")
    return cls
