"""A large array of images that is drawn chunk by chunk, by one process or several, into one .npz.

Each finished chunk is a file of its own in a folder beside the .npz, so that what is done outlives
a kill, and memory never holds more than two. The processes share nothing but that folder.
"""

import errno
import json
import os
import re
import sys
import time
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from glob import escape
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repr_toolkit.support.console import bar, span
from repr_toolkit.support.files import Rows, atomic_write, remove_leftovers, write_npz

Images = NDArray[np.uint8]

POLL = 0.2  # seconds between two looks at what the other processes have done

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Parts:
    """The chunks of ``count`` images of one shape (C, H, W), image i in chunk i // chunk_size.

    They lie in the folder NAME.parts beside ``npz`` (NAME.npz), where job.json says which ``job``
    they belong to: names to JSON values that decide every image. Chunks of two jobs never mix.
    """

    def __init__(
        self,
        npz: Path,
        job: Mapping[str, Any],
        count: int,
        chunk_size: int,
        image_shape: Sequence[int],
    ) -> None:
        self.npz = npz
        self.folder = npz.with_suffix(".parts")
        self.job_file = self.folder / "job.json"
        self.job = json.dumps(dict(job), indent=2, ensure_ascii=False)
        self.count = count
        self.chunk_size = chunk_size
        self.image_shape = tuple(image_shape)
        self.chunks = -(-count // chunk_size)
        self._lock: weakref.finalize[..., Parts] | None = None

    def file(self, chunk: int) -> Path:
        """Where a chunk is kept."""
        return self.folder / f"part_{chunk:06d}.npz"

    def images(self, chunk: int) -> range:
        """The numbers of a chunk's images."""
        start = chunk * self.chunk_size
        return range(start, min(start + self.chunk_size, self.count))

    @property
    def begun(self) -> bool:
        """Whether the folder holds chunks, of this job or of another."""
        return self.job_file.is_file()

    @property
    def finished(self) -> bool:
        """Whether the .npz stands and is the result of this very job."""
        try:
            with self.npz.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                return str(file["job"]) == self.job
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return False

    def require_no_other_folder(self) -> None:
        """Raise FileExistsError if the folder's name is taken by what is no folder of chunks."""
        if self.folder.exists() and not self.folder.is_dir():
            raise FileExistsError(f"{self.folder} is in the way: it is no folder")
        own = re.compile(r"job\.json|part_\d{6,}\.npz|.*\.tmp")
        for path in self.folder.glob("*"):
            if not self.begun and not own.fullmatch(path.name):
                raise FileExistsError(
                    f"{self.folder} is in the way: it is no folder of chunks, for it holds "
                    f"{path.name}"
                )

    def begin(self) -> None:
        """Make the folder for this job, without what a removal that was cut short left there.

        Raises FileExistsError if it holds what is no job's, or another process was faster.
        """
        self.require_no_other_folder()
        if self.begun:
            raise FileExistsError(f"{self.folder} was begun by another process meanwhile")
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.glob("part_*.npz"):
            path.unlink()
        with self._keeping(self.job_file), atomic_write(self.job_file) as file:
            file.write(self.job.encode())

    def lock(self) -> None:
        """Let no other process lead this job until `unlock`, or until this object is gone.

        Raises BlockingIOError if one does. Where the file system has no locks there is none.
        """
        if sys.platform == "win32" or self._lock is not None:
            return
        from fcntl import LOCK_EX, LOCK_NB, flock

        file = os.open(self.job_file, os.O_RDWR)  # NFS demands that it can be written
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError as error:
            os.close(file)
            raise BlockingIOError(
                f"another process is drawing into {self.folder}; wait for it, or stop it first"
            ) from error
        except OSError:  # no locks here
            os.close(file)
        else:
            self._lock = weakref.finalize(self, os.close, file)

    def unlock(self) -> None:
        """Let go of the lock, if this process has it."""
        if self._lock is not None:
            self._lock()
            self._lock = None

    def require_same_job(self) -> None:
        """Raise ValueError, naming the settings that differ, if the chunks are another job's."""
        text = self.job_file.read_text("utf-8")
        if text == self.job:
            return
        mine = json.loads(self.job)
        try:
            there = dict(json.loads(text))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.job_file} is damaged ({error}); delete its folder") from error
        differing = "; ".join(
            f"{name}: {there.get(name)!r} there, {mine.get(name)!r} now"
            for name in {**there, **mine}
            if there.get(name) != mine.get(name)
        )
        raise ValueError(
            f"{self.folder} holds chunks of another job ({differing}); finish that one by its own "
            f"settings and --resume, choose another name for this one, or delete the folder"
        )

    def holds(self, chunk: int) -> bool:
        """Whether a chunk is done and whole; of a damaged one a line on stderr tells."""
        try:
            self.load(chunk)
        except FileNotFoundError:
            return False
        except ValueError as error:
            print(error, file=sys.stderr)
            return False
        return True

    def load(self, chunk: int) -> Images:
        """A chunk's images; FileNotFoundError if it is not done, ValueError if it is damaged."""
        path = self.file(chunk)
        shape = (len(self.images(chunk)), *self.image_shape)
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                images: Images = file["image"]  # which checks the archive's checksum
            if images.dtype != np.uint8 or images.shape != shape:
                raise ValueError(f"uint8 {shape} expected, not {images.dtype} {images.shape}")
        except FileNotFoundError:
            raise
        except Exception as error:  # zip and deflate raise many kinds for a damaged file
            raise ValueError(
                f"the chunk {path} is damaged ({error}): --resume draws it again"
            ) from error
        return images

    def save(self, chunk: int, images: Images) -> None:
        """Keep a chunk, whole or not at all; OSError if it cannot be written."""
        path = self.file(chunk)
        with self._keeping(path), atomic_write(path) as file:
            np.savez_compressed(file, image=images)

    def take(self, indices: Iterable[int]) -> Images:
        """Images by ascending numbers, from the finished .npz."""
        size = prod(self.image_shape)
        taken: list[Images] = []
        with zipfile.ZipFile(self.npz) as archive, archive.open("image.npy") as member:
            np.lib.format.read_magic(member)
            np.lib.format.read_array_header_1_0(member)
            start = member.tell()
            for index in indices:
                member.seek(start + index * size)
                taken.append(np.frombuffer(member.read(size), np.uint8).reshape(self.image_shape))
        return np.stack(taken)

    def join(
        self, columns: Mapping[str, Callable[[range], NDArray[Any]]], constants: Mapping[str, Any]
    ) -> None:
        """Write the .npz: all images, int64 columns by image numbers, constants, and the job.

        The same chunks give the same bytes.
        """
        for cut_short in self.npz.parent.glob(f".{escape(self.npz.name)}.*.tmp"):
            cut_short.unlink()  # it may be large
        whole, chunks = (self.count, *self.image_shape), range(self.chunks)
        arrays: dict[str, Any] = {"image": Rows(np.dtype(np.uint8), whole, map(self.load, chunks))}
        for name, column in columns.items():
            values = map(column, map(self.images, chunks))
            arrays[name] = Rows(np.dtype(np.int64), (self.count,), values)
        with self._keeping(self.npz), atomic_write(self.npz) as file:
            write_npz(file, {**arrays, **constants, "job": np.asarray(self.job)})

    def remove(self) -> None:
        """Delete the chunks, once the .npz stands; what is not theirs stays in the folder."""
        if not self.folder.is_dir():
            return
        # Without job.json the folder counts as done with, however far the rest gets.
        self.job_file.unlink(missing_ok=True)
        for path in self.folder.glob("part_*.npz"):
            path.unlink()
        remove_leftovers(self.folder)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
        self.unlock()

    @contextmanager
    def _keeping(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise OSError(
                error.errno,
                f"{path} could not be written ({error.strerror}); the chunks in "
                f"{self.folder} are whole. Make room on the disk, then go on with --resume",
            ) from error


def fill(
    parts: Parts,
    draw: Callable[[range, Callable[[float], None]], Images],
    *,
    resume: bool = False,
    rank: int = 0,
    world: int = 1,
    patience: float = 600,
    progress: bool = False,
) -> None:
    """Draw and keep the chunks that are missing; the first process returns when all are there.

    Process ``rank`` of ``world`` draws every ``world``-th chunk by ``draw(images, done)``: uint8
    (len(images), C, H, W), telling ``done`` the fraction that it has, if it likes. The number of
    processes may be another one at each start. ``progress`` shows the first one's on a terminal.

    The first process waits for the others as long as they finish a chunk within ``patience``
    seconds, or within ten times what its own slowest took, and raises TimeoutError then. Raises
    FileExistsError without ``resume`` where chunks are kept already or the folder is someone
    else's, BlockingIOError where another first process is at work on the job (this one has it
    locked afterwards, until `Parts.unlock` or `Parts.remove`), ValueError where the chunks are
    another job's, OSError where one cannot be written. Whatever is raised, finished chunks stay.
    """
    share = range(rank, parts.chunks, world)
    parts.require_no_other_folder()
    begun = parts.begun
    if begun:
        parts.require_same_job()
        if not resume and rank == 0:
            raise FileExistsError(
                f"{parts.folder} holds chunks of this job, which was cut short: go on with it "
                f"(--resume), or delete the folder to begin anew"
            )
        if rank == 0:
            parts.lock()
        missing = [chunk for chunk in share if not parts.holds(chunk)]
    else:
        missing = list(share)
    # Chunks that vanished were joined: this process came when nothing was left to do.
    if resume and rank > 0 and parts.finished:
        return
    total = sum(len(parts.images(chunk)) for chunk in missing)
    drawn = 0
    with bar("sampling", total, shown=progress and rank == 0) as show:
        for chunk in missing:
            started = time.monotonic()
            images = draw(parts.images(chunk), span(show, drawn, len(parts.images(chunk))))
            patience = max(patience, 10 * (time.monotonic() - started))
            if not begun:  # no folder before there is something to keep in it
                if rank == 0:
                    parts.begin()
                    parts.lock()
                else:
                    _await_first(parts, patience)
                begun = True
            elif not parts.begun:
                if parts.finished:  # a second start of this job joined all of them meanwhile
                    return
                raise FileNotFoundError(
                    f"{parts.folder} was deleted while its chunks were drawn: start again"
                )
            parts.save(chunk, images)
            drawn += len(images)
            show(drawn)
    if rank == 0:
        _await_others(parts, world, patience)


def _await_first(parts: Parts, patience: float) -> None:
    """Wait until the first process has made the folder."""
    started = time.monotonic()
    while not parts.begun:
        if time.monotonic() - started > patience:
            raise TimeoutError(
                f"the first process has made no {parts.folder} for {patience:.0f} s; if it ended, "
                f"see what it said, and start all of them again"
            )
        time.sleep(POLL)
    parts.require_same_job()


def _await_others(parts: Parts, world: int, patience: float) -> None:
    """Wait until the others' chunks are there and whole, and give up when no new one comes."""
    missing = [chunk for chunk in range(parts.chunks) if chunk % world]
    damaged: dict[int, int] = {}  # when each was written, so that it is read again only if anew
    since = time.monotonic()
    told = False
    while True:
        left = [chunk for chunk in missing if not _arrived(parts, chunk, damaged)]
        if not left:
            return
        now = time.monotonic()
        if len(left) < len(missing):
            missing, since = left, now
        absent = ", ".join(str(rank) for rank in sorted({chunk % world for chunk in left}))
        if not told:
            print(f"waiting for {len(left)} chunks of the processes {absent}", file=sys.stderr)
            told = True
        if now - since > patience:
            raise TimeoutError(
                f"{len(left)} of {parts.chunks} chunks are missing, and the processes {absent}, "
                f"whose they are, finished none within {patience:.0f} s. Those in {parts.folder} "
                f"are kept: once the processes have ended, start the command again with --resume, "
                f"by any number of processes"
            )
        time.sleep(POLL)


def _arrived(parts: Parts, chunk: int, damaged: dict[int, int]) -> bool:
    """Whether a chunk is there and whole; one that is damaged is noted."""
    try:
        written = parts.file(chunk).stat().st_mtime_ns
    except FileNotFoundError:
        return False
    if damaged.get(chunk) == written:
        return False
    damaged[chunk] = written
    return parts.holds(chunk)
