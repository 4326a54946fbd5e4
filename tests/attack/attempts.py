"""One reading of a file, in a process of its own with limits, and what it comes to."""

import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from repr_toolkit.cli import EXPECTED
from repr_toolkit.data import cache
from repr_toolkit.support import console

SECONDS = 120  # of the clock, on a busy machine
CPU_SECONDS = 30
MEMORY = 2 << 30  # bytes beyond what the libraries take
NOTHING = "no result can be right"
FAULTS = ("code ran", "traceback", "hang", "died", "silently other", "file not named")
EVENTS = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")
"""Python's audit events of whatever starts a program."""


@dataclass
class Attempt:
    """What came of reading a file."""

    verdict: str
    said: str


def attempt(
    read: Callable[[], str], folder: Path, named: str, expected: str | None, told: str = ""
) -> Attempt:
    """Read in a process of its own, which is in `folder`; the digest is in `folder`/result.

    `expected` is the digest of what the whole file gives. An error has to match the pattern
    `named`, another result what stderr says by the pattern `told`, or `named` without one.
    """
    out, error = folder / "result", folder / "stderr"
    for path in (out, error, *folder.rglob("code_ran")):
        path.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _in_child(read, folder, out, error)
    deadline, status = time.monotonic() + SECONDS, None
    while status is None and time.monotonic() < deadline:
        done, code = os.waitpid(child, os.WNOHANG)
        status = code if done else None
        time.sleep(0.005)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    said = error.read_text("utf-8", "replace")
    found = out.read_text("utf-8") if out.is_file() else ""
    if [*folder.rglob("code_ran")] or "AUDIT" in said:
        return Attempt("code ran", said)
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return Attempt("hang", said)
    if os.WIFSIGNALED(status):
        return Attempt("died", f"{said} (signal {os.WTERMSIG(status)})")
    if "Traceback" in said:
        return Attempt("traceback", said)
    lines = said.splitlines()
    if os.waitstatus_to_exitcode(status) != 0:
        one_line = bool(lines) and bool(re.search(named, lines[-1]))
        return Attempt("refused" if one_line else "file not named", said)
    if found == expected or expected is None:
        return Attempt("the same" if expected else "read", said)
    return Attempt("told" if re.search(told or named, said) else "silently other", said)


def _in_child(read: Callable[[], str], folder: Path, out: Path, error: Path) -> None:
    """Never returns."""
    status = 2
    torch.set_num_threads(1)  # a pool of threads does not outlive a fork: its tasks would wait
    try:
        os.dup2(os.open(error, os.O_CREAT | os.O_WRONLY | os.O_APPEND), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        os.chdir(folder)
        console._said.clear()  # as in a new process
        cache._verified.clear()
        sys.addaudithook(_witness)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            digest = read()
            out.write_text(digest, "utf-8")
            status = 0
        except EXPECTED as wrong:
            print(f"repr-toolkit: error: {type(wrong).__name__}: {wrong}", file=sys.stderr)
            status = 1
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _witness(event: str, _: Any) -> None:
    if event in EVENTS:
        print("AUDIT", event, file=sys.stderr)
