"""How a check states a sentence of the contract, and fails."""

from collections.abc import Callable
from typing import Any


class ContractError(ValueError):
    """What the contract says and the class does not do."""


def require(holds: bool, sentence: str, shown: object = None) -> str:
    """The sentence, where it holds; ContractError, with what was seen instead, where not."""
    if not holds:
        raise ContractError(f"does not hold: {sentence}" + (f"; found {shown}" if shown else ""))
    return sentence


def raises(
    kind: type[Exception], method: Callable[..., object], *arguments: Any, **keywords: Any
) -> bool:
    """Whether a method refuses its arguments by that exception."""
    try:
        method(*arguments, **keywords)
    except kind:
        return True
    return False
