"""Building an optimizer, with groups of parameters, from a class path and checked arguments."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from repr_toolkit.config.build import parse

OptimizerFactory = Callable[[Iterable[tuple[str, nn.Parameter]]], Optimizer]
"""From a model's trainable parameters with their names to their optimizer."""

NAME = "training.optimizer"


def optimizer_factory(config: Mapping[str, Any], *, fused: bool = False) -> OptimizerFactory:
    """What makes the configured optimizer from named parameters.

    A parameter belongs to the group with a `match` for it, an fnmatch pattern of its name or its
    number of dimensions, and takes that group's options; without one it takes the optimizer's
    arguments as they are. `fused` asks for torch's fused kernels if the optimizer has them and the
    configuration does not choose between its implementations.

    Raises as `build` does, and ValueError for options that the optimizer has not. The function
    that it returns raises ValueError for a parameter of two groups, and a pattern that matches
    none.
    """
    spec = deepcopy(config["training"]["optimizer"])
    kind, values = _parsed(spec, NAME, spec["init_args"])
    arguments = {key: values[key] for key in spec["init_args"]}
    chosen = arguments.get("differentiable") or any(
        arguments.get(key) is not None for key in ("fused", "foreach")
    )
    if fused and not chosen and "fused" in values and kind.__module__.startswith("torch.optim"):
        arguments["fused"] = True
    defaults = _made(kind, arguments, NAME).defaults
    matches: list[list[str | int]] = []
    options: list[dict[str, Any]] = []
    for i, group in enumerate(spec["groups"]):
        name = f"{NAME}.groups[{i}]"
        matches.append(group["match"])
        for key in group["options"]:
            if key not in defaults:
                close = get_close_matches(str(key), defaults, n=1, cutoff=0.5)
                hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(defaults)}"
                raise ValueError(f"{name}.options.{key}: {spec['class_path']} has none; {hint}")
        _, values = _parsed(spec, name, {**spec["init_args"], **group["options"]})
        options.append({key: values[key] for key in group["options"]})
        _made(kind, {**arguments, **options[-1]}, f"{name}.options")

    def make(named: Iterable[tuple[str, nn.Parameter]]) -> Optimizer:
        parts = grouped(named, matches)
        groups = [
            {"params": part, **others}
            for part, others in zip(parts, [{}, *options], strict=True)
            if part
        ]
        return kind(groups, **arguments)

    return make


def grouped(
    named: Iterable[tuple[str, nn.Parameter]], matches: Sequence[Sequence[str | int]]
) -> list[list[nn.Parameter]]:
    """The parameters of the default group, and those of every group that `matches` describes.

    Raises ValueError for a parameter of two groups, a pattern that matches none, and a group
    without any.
    """
    parts: list[list[nn.Parameter]] = [[] for _ in range(len(matches) + 1)]
    names = []
    for name, parameter in named:
        names.append(name)
        hits = [i for i, match in enumerate(matches) if _matches(match, name, parameter)]
        if len(hits) > 1:
            raise ValueError(
                f"{NAME}.groups[{hits[0]}] and [{hits[1]}] both match {name}; a parameter belongs "
                f"to one group"
            )
        parts[hits[0] + 1 if hits else 0].append(parameter)
    for i, (match, part) in enumerate(zip(matches, parts[1:], strict=True)):
        patterns = [pattern for pattern in match if isinstance(pattern, str)]
        idle = [p for p in patterns if not any(fnmatchcase(n, p) for n in names)]
        if idle or not part:
            close = get_close_matches(str(idle[0]), names, n=1, cutoff=0) if idle else names[:1]
            raise ValueError(
                f"{NAME}.groups[{i}].match: {(idle or match)[0]!r} matches no parameter of this "
                f"model; one of its {len(names)} parameters is {', '.join(close)}"
            )
    return parts


def _matches(match: Sequence[str | int], name: str, parameter: nn.Parameter) -> bool:
    return any(
        parameter.ndim == pattern if isinstance(pattern, int) else fnmatchcase(name, pattern)
        for pattern in match
    )


def _made(kind: type[Optimizer], arguments: Mapping[str, Any], name: str) -> Optimizer:
    """An optimizer of one matrix; ValueError, which names the setting, if it cannot take a step."""
    weight = nn.Parameter(torch.zeros(1, 1))
    weight.grad = torch.zeros(1, 1)
    try:
        optimizer = kind([weight], **arguments)
        if not arguments.get("capturable"):  # which is for GPUs alone
            optimizer.step(lambda: 0.0)
    except (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError) as error:
        raise ValueError(f"{name}: {' '.join(str(error).split())}") from error
    if not weight.isfinite().all():
        raise ValueError(f"{name}: a step with these arguments makes weights that are not finite")
    return optimizer


def _parsed(
    spec: Mapping[str, Any], name: str, init_args: Mapping[str, Any]
) -> tuple[type[Optimizer], dict[str, Any]]:
    """The class of a spec, and all of its arguments, with these init_args, in their types."""
    stated = {"class_path": spec["class_path"], "init_args": dict(init_args)}
    kind, values, _ = parse(stated, name, {}, Optimizer)
    return kind, values
