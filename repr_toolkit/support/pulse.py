"""A line on what is being done, wherever nothing was said for some seconds.

The work is what has its bar, or else what was said last. A thread looks at it now and then, since
what takes long may be one call of a library.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

SILENCE = 5.0
"""Seconds of silence before the first line."""
AGAIN = 30.0
"""Seconds from one line to the next, where nothing else is said."""
SHOWN = 70  # characters of what was said last


@dataclass
class Work:
    """Something that is being done.

    Attributes:
        description: What it is.
        total: How many things there are to do; 0 where that is not known.
        drawn: Whether a bar on a terminal shows it already.
        done: How many are done, which may be a fraction.
    """

    description: str
    total: float = 0
    drawn: bool = False
    done: float = 0
    started: float = field(default_factory=time.monotonic)

    def line(self, now: float) -> str:
        """What is done, how much of it, and how long the rest takes by the time that it took."""
        from repr_toolkit.support.tables import duration  # NumPy comes with it

        elapsed = now - self.started
        if not self.total:
            return f"  {self.description} … {duration(elapsed)}"
        text = f"  {self.description} … {int(self.done):,} of {int(self.total):,}"
        if 0 < self.done < self.total:
            text += f", {duration(elapsed / self.done * (self.total - self.done))} left"
        return text


_works: list[Work] = []
_last = Work("")


def heard(message: str) -> None:
    """Take note that something was said, which is what is being done if nothing else is known."""
    global _last
    _last = Work(message.strip().partition("\n")[0].rstrip(" .…")[:SHOWN])


@contextmanager
def working(work: Work) -> Iterator[Work]:
    """Let this be what is being done."""
    _works.append(work)
    try:
        yield work
    finally:
        _works.remove(work)
        heard(work.description)


@contextmanager
def pulse(first: str, tell: Callable[[str], None], *, shown: bool = True) -> Iterator[None]:
    """Tell what is being done wherever nothing is said for `SILENCE` seconds, from `first` on.

    `tell` prints a line, and does not call `heard`.
    """
    heard(first)
    if not shown:
        yield
        return
    ended = threading.Event()

    def beat() -> None:
        told_at = 0.0
        while not ended.wait(min(1.0, SILENCE / 5)):
            now = time.monotonic()
            work = _works[-1] if _works else _last
            since = max(_last.started, work.started)
            pause = AGAIN if told_at > since else SILENCE
            if not work.drawn and now - max(told_at, since) >= pause:
                tell(work.line(now))
                told_at = now

    thread = threading.Thread(target=beat, name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
