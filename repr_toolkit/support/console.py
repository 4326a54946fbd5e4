"""The console: progress bars, lines, and the log of sampling engines."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(description: str, total: int, *, shown: bool = True) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr of how many of `total` things are done, if stderr is a terminal.

    Yields a function that takes this number, which may be a fraction. A file gets no bar, since
    only remains of it would stay.
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
    """A function that shows the fraction done of a task of `size`, within a longer one's bar."""
    return lambda fraction: show(start + fraction * size)


def say(message: str) -> None:
    """Print a line at once, on the first process only."""
    from repr_toolkit.support.processes import first_process

    if first_process():
        print(message, flush=True)


def aside(message: str) -> None:
    """Print a line to stderr at once, on the first process only: stdout is for results."""
    from repr_toolkit.support.processes import first_process

    if first_process():
        print(message, file=sys.stderr, flush=True)


@contextmanager
def engine_log_shown(shown: bool = True) -> Iterator[None]:
    """Print the log of sampling engines to stderr, each kind of message once."""
    if not shown:
        yield
        return
    printed: set[str] = set()

    class Printer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg not in printed:
                printed.add(record.msg)
                print(record.getMessage(), file=sys.stderr)  # looked up now: a bar replaces it

    log = logging.getLogger("repr_toolkit.sampling")
    level = log.level
    handler = Printer()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
