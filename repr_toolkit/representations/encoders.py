"""The encoders that sources name: those of runs, and of any network by its import path."""

import inspect
from collections.abc import Mapping
from typing import Any, cast

from torch import nn

from repr_toolkit.data import ImageData
from repr_toolkit.encoders import Encoder, activations
from repr_toolkit.encoders.networks import build_network, drawn_by_seed
from repr_toolkit.models.assemble import assemble
from repr_toolkit.models.code import named_by
from repr_toolkit.representations.encode import OF_RUN, Maker, identity
from repr_toolkit.representations.representation import RANDOM
from repr_toolkit.runs.run import Run, load
from repr_toolkit.support.importing import import_callable
from repr_toolkit.support.speech import either


def run_encoder(run: Run, untrained: bool, data: ImageData, layer: str | None, pool: str) -> Maker:
    """A run's encoder or a layer of it, trained or not. That of a flow alone makes its z."""
    encoder = _untrained(run) if untrained else load(run).coded.encoder
    if encoder is None:
        raise ValueError(f"{run.path} has no encoder, so there is no h")
    model = run.config["model"]
    spec = model["encoder"] or model["decoder"]
    shape: dict[str, Any] = {"image_shape": data.image_shape, "levels": data.levels}
    levels = spec["init_args"].get("levels")
    if encoder.source == "image" and levels not in (None, data.levels):
        raise ValueError(
            f"the encoder of {run.path} reads images of {levels} levels, but {data.name} is read "
            f"at {data.levels}; set {either('--data.levels ', 'levels=')}{levels}"
        )
    name = run.path.resolve().name + (", untrained" if untrained else "")
    made_by = identity(encoder, spec["init_args"], data)
    weights = f"{OF_RUN}{run.path}{' before its training' if untrained else ''}"
    if not any(True for _ in cast(nn.Module, encoder).parameters()):
        weights = ""
    elif isinstance(encoder, activations.LayerActivations):
        arguments = spec["init_args"]
        drawn, weights = _origin(
            encoder.net,
            arguments["model"],
            arguments["init_args"] or {},
            arguments["weights"],
            arguments["seed"],
            shape,
        )
        made_by += f"{RANDOM}{arguments['seed']}" * drawn
    if layer is not None:
        encoder = activations.LayerActivations(cast(nn.Module, encoder), layer, pool, **shape)
        name, made_by = f"{name}.{layer}", identity(encoder, {}, data)
    return Maker(name, encoder, made_by, weights)


def _origin(
    net: nn.Module,
    path: str,
    init_args: Mapping[str, Any],
    weights: str | None,
    seed: int,
    provided: Mapping[str, Any],
) -> tuple[bool, str]:
    """Whether a network's weights are known to be drawn by `seed`, and where they are from."""
    if weights is not None:
        return False, f"given: {weights}"
    drawn, others = drawn_by_seed(net, path, init_args, seed, provided)
    names = ", ".join(others[:2]) + f" and {len(others) - 2:,} others" * (len(others) > 2)
    if drawn:
        return True, f"drawn here with seed {seed}{names and f', but for {names} (fixed)'}"
    return False, (
        f"unknown: {path} does not draw all of them by the seed, and may have loaded some: {names}"
    )


def _untrained(run: Run) -> Encoder | None:
    """The run's encoder with the weights that its training began with."""
    encoder = assemble(run.config).join().coded.encoder
    if encoder is None:
        return None
    if not any(weight.requires_grad for weight in cast(nn.Module, encoder).parameters()):
        kind = type(named_by(encoder)).__name__
        raise ValueError(
            f"the {kind} of {run.path} has no weights that training changes, so "
            f"untrained it is the same"
        )
    return encoder


def network_encoder(
    path: str,
    data: ImageData,
    *,
    untrained: bool,
    layer: str | None = None,
    pool: str = "mean",
    weights: str | None = None,
    weights_seed: int = 0,
    init_args: Mapping[str, Any] | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> Maker:
    """A network or an encoder, as the function `represent` describes them."""
    weights, init_args = weights or _default_weights(path), dict(init_args or {})
    shape: dict[str, Any] = {"image_shape": data.image_shape, "levels": data.levels}
    encoder: Encoder | None = None
    if layer is None:
        net, _ = build_network(path, init_args, weights, seed=weights_seed, provided=shape)
        if hasattr(net, "source") and hasattr(net, "h_dim"):
            encoder = cast(Encoder, net)
            if image_size is not None:
                raise ValueError(f"{path} is an encoder, which takes images as they are: no size")
    if encoder is None:
        encoder = activations.LayerActivations(
            path,
            layer,
            pool,
            init_args=init_args,
            weights=weights,
            seed=weights_seed,
            size=image_size,
            **shape,
        )
    net = cast(nn.Module, encoder)
    if isinstance(encoder, activations.LayerActivations):
        net = encoder.net
    weighted = any(True for _ in net.parameters())
    if untrained and not weighted:
        raise ValueError(f"{path} has no weights, so untrained it is the same")
    if untrained and weights is not None:
        _draw_weights(net, path, init_args, weights_seed, shape)
    drawn, origin = False, ""
    if weighted:
        given = None if untrained else weights
        drawn, origin = _origin(net, path, init_args, given, weights_seed, shape)
    if untrained and not drawn:
        raise ValueError(f"untrained:{path} would not be untrained; its weights are {origin}")
    known = {key: value for key, value in shape.items() if hasattr(encoder, key)}
    made_by = identity(encoder, {**known, **init_args}, data)
    name = str(init_args.get("model_name", path.rpartition(".")[2]))
    if layer is not None:
        name = f"{name}.{layer}"
    if drawn:
        name = f"{name}, {'untrained' if untrained else 'random'}"
        made_by = f"{made_by}{RANDOM}{weights_seed}"
    return Maker(name, encoder, made_by, origin)


def _default_weights(path: str) -> str | None:
    """The weights that a class such as FaceNet takes by itself, by their name."""
    parameter = inspect.signature(import_callable(path)).parameters.get("weights")
    default = None if parameter is None else parameter.default
    return default if isinstance(default, str) else None


def _draw_weights(
    net: nn.Module, path: str, init_args: dict[str, Any], seed: int, shape: dict[str, Any]
) -> None:
    """Replace the weights that a network was given by those that it starts with.

    All else stays, such as how the weights want images scaled.
    """
    try:
        fresh, _ = build_network(path, init_args, None, seed=seed, provided=shape)
        net.load_state_dict(fresh.state_dict())
    except Exception as error:  # anyone's class, built as nobody may ever have built it
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} cannot be built without its weights ({reason})") from error
