"""A setting: one value of a recipe, by the dotted path to it, such as `training.steps`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from difflib import SequenceMatcher
from typing import Any

from repr_toolkit.config.sections import CLASSES, METRIC, SECTIONS

ALIKE = 1.6
"""How alike two settings and their last names are, of 2 at the most, where one is a typo."""


def set_in(config: dict[str, Any], key: str, value: Any) -> None:
    """Change one setting of a configuration; ValueError, with the closest, if there is none."""
    known = ["seed", *(f"{s}.{f.name}" for s, kind in SECTIONS.items() for f in fields(kind))]
    known += ["model.encoder", "model.decoder", "model.metric", *METRIC]
    known += [f"{name}.{part}" for name in CLASSES for part in ("class_path", "init_args")]
    known.append("training.optimizer.groups")
    inside = ["trainer", *(f"{name}.init_args" for name in CLASSES)]
    parent, _, last = key.rpartition(".")
    within = any(f"{parent}.".startswith(f"{name}.") for name in inside) and bool(last)
    if key not in known and not within:
        raise ValueError(f"unknown setting {key}{_closest_setting(key, known, config)}")
    place = config
    for part in parent.split(".") if parent else ():
        if last == "class_path" and place.get(part) is None:
            place[part] = {}  # a class where there was none
        if not isinstance(place.get(part), Mapping):
            raise ValueError(f"{key} cannot be set: {parent} is not in this recipe")
        place = place[part]
    if within and "class_path" in place and last not in ("class_path", "init_args"):
        raise ValueError(f"unknown setting {key} (did you mean {parent}.init_args.{last}?)")
    if last == "class_path" and value != place.get(last):
        place.clear()  # the arguments were those of another class
        place["init_args"] = {}
    place[last] = value


def _closest_setting(key: str, known: Iterable[str], config: dict[str, Any]) -> str:
    """The closest of the known settings and of the arguments of the recipe's classes, as a hint."""

    def leaves(name: str, value: Any) -> Iterator[str]:
        yield name
        for part, inner in value.items() if isinstance(value, Mapping) else ():
            yield from leaves(f"{name}.{part}", inner)

    def likeness(name: str) -> float:
        pairs = (key, name), (key.rpartition(".")[2], name.rpartition(".")[2])
        return sum(SequenceMatcher(None, *pair).ratio() for pair in pairs)

    sections = ((s, config.get(s)) for s in ("trainer", "model", "training"))
    settings = [*known, *(leaf for s, value in sections for leaf in leaves(s, value))]
    best = max(settings, key=likeness)
    parent, _, last = key.rpartition(".")
    if parent in CLASSES and likeness(best) < ALIKE:
        best = f"{parent}.init_args.{last}"  # an argument that the recipe does not state
    return f" (did you mean {best}?)" if likeness(best) >= 1 else ""
