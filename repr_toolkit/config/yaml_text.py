"""Texts in YAML: of its own types only, and no larger in memory than a recipe can be."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

MOST_CHARACTERS = 1 << 20
MOST_DEPTH = 50  # mappings and sequences in one another
MOST_VALUES = 100_000  # with aliases counted as often as they stand
MOST_DIGITS = 100  # of a whole number
_DEEP = f"it is more than {MOST_DEPTH} levels deep"


# libyaml, which jsonargparse reads with, and Python's scanner differ: in tabs, for one.
_SCANNERS = (getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader)
_KEYS = (str, int, float, bool, type(None))
_PATH = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")


class _TooLarge(yaml.YAMLError):
    """A text beyond the limits."""


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number, as in YAML 1.2, and a repeated key is an error.

    The keys of a mapping are of one type, of those that JSON knows: others could not be sorted.
    A byte of a file's name that is no text, as Python writes it, is a character like others.
    """

    depth = 0

    def check_printable(self, data: str) -> None:
        super().check_printable(re.sub("[\udc80-\udcff]", "x", data))

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.depth > MOST_DEPTH:
            raise _TooLarge(_DEEP)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, None] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):  # the base class says what is wrong
                continue
            first = next(iter(seen), key)
            if type(key) not in _KEYS or type(key) is not type(first):
                odd = first if isinstance(key, str) else key
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {odd!r} is no text; put it into quotes", node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.start_mark
                )
            seen[key] = None
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > MOST_DIGITS:
            raise yaml.YAMLError(f"it holds a whole number of {len(node.value):,} characters")
        return int(super().construct_yaml_int(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    [*"-+0123456789"],
)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text, safely: of YAML's own types only.

    Raises ValueError, in one line, for a text that is none, or larger, deeper or, with its aliases,
    of more values than a recipe can be.

    >>> parse_yaml("{lr: 1e-3}")
    {'lr': 0.001}
    """
    try:
        loader, node = _composed(text)
        return None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:  # a ValueError for the 40th of a month
        raise ValueError(f"no valid YAML: {' '.join(str(error).split())}") from error
    except (LookupError, AttributeError, TypeError, ArithmeticError) as error:  # `!!int ''`
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(f"no valid YAML: a value is not of its type ({reason})") from error


def to_yaml(values: Any) -> str:
    """Values of YAML's own types as a text that `parse_yaml` reads, in their order."""
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
    return text


def scalars(text: str) -> list[str]:
    """The texts of all scalars in a YAML text, as they stand, for every scanner.

    Those before an error count too, and all import paths in a text with a `class_path` that is no
    YAML. Raises ValueError, in one line, for a text that is larger than a recipe can be.

    >>> scalars("{f: os.system, x: [1, two]}")
    ['f', 'os.system', 'x', '1', 'two']
    """
    texts: dict[str, None] = {}
    valid = False
    try:
        if len(text) > MOST_CHARACTERS:
            raise _TooLarge(f"it has more than {MOST_CHARACTERS:,} characters")
        for scanner in _SCANNERS:
            valid |= _scan(text, scanner, texts)
    except _TooLarge as error:
        raise ValueError(f"the text {text[:20]!r} cannot be read: {error}") from error
    inside = [] if valid or "class_path" not in text else _PATH.findall(text)
    return list(dict.fromkeys([*texts, *inside]))


def _scan(text: str, scanner: Any, texts: dict[str, None]) -> bool:
    """Add the scalars that a scanner comes to; whether it can read the whole text."""
    depth = 0
    try:
        for event in yaml.parse(text, scanner):
            if isinstance(event, yaml.ScalarEvent):
                texts[event.value] = None
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH:
                raise _TooLarge(_DEEP)
        _count(yaml.compose(text, scanner), {})
    except _TooLarge:
        raise
    except (yaml.YAMLError, UnicodeEncodeError):  # half a surrogate pair is no UTF-8
        return False
    return True


def _composed(text: str) -> tuple[_Loader, yaml.Node | None]:
    if len(text) > MOST_CHARACTERS:
        raise _TooLarge(f"it has more than {MOST_CHARACTERS:,} characters")
    loader = _Loader(text)
    node = loader.get_single_node()
    _count(node, {})
    return loader, node


def _count(node: yaml.Node | None, known: dict[int, int]) -> int:
    """The number of values below a node, itself included; a YAMLError where it is too large."""
    if id(node) not in known:
        known[id(node)] = MOST_VALUES  # for a node that contains itself
        known[id(node)] = 1 + sum(_count(child, known) for child in _children(node))
    if known[id(node)] > MOST_VALUES:
        raise _TooLarge(f"it has more than {MOST_VALUES:,} values")
    return known[id(node)]


def _children(node: yaml.Node | None) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []
