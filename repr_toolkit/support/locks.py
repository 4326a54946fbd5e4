"""Locks: files and folders that one process at a time writes."""

import os
import time
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
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
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:  # perhaps `is_locked`, which is over in a moment
            time.sleep(0.1)
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


def is_locked(path: Path) -> bool:
    """Whether a process has a file locked; False where there is none, or it may not be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        flock(descriptor, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks here
        return False
    finally:
        os.close(descriptor)  # which unlocks it
    return False
