"""Temporary files and folders, .NAME.HOST.PID.tmp, and those of processes that were killed."""

import os
import socket
from contextlib import suppress
from glob import escape
from pathlib import Path
from shutil import rmtree


def ending() -> str:
    """What the names of this process's temporaries end in: .HOST.PID.tmp, a host without dots."""
    return f".{_host()}.{os.getpid()}.tmp"


def temporary_for(path: Path) -> Path:
    """Where this process makes what is to become `path`, without what killed ones left of it."""
    remove_leftovers(path.parent, f".{escape(path.name)}.*.tmp")
    temporary = path.with_name(f".{path.name}{ending()}")
    if temporary.is_dir():  # containers give a later process the number of a former one
        rmtree(temporary)
    return temporary


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Delete what processes killed on this host left in a folder, by a pattern of names.

    Other hosts that share the folder may be at work in it. What cannot be deleted stays.
    """
    with suppress(OSError):  # a folder that goes, or may not be read
        for leftover in folder.glob(pattern):
            _, host, number, _ = ("...." + leftover.name).rsplit(".", 3)
            if host == _host() and number.isdigit() and not _is_running(int(number)):
                _remove(leftover)


def _remove(leftover: Path) -> None:
    if leftover.is_dir() and not leftover.is_symlink():
        rmtree(leftover, ignore_errors=True)
    else:
        with suppress(OSError):
            leftover.unlink()


def _host() -> str:
    return socket.gethostname().replace(".", "-").replace("/", "-")


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        pass
    return True
