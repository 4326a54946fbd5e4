"""Locks: files and folders that one process at a time writes."""

import os
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from functools import partial
from pathlib import Path


def lock(path: Path) -> Callable[[], None]:
    """Lock a file or folder until the function that is returned is called, or the process ends.

    Raises BlockingIOError if another process has it locked. Where the file system has no locks
    nothing is locked.
    """
    # NFS demands that a locked file can be written.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # no locks here
        return partial(os.close, descriptor)

    def unlock() -> None:
        flock(descriptor, LOCK_UN)  # a process that was forked meanwhile may hold the file open
        os.close(descriptor)

    return unlock
