"""Shared libraries of kernels in C++: compiled on first use, and kept for the next process."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from logging import getLogger
from pathlib import Path
from threading import Lock

from repr_toolkit.support.caches import cache_folder

HEADERS = Path(__file__).parent
"""The folder of the headers that kernels share."""
FLAGS = (
    *("-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math"),
    *("-fPIC", "-shared", "-pthread"),
)

log = getLogger("repr_toolkit.sampling")

_building = Lock()


class BuildError(RuntimeError):
    """Why there is no library, and what to do about it."""


@cache
def library(source: Path, functions: tuple[str, ...]) -> ctypes.CDLL | BuildError:
    """A kernel with these functions, or why there is none; a warning says it once.

    `source` is one C++ file, which may include the headers that stand beside this module. $CXX,
    or the first of c++, g++ and clang++, compiles it for this very machine, with the further
    flags in $REPR_TOOLKIT_CXXFLAGS. It is kept in $REPR_TOOLKIT_CACHE (by default
    ~/.cache/repr-toolkit) under a name that changes with source, headers, flags, compiler and
    machine.
    """
    try:
        with _building:  # of the threads that ask at once, one builds
            return _load(build(source), functions)
    except (BuildError, OSError, ValueError, RuntimeError) as error:
        reason = BuildError(str(error))
        log.warning("without the kernel of %s, several times slower: %s", source.name, reason)
        return reason


def _load(path: Path, functions: tuple[str, ...]) -> ctypes.CDLL:
    try:
        result = ctypes.CDLL(str(path))
        for name in functions:
            getattr(result, name)
    except (OSError, AttributeError) as error:
        raise BuildError(f"{path} is damaged ({error}); delete it") from None
    return result


def build(source: Path) -> Path:
    """The library of a C++ file, compiled unless it is in the cache.

    Raises BuildError where it cannot be compiled or kept.
    """
    compiler = _compiler()
    machine = ["-march=native"]
    macros = _macros(compiler, machine)
    if macros is None:  # some compilers do not know their machine
        machine = []
        macros = _macros(compiler, machine) or ""
    flags = [
        *FLAGS,
        *machine,
        *shlex.split(os.environ.get("REPR_TOOLKIT_CXXFLAGS", "")),
    ]
    key = hashlib.sha256("\0".join((*compiler, *flags, macros)).encode())
    for file in (source, *sorted(HEADERS.glob("*.h"))):
        key.update(hashlib.sha256(file.read_bytes()).digest())
    folder = cache_folder() / "native"
    path = folder / f"{key.hexdigest()[:24]}.so"
    if path.is_file():
        _require_own(folder, path)
        return path
    log.info("building %s with %s: a few seconds, once", source.name, compiler[0])
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_own(folder)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            result = Path(scratch) / path.name
            _run([*compiler, *flags, f"-I{HEADERS}", str(source), "-o", str(result)])
            # A rename is atomic, and another process may build the same library.
            result.replace(path)
    except OSError as error:
        raise BuildError(
            f"it cannot be kept in {folder} ({error}); set REPR_TOOLKIT_CACHE"
        ) from None
    return path


def _require_own(*paths: Path) -> None:
    """Raise BuildError where somebody else could have written the code that is about to run."""
    if os.name != "posix":
        return
    for path in paths:
        status = path.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise BuildError(
                f"{path} belongs to or can be written by others, who could put any program there; "
                f"name a folder of your own in REPR_TOOLKIT_CACHE"
            )


def _compiler() -> list[str]:
    choice = shlex.split(os.environ.get("CXX", ""))
    for candidate in [choice] if choice else [["c++"], ["g++"], ["clang++"]]:
        if shutil.which(candidate[0]):
            return candidate
    reason = f"CXX names {choice[0]}, which is not there" if choice else "there is no C++ compiler"
    raise BuildError(f"{reason}; install g++ or clang++, or name one in CXX")


def _macros(compiler: list[str], flags: list[str]) -> str | None:
    """What the compiler predefines: its version and the machine's instructions.

    None where it refuses the flags.
    """
    command = [*compiler, *flags, "-dM", "-E", "-x", "c++", os.devnull]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else None


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if "error" in line] or ["no message"]
        raise BuildError(f"{command[0]} failed: {lines[0]}")
