"""What a run may import when it is read, and what the user trusts beside that.

A run may be anybody's, so that reading it executes nothing that came with it: its import paths lead
to classes of the kind that their place asks for, in packages that the toolkit depends on, or
they are refused. What the user names is the user's own: a recipe trusts its paths wherever they
come up later, in the runs that it made too.
"""

import inspect
import re
from collections.abc import Collection, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from repr_toolkit.config.yaml_text import scalars
from repr_toolkit.support.console import aside, aside_once
from repr_toolkit.support.copies import FOLDER, has_copies, tops_of_copies, unlike_now, use_copies
from repr_toolkit.support.importing import PACKAGES, import_callable, is_here
from repr_toolkit.support.speech import either

EVERYTHING = "*"
"""Trusted as if it were every import path."""

_trusted: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_PLAIN = re.compile(r"[\w./]*")
"""A text that YAML reads as nothing but itself, or a number."""
_OF_TIMM = ("pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path")
"""Arguments of timm's functions that name further models and files."""


class Named(NamedTuple):
    """An import path in a configuration: its place, its text, and the mapping that it stands in."""

    place: str
    path: str
    beside: Mapping[str, Any]


def trust_paths(*paths: str) -> None:
    """Let runs import these paths, or `EVERYTHING`, from now on."""
    _trusted.set(_trusted.get() | {*paths})


def trust_recipe(config: Mapping[str, Any]) -> None:
    """Let runs import what a recipe of the user's own names, its study included."""
    trust_paths(*(named.path for named in _texts("", config, {}) if _PATH.fullmatch(named.path)))


def trust_file(config: Mapping[str, Any], file: Path) -> None:
    """`trust_recipe` of a file, which may be a run's: then its copies are imported with trust.

    Raises as `require_trusted` does.
    """
    if has_copies(file.parent):
        if EVERYTHING not in _trusted.get():
            trust_recipe(config)
        require_trusted(config, file)
    trust_recipe(config)


def require_trusted(config: Mapping[str, Any], file: Path, *, trust: bool = False) -> None:
    """Raise ValueError for a run's configuration that names what it may not import.

    With `trust`, or `EVERYTHING` trusted, it is trusted from now on, and stderr says what that is:
    what the current folder and the installed packages have not is imported from the copies of its
    source that the run has. stderr is told too of copies that differ from what is imported.
    """
    trusted, copies = _trusted.get(), file.parent / FOLDER
    copied = tops_of_copies(copies)
    try:
        named = strangers(config, copied)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    if not named:
        return
    strange = {path: place for path, place in named.items() if path not in trusted}
    trust = trust or EVERYTHING in trusted
    if strange and not trust:
        path, place = next(iter(strange.items()))
        raise ValueError(
            f"{file} names {path[:80]!r} as its {place}, which is nothing of the kind in the "
            f"packages that the toolkit depends on, and so it is not imported; if you trust "
            f"whoever made the run: {either('--trust', 'load(run, trust=True)')}"
        )
    missing = [path for path in named if not is_here(path)]
    if missing and not trust and copied:
        raise ValueError(
            f"{file} names {missing[0]}, which is not to be found here; {copies} has its source, "
            f"which is run with {either('--trust', 'load(run, trust=True)')}"
        )
    used = use_copies(copies) if trust else []
    does = [f"imports {', '.join(strange)}"] if strange else []
    does += [f"runs {', '.join(used)} in {copies}"] if used else []
    if does:
        aside(f"trusting {file}, which {', and '.join(does)}")
        trust_paths(*strange)
    for copy, now in unlike_now(copies):
        aside_once(f"{now}, and is not what {file.parent} was trained with: see {copy}")


def strangers(config: Mapping[str, Any], copied: Collection[str] = ()) -> dict[str, str]:
    """What a complete configuration may not import without trust, and the place of each.

    `copied` are the packages and modules of which the run has copies.
    """
    return {named.path: named.place for named in _named(config, copied) if not _known(named)}


def _named(config: Mapping[str, Any], copied: Collection[str]) -> Iterator[Named]:
    """The import paths in a complete configuration, also those that lead nowhere.

    Of the texts among arguments they are those whose package or module is here, or copied.
    """
    model = config["model"]
    specs = {f"model.{key}": model.get(key) for key in ("encoder", "decoder")}
    specs |= {f"model.metric.{key}": spec for key, spec in model.get("metric", {}).items()}
    specs["training.optimizer"] = config["training"]["optimizer"]
    for i, spec in enumerate(config["trainer"].get("callbacks") or ()):
        specs[f"trainer.callbacks[{i}]"] = spec
    for place, spec in specs.items():
        if spec is not None:
            yield Named(f"{place}.class_path", spec["class_path"], {})
            for named in _texts(place, {**spec, "class_path": None}, {}):
                if _PATH.fullmatch(named.path) and (
                    is_here(named.path) or named.path.partition(".")[0] in copied
                ):
                    yield named
    from repr_toolkit.data.sources import names_function

    data = config["data"]
    if names_function(data["source"], data["root"], data["place"]):
        yield Named("data.source", data["source"], {})


def _texts(place: str, value: Any, beside: Mapping[str, Any]) -> Iterator[Named]:
    """All texts in a value, those that jsonargparse would find in texts that it reads included."""
    if isinstance(value, str):
        try:
            inside = [] if _PLAIN.fullmatch(value) else [value.strip(), *scalars(value)]
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
        for text in dict.fromkeys([value, *inside]):
            yield Named(place, text, beside if text == value else {})
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(place, key, {})
            yield from _texts(f"{place}.{key}", inner, value)
    elif isinstance(value, list | tuple | set):
        for i, inner in enumerate(value):
            yield from _texts(f"{place}[{i}]", inner, {})


def _known(named: Named) -> bool:
    """Whether a path leads to what may be imported at its place without trust."""
    place, path, beside = named
    if not path.startswith(PACKAGES):
        return False
    if place == "data.source":
        from repr_toolkit.data.sources import is_loader

        return is_loader(path)
    try:
        member = import_callable(path)
    except ImportError:
        return place.count(".class_path") == 1 and "init_args" not in place  # told when it is built
    if not str(getattr(member, "__module__", "")).startswith(PACKAGES):
        return False
    if inspect.isclass(member):
        from lightning import Callback
        from torch.nn import Module
        from torch.optim import Optimizer

        kinds = {"training": Optimizer, "trainer": Callback}
        return issubclass(member, kinds.get(place.partition(".")[0], Module))
    return _is_factory(member, beside.get("init_args") or {})


def _is_factory(maker: Any, arguments: Any) -> bool:
    """Whether it is a function of torchvision or timm that builds a network of its own library."""
    package, name = maker.__module__.partition(".")[0], getattr(maker, "__name__", "")
    if package == "torchvision":
        from torchvision.models import get_model_builder, list_models

        return name in list_models() and get_model_builder(name) is maker
    if package != "timm" or not isinstance(arguments, Mapping):
        return False
    import timm

    if maker is timm.create_model:
        model = arguments.get("model_name")
        own = isinstance(model, str) and ":" not in model  # hf-hub:… is anybody's
    else:
        own = timm.is_model(name) and timm.model_entrypoint(name) is maker
    return own and not any(arguments.get(key) for key in _OF_TIMM)
