"""Signals that end a program, and the exit status that they leave."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Stopped(SystemExit):
    """A signal ended the program; the exit status is 128 + the signal's number, as in a shell.

    `by` names something else that ended it, in that signal's place.
    """

    def __init__(self, number: int, reached: str = "", by: str = "") -> None:
        super().__init__(128 + number)
        self.number, self.reached, self.by = number, reached, by

    def __str__(self) -> str:
        signals = "Ctrl-C" if self.number == signal.SIGINT else signal.Signals(self.number).name
        name = self.by or signals
        return f"stopped by {name}{self.reached and f' {self.reached}'}"


def on_signals(numbers: tuple[int, ...], handler: Callable[[int, Any], None]) -> None:
    """Let `handler` take these signals; only the main thread can."""
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            signal.signal(number, handler)


@contextmanager
def termination_raised() -> Iterator[None]:
    """Within it SIGTERM raises `Stopped`, as Ctrl-C raises KeyboardInterrupt."""
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        raise Stopped(number)

    on_signals((signal.SIGTERM,), stop)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
