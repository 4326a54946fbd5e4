"""A recipe with everything that can be set in it, as its classes' signatures have it."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from jsonargparse import ArgumentParser
from torch import nn
from torch.optim import Optimizer

from repr_toolkit.config.build import import_class, plain
from repr_toolkit.config.recipe import Config
from repr_toolkit.config.trainer import DEFAULTS

_OF_DATA = ("image_shape", "levels")
_OF_ENCODER = ("h_dim", "h_shape")


def with_defaults(config: Mapping[str, Any]) -> Config:
    """A complete recipe with the defaults of the Trainer and of all classes; nothing is built.

    Arguments that data and encoder determine are left out, and so are those within arguments.
    Raises ImportError and TypeError for class paths that lead to no such class.
    """
    filled = deepcopy(dict(config))
    model, metric = filled["model"], filled["model"].get("metric") or {}
    _fill(model["encoder"], "model.encoder", nn.Module, _OF_DATA)
    _fill(model["decoder"], "model.decoder", nn.Module, (*_OF_DATA, *_OF_ENCODER))
    _fill(metric.get("loss"), "model.metric.loss", nn.Module, ("embedding_size",))
    _fill(metric.get("miner"), "model.metric.miner", nn.Module, ())
    _fill(filled["training"]["optimizer"], "training.optimizer", Optimizer, ())
    filled["trainer"] = {**DEFAULTS, **filled["trainer"]}
    # Last, as in a file that somebody wrote.
    return {**filled, **{key: filled.pop(key) for key in ("study", "choose") if key in filled}}


def _fill(spec: Config | None, name: str, kind: type, determined: Iterable[str]) -> None:
    """Write defaults into the init_args of a class spec, if there is one."""
    if spec is None:
        return
    parser = ArgumentParser(exit_on_error=False)
    cls = import_class(spec["class_path"], kind, name)
    skip = {"params"} if kind is Optimizer else set()
    parser.add_class_arguments(cls, "object", fail_untyped=False, skip=skip)
    needed = {action.dest for action in parser._actions if action.required}
    defaults = parser.get_defaults().as_dict().get("object", {})
    for key, value in defaults.items():
        if f"object.{key}" not in needed and key not in determined:
            spec["init_args"].setdefault(key, plain(value))
