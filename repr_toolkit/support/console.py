"""The console: progress bars, lines, and the log of sampling engines, on any stream.

What a stream's encoding has no character for is replaced, and never an error.
"""

import codecs
import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from repr_toolkit.support.pulse import Work, heard, working

REPLACED = "repr_toolkit.replaced"
"""The name, among Python's handlers of encoding errors, of the one that replaces characters."""

_said: set[str] = set()
"""What `aside_once` has said."""

_INSTEAD = {
    "±": "+-", "→": "->", "−": "-", "–": "-", "—": "-", "…": "...", "×": "x", "✓": "ok",
    "·": ".", "“": '"', "”": '"', "‘": "'", "’": "'", "≤": "<=", "≥": ">=", "²": "^2", "³": "^3",
    "α": "alpha", "σ": "sigma", "Σ": "sum", "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """ASCII in place of characters that cannot be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_INSTEAD.get(each) or _escaped(each) for each in characters), error.end


def _escaped(character: str) -> str:
    """A character by its number; a byte of a file's name that is no text as that byte."""
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("ascii", "backslashreplace").decode()


codecs.register_error(REPLACED, _replaced)


def legible(text: str, encoding: str = "utf-8") -> str:
    """A text with ASCII in place of what cannot be encoded.

    >>> legible("1.2 ± 0.1 → 5", "ascii")
    '1.2 +- 0.1 -> 5'
    """
    return text.encode(encoding, REPLACED).decode(encoding)


def print_anything() -> None:
    """Let stdout and stderr replace what their encodings have no character for, from now on."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=REPLACED)


@contextmanager
def bar(description: str, total: int, *, shown: bool = True) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr of how many of `total` things are done, if stderr is a terminal.

    Yields a function that takes this number, which may be a fraction. A file gets no bar, since
    only remains of it would stay, but a line where that takes long (see `pulse`).
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
    work = Work(description, total, drawn=console.is_terminal or not shown)

    def note(done: float) -> None:
        work.done = done

    if not (shown and console.is_terminal):
        with working(work):
            yield note
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    remaining = TimeRemainingColumn()
    with (
        working(work),
        Progress(*columns, remaining, console=console, transient=True) as progress,
    ):
        task = progress.add_task(description, total=total)
        yield lambda done: progress.update(task, completed=done)


def span(show: Callable[[float], None], start: int, size: int) -> Callable[[float], None]:
    """A function that shows the fraction done of a task of `size`, within a longer one's bar."""
    return lambda fraction: show(start + fraction * size)


def say(message: str) -> None:
    """Print a line at once, on the first process only."""
    from repr_toolkit.support.processes import first_process

    if first_process():
        _print(message, sys.stdout)
        heard(message)


def tell(message: str) -> None:
    """Print a line to stderr at once."""
    write_error(message)
    heard(message)


def write_error(message: str) -> None:
    """Print a line to stderr that does not count as something said (see `pulse`)."""
    _print(message, sys.stderr)


def _print(message: str, stream: TextIO) -> None:
    print(legible(message, getattr(stream, "encoding", None) or "utf-8"), file=stream, flush=True)


def aside(message: str) -> None:
    """Print a line to stderr at once, on the first process only: stdout is for results."""
    from repr_toolkit.support.processes import first_process

    if first_process():
        tell(message)


def aside_once(message: str) -> None:
    """As `aside`, unless this process has said the same before."""
    if message not in _said:
        _said.add(message)
        aside(message)


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
                tell(record.getMessage())

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
