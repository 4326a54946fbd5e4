"""Temporary files and folders, .NAME.PID.tmp, and those of processes that were killed."""

import os
from glob import escape
from pathlib import Path
from shutil import rmtree


def temporary_for(path: Path) -> Path:
    """Where this process makes what is to become `path`, without what killed ones left of it."""
    remove_leftovers(path.parent, f".{escape(path.name)}.*.tmp")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    if temporary.is_dir():  # containers give a later process the number of a former one
        rmtree(temporary)
    return temporary


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Delete what killed processes left in a folder, by a pattern of names that end in .PID.tmp."""
    for leftover in folder.glob(pattern):
        number = leftover.name.split(".")[-2]
        if not (number.isdigit() and _is_running(int(number))):
            rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        pass
    return True
