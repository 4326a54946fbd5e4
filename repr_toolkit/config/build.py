"""From class paths and arguments to an encoder, a decoder and an optimizer, all checked."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from jsonargparse import ArgumentParser
from torch import nn
from torch.optim import Optimizer

from repr_toolkit.config.recipe import Config, explain
from repr_toolkit.decoders import Decoder
from repr_toolkit.encoders.networks import import_callable

if TYPE_CHECKING:
    from repr_toolkit.encoders import Encoder

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


class HasShape(Protocol):
    """What a model takes from the data."""

    @property
    def image_shape(self) -> tuple[int, int, int]: ...
    @property
    def levels(self) -> int: ...


class Built(NamedTuple):
    """A model's two parts, and the configuration that alone rebuilds them."""

    encoder: "Encoder | None"
    decoder: Decoder
    config: Config


class BuiltMetric(NamedTuple):
    """An encoder, the loss and the miner that train it alone, and the configuration of them."""

    encoder: "Encoder"
    loss: nn.Module
    miner: nn.Module | None
    config: Config


def build(config: Mapping[str, Any], data: HasShape | None = None) -> Built:
    """Encoder and decoder of a configuration, which stays as it is.

    `image_shape` and `levels` come from the data and `h_dim` (and `h_shape`, where it states
    one) from the encoder, wherever a
    class's signature asks for them; they stand in the init_args of the configuration that is
    returned, and so does every other argument, with its default where none was given. Without
    data they must stand there already.

    Raises ValueError for an explicit value that disagrees, for arguments that the class does
    not take or of the wrong type, and for a class that breaks the contract; ImportError for a
    class path that leads nowhere; TypeError for a class that is not an nn.Module.
    """
    resolved = deepcopy(dict(config))
    shape = _shape(data)
    encoder = None
    h_dim = 0
    if resolved["model"]["encoder"] is not None:
        encoder, h_dim = _encoder(resolved, shape)
    spec = resolved["model"]["decoder"]
    if spec is None:
        raise ValueError("this configuration has no model.decoder: it trains an encoder alone")
    h: dict[str, Any] = {"h_dim": h_dim}
    if h_shape := getattr(encoder, "h_shape", None):
        h["h_shape"] = list(h_shape)
    _provide(spec, "model.decoder", h, "the encoder's" if encoder else "no encoder:")
    decoder = _instantiate(spec, "model.decoder", shape, "the data's")
    if not isinstance(decoder, Decoder):
        raise ValueError(
            f"model.decoder: {type(decoder).__name__} is no Decoder; inherit "
            f"repr_toolkit.decoders.Decoder, which has what is the same for all"
        )
    if decoder.h_dim != h_dim:
        raise ValueError(f"model.decoder.h_dim is {decoder.h_dim}, but the encoder's is {h_dim}")
    for name, value in shape.items():
        have = getattr(decoder, name, None)
        if (list(have) if isinstance(have, tuple) else have) != value:
            raise ValueError(f"model.decoder.{name} is {have}, but the data's is {value}")
    return Built(encoder, decoder, resolved)


def build_metric(config: Mapping[str, Any], data: HasShape | None = None) -> BuiltMetric:
    """Encoder, loss and miner of a configuration with a `model.metric`, which stays as it is.

    `embedding_size`, where the loss asks for it, is the encoder's `h_dim`. Everything else, and
    what is raised, is as in `build`.
    """
    resolved = deepcopy(dict(config))
    encoder, h_dim = _encoder(resolved, _shape(data))
    if not any(p.requires_grad for p in cast("nn.Module", encoder).parameters()):
        raise ValueError(
            f"model.metric trains an encoder alone, but {type(encoder).__name__} as configured "
            f"has no weights to train; FaceNet has with init_args: {{trainable: true}}"
        )
    metric = resolved["model"]["metric"]
    size = {"embedding_size": h_dim}
    loss = _instantiate_nested(metric["loss"], "model.metric.loss", size)
    miner = None
    if metric["miner"] is not None:
        miner = _instantiate_nested(metric["miner"], "model.metric.miner", {})
    return BuiltMetric(encoder, loss, miner, resolved)


def optimizer_factory(config: Mapping[str, Any], *, fused: bool = False) -> OptimizerFactory:
    """The configured optimizer's class with its arguments, still to be given the parameters.

    `fused` asks for torch's fused kernels where the optimizer has them and the configuration
    does not choose between its implementations. Raises as `build` does.
    """
    spec, name = config["training"]["optimizer"], "training.optimizer"
    kind = import_class(spec["class_path"], Optimizer, name)
    parser = ArgumentParser(exit_on_error=False)
    accepted = parser.add_class_arguments(kind, fail_untyped=False, skip={"params"})
    values = _parse(parser, spec["init_args"], accepted, spec, name)
    arguments = {key: values[key] for key in spec["init_args"]}
    chosen = {"fused", "foreach", "differentiable"} & set(arguments)
    if fused and not chosen and "fused" in accepted and kind.__module__.startswith("torch.optim"):
        arguments["fused"] = True
    return partial(kind, **arguments)


def _shape(data: HasShape | None) -> dict[str, Any]:
    """What the data provide for init_args; nothing without data."""
    if data is None:
        return {}
    return {"image_shape": list(data.image_shape), "levels": data.levels}


def _encoder(resolved: Config, shape: Mapping[str, Any]) -> tuple["Encoder", int]:
    """The encoder of a configuration, into which its init_args are written, and its h_dim."""
    encoder = _instantiate(resolved["model"]["encoder"], "model.encoder", shape, "the data's")
    h_dim = _attribute(encoder, "h_dim", int, "model.encoder")
    _attribute(encoder, "source", str, "model.encoder")
    return cast("Encoder", encoder), h_dim


def _instantiate(spec: Config, name: str, provided: Mapping[str, Any], origin: str) -> nn.Module:
    """An instance of a class spec, into whose init_args the provided values are written."""
    _provide(spec, name, provided, origin)
    parser, values = _parsed(spec, name, spec["init_args"])
    # With the defaults of today, so that the configuration rebuilds the model when they change.
    spec["init_args"] = _plain(values.as_dict().get("object", {}))
    module: nn.Module = parser.instantiate(values).object
    return module


def _instantiate_nested(spec: Config, name: str, provided: Mapping[str, Any]) -> nn.Module:
    """As `_instantiate`, for classes whose untyped arguments may be class specs themselves.

    Such as a loss's distance: pytorch-metric-learning's classes have no types to tell it by.
    """
    _provide(spec, name, provided, "the encoder's")
    given = spec["init_args"]
    inner = {
        key: {"class_path": value["class_path"], "init_args": dict(value.get("init_args") or {})}
        for key, value in given.items()
        if isinstance(value, Mapping) and "class_path" in value
    }
    parts = {
        key: _instantiate_nested(part, f"{name}.init_args.{key}", {}) for key, part in inner.items()
    }
    rest = {key: value for key, value in given.items() if key not in inner}
    arguments = _parsed(spec, name, rest)[1].as_dict().get("object", {})
    spec["init_args"] = _plain({**arguments, **inner})
    module: nn.Module = import_class(spec["class_path"], nn.Module, name)(**{**arguments, **parts})
    return module


def _parsed(spec: Config, name: str, arguments: Mapping[str, Any]) -> tuple[ArgumentParser, Any]:
    """A class's arguments with their defaults, under the key `object`, and the parser of them."""
    parser = ArgumentParser(exit_on_error=False)
    kind = import_class(spec["class_path"], nn.Module, name)
    accepted = parser.add_class_arguments(kind, "object", fail_untyped=False)
    names = [argument.split(".")[-1] for argument in accepted]
    return parser, _parse(parser, {"object": arguments}, names, spec, name)


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments in YAML's own types."""
    plain: dict[str, Any] = json.loads(json.dumps(arguments, default=str))
    return plain


def _provide(spec: Config, name: str, provided: Mapping[str, Any], origin: str) -> None:
    """Write into init_args the values that the class's signature asks for."""
    kind = import_class(spec["class_path"], nn.Module, name)
    accepted = ArgumentParser().add_class_arguments(kind, "object", fail_untyped=False)
    arguments = spec["init_args"]
    for key, value in provided.items():
        if key in arguments:
            given = arguments[key]
            if (list(given) if isinstance(given, tuple) else given) != value:
                raise ValueError(
                    f"{name}.init_args.{key} is {given}, but {origin} {key} is {value}; "
                    f"leave it out, or make them agree"
                )
        elif f"object.{key}" in accepted:
            arguments[key] = value


def _parse(
    parser: ArgumentParser,
    arguments: Mapping[str, Any],
    accepted: list[str],
    spec: Config,
    name: str,
) -> Any:
    for key in spec["init_args"]:
        if key not in accepted:
            close = get_close_matches(key, accepted, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"it takes {', '.join(accepted)}"
            raise ValueError(f"{name}.init_args.{key}: {spec['class_path']} has none; {hint}")
    try:
        return parser.parse_object(deepcopy(dict(arguments)))
    except Exception as error:  # jsonargparse raises several kinds
        reason = explain(error, f"{name}.init_args")
        raise ValueError(f"{reason} (arguments of {spec['class_path']})") from error


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


def _attribute(module: nn.Module, attribute: str, kind: type, name: str) -> Any:
    value = getattr(module, attribute, None)
    if not isinstance(value, kind):
        raise ValueError(
            f"{name}: {type(module).__name__}.{attribute} is {value!r}, not of type {kind.__name__}"
        )
    return value
