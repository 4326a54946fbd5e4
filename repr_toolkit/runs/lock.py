"""The lock of a run or a study: one training at a time writes into its folder."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from repr_toolkit.support.locks import is_locked, lock
from repr_toolkit.support.speech import either

FILE = ".lock"
"""The file, in a folder, that names who is training there and is locked meanwhile."""


@contextmanager
def sole_trainer(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a folder; of several processes the first one does so.

    Raises BlockingIOError, which says who is training there, if another process is.
    """
    from repr_toolkit.support.processes import first_process  # which imports torch

    if not first_process():
        yield
        return
    file = folder / FILE
    file.touch()
    unlock = _lock(folder)
    try:
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        file.write_text(f"process {os.getpid()} on {socket.gethostname()} since {now}", "utf-8")
        yield
    finally:
        unlock()


def require_no_trainer(folder: Path) -> None:
    """Raise BlockingIOError, which says who it is, if a process is training in a folder."""
    if os.access(folder / FILE, os.W_OK):  # another user's run cannot be locked, only told of
        _lock(folder)()


def _lock(folder: Path) -> Callable[[], None]:
    file = folder / FILE
    try:
        return lock(file)
    except BlockingIOError as error:
        who = file.read_text("utf-8") or "another process"
        raise BlockingIOError(
            f"{folder} is being trained by {who}; wait for it, stop it, or choose another "
            + either("--name", "run_dir")
        ) from error


def in_training(folder: Path) -> str:
    """Who is training in a folder, such as "process 7 on host since …"; "" if nobody is."""
    file = folder / FILE
    if not is_locked(file):
        return ""
    return file.read_text("utf-8", errors="replace")[:200] or "another process"
