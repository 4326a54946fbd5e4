"""Directions by their names, such as `mean:7`."""

from collections.abc import Mapping, Sequence

import numpy as np

from repr_toolkit.analyses.probing.classifiers import Features
from repr_toolkit.analyses.traversal.directions import (
    Direction,
    coordinate,
    mean_difference,
    principal,
    probe,
)
from repr_toolkit.data import ImageData
from repr_toolkit.data.attributes import Attribute, find_attribute

KINDS = "coordinate:NUMBER, principal:NUMBER, probe:WHAT or mean:WHAT"
CLASSES = 10  # labels in the default directions


def default_directions(data: ImageData, dimension: int) -> list[str]:
    """The first four principal directions and the mean-difference vectors of up to ten labels."""
    chosen = [f"principal:{number}" for number in range(min(4, dimension))]
    if "label" in data.arrays:
        codes = np.unique(data.splits["train"].column("label").numpy())
        if len(codes) > 1:
            chosen += [f"mean:{_label(data, code)}" for code in codes[:CLASSES].tolist()]
    return chosen


def _label(data: ImageData, code: int) -> str:
    """A label's name, with its key where the name alone means something else."""
    name = data.name_of("label", code)
    try:
        alone = find_attribute(data, name)
    except ValueError:
        return f"label={name}"
    return name if (alone.key, alone.code) == ("label", code) else f"label={name}"


def find_directions(
    specs: Sequence[str],
    data: ImageData,
    h: Mapping[str, Features],
    indices: Mapping[str, list[int]],
) -> list[tuple[Direction, Attribute | None]]:
    """The directions that texts name, each with the attribute that it leads to, if any.

    `h` holds vectors (N, d) of the splits train and val, `indices` the numbers of their images.
    Raises ValueError for a text that is none of `KINDS`, and where a direction does.
    """
    numbers = {spec: _number(spec) for spec in specs if spec.startswith("principal:")}
    directions = principal(h["train"], list(numbers.values())) if numbers else []
    axes = dict(zip(numbers, directions, strict=True))
    return [
        (axes[spec], None) if spec in axes else _direction(spec, data, h, indices) for spec in specs
    ]


def _number(spec: str) -> int:
    kind, _, number = spec.partition(":")
    if not number.isdecimal():
        raise ValueError(f"{spec!r} names no direction: {kind}:NUMBER is expected")
    return int(number)


def _direction(
    spec: str, data: ImageData, h: Mapping[str, Features], indices: Mapping[str, list[int]]
) -> tuple[Direction, Attribute | None]:
    """As `find_directions` of one text, of any but a principal direction."""
    kind, _, what = spec.partition(":")
    if kind == "coordinate":
        return coordinate(h["train"], _number(spec)), None
    if kind not in ("probe", "mean") or not what:
        raise ValueError(f"{spec!r} names no direction: there are {KINDS}")
    attribute = find_attribute(data, what)
    flags = {split: attribute.flags(data, split, rows) for split, rows in indices.items()}
    if kind == "mean":
        return mean_difference(h["train"], flags["train"], attribute.name), attribute
    checked = (h["val"], flags["val"])
    return probe(h["train"], flags["train"], attribute.name, checked), attribute
