"""The order of a command line's words: any for the user, the one that argparse needs."""

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def in_order(words: Sequence[str], options: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The words of a command with positional ones first, or behind a "--" that is there already.

    `options` holds the arguments of `add_argument` for each option by its name. An option of
    several values ends where a word is none of its choices or of its type. Where it takes any text,
    it ends where `words` says no, or else at a whole number and at a file that exists.

    >>> in_order(["a", "--labels", "1", "2", "b"], {"--labels": {"nargs": "+", "type": int}})
    ['a', 'b', '--labels', '1', '2']
    """
    first: list[str] = []
    last: list[str] = []
    rest = deque(words)
    while rest:
        word = rest.popleft()
        if word == "--":
            return [*last, word, *first, *rest]
        if not word.startswith("-"):
            first.append(word)
            continue
        last.append(word)
        how = options.get(word)
        if how is None or "action" in how:  # --name=value, a flag, or what argparse will refuse
            continue
        if rest:
            last.append(rest.popleft())
        while rest and how.get("nargs") == "+" and _is_value(rest[0], how):
            last.append(rest.popleft())
    return [*first, *last]


def _is_value(word: str, how: Mapping[str, Any]) -> bool:
    if "choices" in how:
        return word in how["choices"]
    if "type" not in how:
        if word.startswith("-"):
            return False
        if how.get("words"):
            return bool(how["words"](word))
        return not (word.isdigit() or Path(word).exists())
    try:
        how["type"](word)
    except ValueError:
        return False
    return True
