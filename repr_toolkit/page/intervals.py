"""What the intervals of numbers are, and why some have none."""

from collections.abc import Iterator, Mapping
from typing import Any

ONE_RUN = "Each column of a run is one training run: no interval has the spread between trainings."
MISSING = "no interval: "


def interval_notes(numbers: Any) -> list[str]:
    """Sentences on every `Number` at any depth of what is ready for JSON.

    >>> interval_notes([{"value": 0.5, "low": 0.4, "high": 0.6, "how": "Wilson's over 96 images"}])
    ["95 % intervals are Wilson's over 96 images."]
    """
    kinds: dict[str, None] = {}
    reasons: dict[str, None] = {}
    for number in _numbers(numbers):
        how = number.get("how", "")
        if "low" in number:
            kinds[how] = None
        elif how.startswith(MISSING):
            reasons[how.removeprefix(MISSING)] = None
    sentences = []
    if kinds:
        sentences.append(f"95 % intervals are {'; '.join(filter(None, kinds))}.")
    if reasons:
        sentences.append(f"No interval where {'; or '.join(reasons)}.")
    return sentences


def _numbers(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if "value" in value and "how" in value:
            yield value
        else:
            for item in value.values():
                yield from _numbers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
