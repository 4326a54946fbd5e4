"""How an engine says how far it is."""

from collections.abc import Callable

Progress = Callable[[float], object]
"""Called now and then with the fraction of the work that is done, in [0, 1]."""


def silent(done: float) -> None:
    """Progress that nobody watches."""
