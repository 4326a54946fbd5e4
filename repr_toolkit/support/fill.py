"""Making the chunks of large arrays, by one process or by several that share their folder."""

import time
from collections.abc import Callable, Mapping

from repr_toolkit.support.chunks import Array, Chunks
from repr_toolkit.support.console import bar, span, tell
from repr_toolkit.support.speech import either

POLL = 0.2
"""Seconds between two looks at what the other processes have done."""


def fill(
    chunks: Chunks,
    make: Callable[[range, Callable[[float], None]], Mapping[str, Array]],
    description: str,
    *,
    resume: bool = False,
    rank: int = 0,
    world: int = 1,
    patience: float = 600,
    progress: bool = False,
) -> None:
    """Make and keep the chunks that are missing; the first process returns when all are kept.

    Process `rank` of `world` makes every `world`-th chunk by `make(members, done)`, arrays by their
    names, which may call `done` with the fraction that it has. The number of processes may be
    another one at each start. `progress` shows a bar of this `description` on the first one's
    terminal.

    The first process waits for the others as long as they finish a chunk within `patience` seconds,
    or within ten times what its own slowest took, and then raises TimeoutError. A damaged chunk is
    made again by the process whose it is, when it starts with `resume`. Raises
    FileExistsError for kept chunks without `resume` and for a folder of something else,
    BlockingIOError where another first process is at work on the job (this one has it locked
    afterwards, until `Chunks.unlock` or `Chunks.remove`), ValueError for chunks of another job, and
    OSError where one cannot be written. Finished chunks stay in every case.
    """
    begun = chunks.take_up(resume=resume) if rank == 0 else chunks.check()
    share = range(rank, len(chunks), world)
    missing = [chunk for chunk in share if not (begun and chunks.holds(chunk))]
    # Chunks that vanished were joined: this process came when nothing was left to do.
    if resume and rank > 0 and chunks.finished:
        return
    total = sum(len(chunks.members(chunk)) for chunk in missing)
    done = 0
    with bar(description, total, shown=progress and rank == 0) as show:
        for chunk in missing:
            started = time.monotonic()
            members = chunks.members(chunk)
            arrays = make(members, span(show, done, len(members)))
            patience = max(patience, 10 * (time.monotonic() - started))
            if begun and not chunks.begun:
                if chunks.finished:  # a second start of this job joined all of them meanwhile
                    return
                raise FileNotFoundError(
                    f"{chunks.folder} was deleted while its chunks were made: start again"
                )
            if not begun and rank == 0:  # no folder before there is something to keep in it
                chunks.begin()
            elif not begun:
                _await_first(chunks, patience)
            begun = True
            chunks.save(chunk, arrays)
            done += len(members)
            show(done)
    if rank == 0:
        _await_others(chunks, world, patience)


def _await_first(chunks: Chunks, patience: float) -> None:
    """Wait until the first process has made the folder."""
    started = time.monotonic()
    while not chunks.check():
        if time.monotonic() - started > patience:
            raise TimeoutError(
                f"the first process has made no {chunks.folder} for {patience:.0f} s; if it ended, "
                f"see what it said, and start all of them again"
            )
        time.sleep(POLL)


def _await_others(chunks: Chunks, world: int, patience: float) -> None:
    """Wait until the others' chunks are kept, and give up when no new one comes."""
    missing = [chunk for chunk in range(len(chunks)) if chunk % world]
    since, named = time.monotonic(), False
    while True:
        before, missing = missing, [c for c in missing if not chunks.file(c).exists()]
        if not missing:
            return
        if len(missing) < len(before):
            since = time.monotonic()
        absent = ", ".join(str(rank) for rank in sorted({chunk % world for chunk in missing}))
        if not named:
            tell(f"waiting for {len(missing)} chunks of the processes {absent}")
            named = True
        if time.monotonic() - since > patience:
            raise TimeoutError(
                f"{len(missing)} of {len(chunks)} chunks are missing, and the processes {absent}, "
                f"whose they are, finished none within {patience:.0f} s. Those in {chunks.folder} "
                f"are kept: once the processes have ended, start it again with "
                f"{either('--resume', 'resume=True')}, by any number of processes"
            )
        time.sleep(POLL)
