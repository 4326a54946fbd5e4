"""Large arrays that are made chunk by chunk, and joined into one .npz.

Each finished chunk is a file of its own in a folder beside the .npz. So finished chunks outlive a
kill, and memory never holds more than two.
"""

import errno
import json
import re
import weakref
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repr_toolkit.support.console import tell
from repr_toolkit.support.files import (
    Rows,
    atomic_write,
    json_text,
    write_npz,
    write_text,
)
from repr_toolkit.support.leftovers import remove_leftovers
from repr_toolkit.support.locks import lock
from repr_toolkit.support.reading import read_text
from repr_toolkit.support.speech import either

Array = NDArray[Any]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The error numbers of a full disk."""


class Chunks:
    """The chunks of what is made of `count` things, thing i in chunk i // chunk_size.

    They lie in the folder NAME.parts beside `npz`, NAME.npz, each some arrays by their names. Its
    job.json holds the `job`, names to JSON values that decide all of them, so that chunks of two
    jobs never mix. The arrays in `rows` have a row of that dtype, which may state a shape, for each
    thing but those that the array `skipped` lists.
    """

    def __init__(
        self,
        npz: Path,
        job: Mapping[str, Any],
        count: int,
        chunk_size: int,
        rows: Mapping[str, np.dtype[Any]],
    ) -> None:
        self.npz = npz
        self.folder = npz.with_suffix(".parts")
        self.job_file = self.folder / "job.json"
        self.job = json_text(dict(job)).strip()
        self.count = count
        self.chunk_size = chunk_size
        self.rows = rows
        self._lock: weakref.finalize[..., Chunks] | None = None

    def __len__(self) -> int:
        return -(-self.count // self.chunk_size)

    def file(self, chunk: int) -> Path:
        """The file of a chunk."""
        return self.folder / f"part_{chunk:06d}.npz"

    def members(self, chunk: int) -> range:
        """The numbers of the things that a chunk is made of."""
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

    def check(self) -> bool:
        """Whether chunks of this job are kept.

        Raises FileExistsError if the folder's name is taken by what is no folder of chunks, and
        ValueError, naming the settings that differ, if its chunks are another job's.
        """
        self._require_no_other_folder()
        if self.begun:
            self._require_same_job()
        return self.begun

    def take_up(self, *, resume: bool) -> bool:
        """Lock the chunks of this job that are kept; False where there are none.

        Raises as `check` and `lock` do, and FileExistsError for kept chunks without `resume`.
        """
        if not self.check():
            return False
        if not resume:
            raise FileExistsError(
                f"{self.folder} holds chunks of this job, which was cut short: go on with it "
                f"({either('--resume', 'resume=True')}), or delete the folder to begin anew"
            )
        self.lock()
        return True

    def begin(self) -> None:
        """Make the folder for this job and lock it, without leftovers of a removal cut short.

        Raises FileExistsError if it holds what is no job's, or another process was faster.
        """
        self._require_no_other_folder()
        if self.begun:
            raise FileExistsError(f"{self.folder} was begun by another process meanwhile")
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.glob("part_*.npz"):
            path.unlink()
        with self._keeping(self.job_file):
            write_text(self.job_file, self.job)
        self.lock()

    def lock(self) -> None:
        """Keep other processes from leading this job until `unlock`, or until this object is gone.

        Raises BlockingIOError if one leads it. Where the file system has no locks nothing is done.
        """
        if self._lock is not None:
            return
        try:
            unlock = lock(self.job_file)
        except BlockingIOError as error:
            raise BlockingIOError(
                f"another process is at work in {self.folder}; wait for it, or stop it first"
            ) from error
        self._lock = weakref.finalize(self, unlock)

    def unlock(self) -> None:
        """Let go of the lock, if this process has it."""
        if self._lock is not None:
            self._lock()
            self._lock = None

    def holds(self, chunk: int) -> bool:
        """Whether a chunk is kept and whole; a damaged one is named on stderr."""
        try:
            self.load(chunk)
        except FileNotFoundError:
            return False
        except ValueError as error:
            tell(str(error))
            return False
        return True

    def load(self, chunk: int) -> dict[str, Array]:
        """A chunk's arrays; FileNotFoundError if it is not kept, ValueError if it is damaged."""
        with self._open(chunk) as file:
            arrays = dict(file)  # which checks the archive's checksums
            count = len(self.members(chunk)) - len(arrays.get("skipped", ()))
            for key, row in self.rows.items():
                array, shape = arrays[key], (count, *row.shape)
                if array.dtype.type is not row.base.type or array.shape != shape:
                    stored = f"{array.dtype} {array.shape}"
                    raise ValueError(f"{key} is {stored}, not {row.base} {shape}")
        return arrays

    @contextmanager
    def _open(self, chunk: int) -> Iterator[Mapping[str, Array]]:
        path = self.file(chunk)
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                yield file
        except FileNotFoundError:
            raise
        except Exception as error:  # zip and deflate raise many kinds for a damaged file
            raise ValueError(
                f"the chunk {path} is damaged ({error}): {either('--resume', 'resume=True')} "
                f"makes it again"
            ) from error

    def save(self, chunk: int, arrays: Mapping[str, Array]) -> None:
        """Keep a chunk, whole or not at all; OSError if it cannot be written."""
        path = self.file(chunk)
        with self._keeping(path), atomic_write(path) as file:
            write_npz(file, arrays)

    def column(self, key: str) -> Iterator[Array]:
        """One array of every chunk, in order; ValueError at one that is damaged."""
        for chunk in range(len(self)):
            with self._open(chunk) as file:
                array = file[key]  # alone, since the others may be large
            yield array

    def take(self, key: str, indices: Iterable[int]) -> Array:
        """Rows of an array of the finished .npz, by ascending numbers."""
        with zipfile.ZipFile(self.npz) as archive, archive.open(f"{key}.npy") as member:
            np.lib.format.read_magic(member)
            (_, *shape), _, dtype = np.lib.format.read_array_header_1_0(member)
            start, size = member.tell(), prod(shape) * dtype.itemsize
            rows = []
            for index in indices:
                member.seek(start + index * size)
                rows.append(np.frombuffer(member.read(size), dtype).reshape(shape))
        return np.stack(rows)

    def join(self, arrays: Mapping[str, Array | Rows]) -> None:
        """Write the .npz; equal arrays give equal bytes."""
        with self._keeping(self.npz), atomic_write(self.npz) as file:
            write_npz(file, arrays)

    def remove(self) -> None:
        """Delete the chunks, once the .npz stands; other files stay in the folder."""
        if not self.folder.is_dir():
            return
        # Without job.json the folder counts as done with, however far the rest gets.
        self.job_file.unlink(missing_ok=True)
        for path in self.folder.glob("part_*.npz"):
            path.unlink()
        remove_leftovers(self.folder, ".*.tmp")
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
        self.unlock()

    def _require_no_other_folder(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise FileExistsError(f"{self.folder} is in the way: it is no folder")
        ours = re.compile(r"job\.json|part_\d{6,}\.npz|.*\.tmp")
        for path in self.folder.glob("*"):
            if not self.begun and not ours.fullmatch(path.name):
                raise FileExistsError(
                    f"{self.folder} is in the way: it is no folder of chunks, for it holds "
                    f"{path.name}"
                )

    def _require_same_job(self) -> None:
        text = read_text(self.job_file)
        if text == self.job:
            return
        mine = json.loads(self.job)
        try:
            kept = dict(json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{self.job_file} is damaged ({error}); delete its folder") from error
        differing = "; ".join(
            f"{name}: {kept.get(name)!r} there, {mine.get(name)!r} now"
            for name in {**kept, **mine}
            if kept.get(name) != mine.get(name)
        )
        raise ValueError(
            f"{self.folder} holds chunks of another job ({differing}); finish that one by its own "
            f"settings and {either('--resume', 'resume=True')}, choose another name for this one, "
            f"or delete the folder"
        )

    @contextmanager
    def _keeping(self, path: Path) -> Iterator[None]:
        """Say what to do where the disk is full."""
        try:
            yield
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise OSError(
                error.errno,
                f"{path} could not be written ({error.strerror}); the chunks in "
                f"{self.folder} are whole. Make room on the disk, then go on with "
                + either("--resume", "resume=True"),
            ) from error
