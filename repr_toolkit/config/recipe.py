"""Recipes: the settings of a run, as a plain nested dict, checked before anything is built.

A recipe is a YAML file of the sections below; a *setting* changes one value of it by its dotted
name, such as `training.steps`. Nothing here imports torch.
"""

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import MISSING, asdict, fields
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from repr_toolkit.config.sections import CLASSES, ELSEWHERE, SECTIONS
from repr_toolkit.config.settings import set_in
from repr_toolkit.config.trainer import check_trainer
from repr_toolkit.config.yaml_text import parse_yaml
from repr_toolkit.support.reading import read_text

Config = dict[str, Any]
"""A recipe, or the complete configuration of a run: nested dicts of YAML's own types."""

_TOP = ("about", "seed", "data", "model", "training", "trainer", "study", "choose")

_STATED_OF = {
    "data.source": "data.place",
    "training.start": "training.start_weights",
    "trainer.accumulate_grad_batches": "training.micro_batch",
}
"""What a run states of a setting's value, by the setting."""

_MANY = 2**31 - 1
_BOUNDS = {
    "seed": (0, 2**63 - 1),
    "data.batch_size": (1, 2**20),
    "data.workers": (0, 256),
    "data.size": (1, 2**14),
    "data.folds": (2, 1000),
    "data.fold": (0, 999),
    "data.inner": (0, 999),
    "data.shifts": (0, 2**14),
    "data.images_per_identity": (2, 2**20),
    "training.steps": (1, _MANY),
    "training.validate_every": (1, _MANY),
    "training.patience": (1, _MANY),
    "training.pictures": (0, 1000),
    "training.warmup": (0, _MANY),
    "training.micro_batch": (1, 2**20),
    "trainer.log_every_n_steps": (1, _MANY),
    "trainer.accumulate_grad_batches": (1, 2**20),
}
"""The smallest and the largest value of whole numbers."""


def list_recipes() -> list[str]:
    """The names of the recipes that come with the package, sorted."""
    folder = files("repr_toolkit.recipes")
    return sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".yaml"))


def load_recipe(name_or_path: str | Path) -> Config:
    """The recipe of a packaged name or of a YAML file, every section checked and complete.

    Raises FileNotFoundError if there is no such recipe, ValueError, which names the key, for a file
    that is no recipe.

    >>> load_recipe("bottleneck_mnist5k")["data"]["source"]
    'mnist5k'
    """
    path, place = Path(name_or_path), None
    if str(name_or_path) in list_recipes():
        text = (files("repr_toolkit.recipes") / f"{name_or_path}.yaml").read_text("utf-8")
    elif path.is_file():
        text, place = read_text(path), str(path.absolute().parent)
    else:
        names = list_recipes()
        raise FileNotFoundError(
            f"no recipe {str(name_or_path)!r}{_closest(str(name_or_path), names)}; give a YAML "
            f"file or one of: {', '.join(names)}"
        )
    try:
        raw = parse_yaml(text)
        if not isinstance(raw, dict):
            raise ValueError("it is not a recipe, for its top level is not a mapping")
        config = complete(raw)
    except ValueError as error:
        raise ValueError(f"{name_or_path}: {error}") from error
    config["data"]["place"] = config["data"]["place"] or place
    return config


def complete(raw: Mapping[str, Any]) -> Config:
    """A recipe with every section checked and every default filled in; `raw` stays as it is.

    Raises ValueError, which names the key, for a key that is unknown, missing or has a value that
    cannot be.
    """
    _check_keys("", raw, _TOP)
    config: Config = {"about": _section("about", raw.get("about", {}))}
    config["seed"] = _integer("seed", raw.get("seed", 0))
    config["data"] = _section("data", raw.get("data", {}))
    config["model"] = _model(raw.get("model", {}))
    config["training"] = _section("training", raw.get("training", {}))
    config["training"]["optimizer"] = _optimizer(config["training"]["optimizer"])
    config["trainer"] = _trainer(raw.get("trainer", {}))
    _check_ranges(config)
    if raw.get("study") is not None:
        config["study"] = deepcopy(_mapping("study", raw["study"]))
        variants(config)
    if raw.get("choose") is not None:
        config["choose"] = deepcopy(_mapping("choose", raw["choose"]))
    return config


def apply_settings(config: Mapping[str, Any], settings: Mapping[str, Any]) -> Config:
    """A new configuration with dotted settings changed; texts are read as YAML.

    Their order does not matter: what holds others is set before these. A class setting such as
    model.decoder replaces the whole class spec, and another class_path drops the arguments of the
    class that was there. Raises ValueError, which names the setting, if it is unknown or has a
    value that cannot be.

    >>> recipe = apply_settings(load_recipe("bottleneck_mnist5k"), {"data.batch_size": "16"})
    >>> recipe["data"]["batch_size"]
    16
    """
    changed = deepcopy(dict(config))
    if odd := [key for key in settings if not isinstance(key, str)]:
        raise ValueError(f"unknown setting {odd[0]!r}: it is no text")
    for key in sorted(settings, key=lambda key: (key.count("."), not key.endswith(".class_path"))):
        value = settings[key]
        try:
            parsed = parse_yaml(value) if isinstance(value, str) else deepcopy(value)
        except ValueError as error:
            raise ValueError(f"{key}: {value!r} is {error}") from error
        set_in(changed, key, parsed)
    return complete(changed)


def given(config: Mapping[str, Any], settings: Mapping[str, Any]) -> Config:
    """`apply_settings` of what a user gives beside a recipe or a run's configuration.

    What that states of the former value goes, unless it is given too: the folder of its data, the
    weights of its start, and the share of a batch that a thread computes.
    """
    stale = {former: None for key, former in _STATED_OF.items() if key in settings}
    return apply_settings(config, {**stale, **settings})


def variants(config: Mapping[str, Any]) -> dict[str, Config]:
    """The variants of a study by name: the recipe with the settings of each, without the study.

    Raises ValueError if the recipe is no study, or for a variant whose settings cannot be.
    """
    study = config.get("study")
    if not study:
        raise ValueError("this recipe is not a study: it has no section `study`")
    base = {key: value for key, value in config.items() if key not in ("study", "choose")}
    configs: dict[str, Config] = {}
    for name, settings in study.items():
        if not re.fullmatch(r"\w[\w.-]*", str(name)):
            raise ValueError(f"study.{name}: a variant's name is a folder's: letters, digits, _.-")
        try:
            configs[str(name)] = apply_settings(base, _mapping("its settings", settings or {}))
        except ValueError as error:
            raise ValueError(f"study.{name}: {error}") from error
    return configs


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """The dotted names of the settings in which two configurations differ.

    Settings that change no result are ignored: about, those of `sections.ELSEWHERE`,
    training.start (its weights are compared), training.keep and trainer.max_time.
    """
    ignored = {"about", "study", "choose", *(f"data.{key}" for key in ELSEWHERE)}
    ignored |= {"training.keep", "training.start", "trainer.max_time"}

    def walk(left: Any, right: Any, path: str) -> Iterable[str]:
        if path in ignored:
            return
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            for key in dict.fromkeys([*left, *right]):
                name = f"{path}.{key}" if path else str(key)
                yield from walk(left.get(key), right.get(key), name)
        elif left != right:
            yield path

    return list(walk(a, b, ""))


def explain(error: Exception, section: str) -> str:
    """An error of jsonargparse in a section as one line that names the key in full."""
    text = " ".join(str(error).split())
    text = re.sub(r'(?:Parser key|Key) "([\w.]+)"', rf"{section}.\1", text.replace("object.", ""))
    return text if section in text else f"{section}: {text}"


def _model(raw: Any) -> dict[str, Any]:
    """An encoder and a decoder, or an encoder and the metric-learning objective that trains it."""
    model = _mapping("model", raw)
    _check_keys("model", model, ("encoder", "decoder", "metric"))
    metric = model.get("metric")
    if metric is None and model.get("decoder") is None:
        raise ValueError(
            "model.decoder is missing: give its class_path and init_args, or a model.metric, "
            "which trains the encoder alone"
        )
    parts: dict[str, Any] = {
        part: None if model.get(part) is None else _class(f"model.{part}", model[part])
        for part in ("encoder", "decoder")
    }
    return parts if metric is None else {**parts, "metric": _metric(parts, metric)}


def _metric(parts: Mapping[str, Any], raw: Any) -> dict[str, Any]:
    """A loss and a miner; by default triplets, mined semi-hard with the margin of the loss."""
    metric = _mapping("model.metric", raw)
    _check_keys("model.metric", metric, ("loss", "miner"))
    if parts["decoder"] is not None:
        raise ValueError(
            "model.metric trains an encoder alone, but there is a model.decoder: set one to null"
        )
    if parts["encoder"] is None:
        raise ValueError("model.encoder is missing: model.metric trains it")
    library = "pytorch_metric_learning"
    usual = {"class_path": f"{library}.losses.TripletMarginLoss", "init_args": {"margin": 0.2}}
    loss = _class("model.metric.loss", metric.get("loss") or usual)
    if "miner" in metric:
        miner = metric["miner"]  # null: every triplet or pair of a batch
    else:
        margin = 0.2
        if loss["class_path"].endswith(".TripletMarginLoss"):  # another loss's is no distance
            margin = loss["init_args"].get("margin", margin)
        miner = {
            "class_path": f"{library}.miners.TripletMarginMiner",
            "init_args": {"margin": margin, "type_of_triplets": "semihard"},
        }
    return {"loss": loss, "miner": miner and _class("model.metric.miner", miner)}


def _section(name: str, raw: Any) -> dict[str, Any]:
    """A section checked against the dataclass that describes it, with its defaults."""
    kind = SECTIONS[name]
    given = _mapping(name, raw)
    _check_keys(name, given, [f.name for f in fields(kind)])
    for f in fields(kind):
        if f.default is f.default_factory is MISSING and given.get(f.name) is None:
            raise ValueError(f"{name}.{f.name} is missing")
    parser, classes = _parser(name)
    plain = {key: deepcopy(value) for key, value in given.items() if key not in classes}
    try:
        values = parser.parse_object(plain).as_dict()
    except Exception as error:  # of a value of any type jsonargparse raises errors of any kind
        raise ValueError(explain(error, name)) from error
    return asdict(kind(**values, **{key: given[key] for key in classes if key in given}))


@cache
def _parser(name: str) -> tuple[Any, set[str]]:
    """The parser of a section, and the names of its class specs, which it leaves out."""
    from jsonargparse import ArgumentParser

    kind = SECTIONS[name]
    # `_class` checks class specs: this parser would import the class, and torch with it.
    classes = {f.name for f in fields(kind) if f"{name}.{f.name}" in CLASSES}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, skip=classes)
    return parser, classes


def _class(name: str, raw: Any) -> dict[str, Any]:
    spec = _mapping(name, raw)
    _check_keys(name, spec, ("class_path", "init_args"))
    if not isinstance(spec.get("class_path"), str):
        raise ValueError(f"{name}.class_path is missing: the import path of a class")
    arguments = _mapping(f"{name}.init_args", spec.get("init_args") or {})
    return {"class_path": spec["class_path"], "init_args": deepcopy(arguments)}


def _optimizer(raw: Any) -> dict[str, Any]:
    """An optimizer's class, and the groups of parameters that have options of their own."""
    name = "training.optimizer"
    spec = _mapping(name, raw)
    groups = spec.pop("groups", None) or []
    if not isinstance(groups, list):
        raise ValueError(f"{name}.groups is a list of {{match, options}}, not {groups!r}")
    result = _class(name, spec)
    result["groups"] = []
    for i, group in enumerate(groups):
        where = f"{name}.groups[{i}]"
        group = _mapping(where, group)
        _check_keys(where, group, ("match", "options"))
        match = group.get("match")
        match = match if isinstance(match, list) else [match]
        if not match or not all(isinstance(m, str | int) and m is not True for m in match):
            raise ValueError(
                f"{where}.match is a pattern of names or a number of dimensions, or a list of "
                f"them, not {group.get('match')!r}"
            )
        options = _mapping(f"{where}.options", group.get("options") or {})
        result["groups"].append({"match": list(match), "options": deepcopy(options)})
    return result


def _trainer(raw: Any) -> dict[str, Any]:
    trainer = check_trainer(_mapping("trainer", raw))
    callbacks = trainer.get("callbacks")
    if callbacks is not None:
        if not isinstance(callbacks, list):
            raise ValueError(
                f"trainer.callbacks is a list of {{class_path, init_args}}, not {callbacks!r}"
            )
        trainer["callbacks"] = [
            _class(f"trainer.callbacks[{i}]", spec) for i, spec in enumerate(callbacks)
        ]
    return trainer


def _check_ranges(config: Config) -> None:
    for name in _BOUNDS:
        section, _, key = name.partition(".")
        if key and config[section].get(key) is not None:
            _integer(name, config[section][key])
    data, training = config["data"], config["training"]
    if data["levels"] is not None and not 2 <= data["levels"] <= 256:
        raise ValueError(f"data.levels is 2…256, not {data['levels']}")
    if not 0 < data["crops"] <= 1:
        raise ValueError(f"data.crops is above 0 and at most 1, not {data['crops']}")
    if data["binarise"] is not None and data["levels"] not in (None, 2):
        levels = data["levels"]
        raise ValueError(f"data.binarise makes two levels, and data.levels asks for {levels}")
    fold, folds = data["fold"], data["folds"]
    if fold is not None and fold >= folds:
        raise ValueError(f"data.fold is 0…{folds - 1} for data.folds {folds}, not {fold}")
    if data["inner"] is not None and (fold is None or data["inner"] >= folds):
        raise ValueError(f"data.inner is 0…{folds - 1}, beside a data.fold, not {data['inner']}")
    k, batch_size = data["images_per_identity"], data["batch_size"]
    if k is not None and (batch_size % k or batch_size < 2 * k):
        raise ValueError(
            f"data.batch_size ({batch_size}) is not a multiple of data.images_per_identity ({k}), "
            f"of two identities or more"
        )
    if k is None and "metric" in config["model"]:
        raise ValueError(
            "data.images_per_identity is missing: model.metric compares images of one person, so "
            "that a batch needs several of each, such as 4"
        )
    steps, every = training["steps"], training["validate_every"]
    if steps % every:
        raise ValueError(
            f"training.steps ({steps}) is not a multiple of training.validate_every ({every}); "
            f"set one of them so that a validation falls on the last step"
        )
    if not 0 <= training["ema_decay"] < 1:
        raise ValueError(f"training.ema_decay is in [0, 1), not {training['ema_decay']}")


def _integer(name: str, value: Any) -> int:
    least, most = _BOUNDS[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} is a whole number from {least} to {most}, not {value!r}")
    return value


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is a mapping of names to values, not {value!r}")
    return dict(value)


def _check_keys(section: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    known = list(known)
    for key in given:
        if key not in known:
            name = f"{section}.{key}" if section else key
            raise ValueError(f"unknown key {name}{_closest(str(key), known)}")


def _closest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
