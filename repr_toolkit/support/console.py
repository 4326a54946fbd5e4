"""How far a long task is, shown where somebody looks."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(description: str, total: int, *, shown: bool = True) -> Iterator[Callable[[float], None]]:
    """While it lasts, show on stderr how many of ``total`` are done: the number last told.

    Yields the function to tell it by; parts of one count too. Nothing is shown elsewhere than on a
    terminal, since a log would keep only the bar's remains.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield lambda done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(description, total=total)
        yield lambda done: progress.update(task, completed=done)


def span(show: Callable[[float], None], start: int, size: int) -> Callable[[float], None]:
    """What a task of ``size`` within a longer one tells its own fraction by."""
    return lambda fraction: show(start + fraction * size)


def say(message: str) -> None:
    """Print a line at once, on the first process only."""
    from repr_toolkit.support.processes import first_process

    if first_process():
        print(message, flush=True)


@contextmanager
def engine_log_shown(told: bool = True) -> Iterator[None]:
    """Show on stderr what the log says of sampling engines, each kind of message once."""
    if not told:
        yield
        return
    shown: set[str] = set()

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg not in shown:
                shown.add(record.msg)
                print(record.getMessage(), file=sys.stderr)  # the bar's own while there is one

    log = logging.getLogger("repr_toolkit.sampling")
    level = log.level
    handler = Teller()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
