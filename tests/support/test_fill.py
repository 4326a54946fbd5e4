"""Chunks outlive a kill, never mix, and make one file, the same whoever drew them."""

import errno
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repr_toolkit.support.chunks import Array, Chunks
from repr_toolkit.support.files import Rows
from repr_toolkit.support.fill import fill
from toys.processes import ROOT

HOST = socket.gethostname().replace(".", "-")
SHAPE = (1, 2, 3)
COUNT, CHUNK = 23, 4

SCRIPT = """
import sys, time
from pathlib import Path
import numpy as np
from repr_toolkit.support.chunks import Chunks
from repr_toolkit.support.files import Rows
from repr_toolkit.support.fill import fill
rank, world, seconds = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
def draw(images, done):
    time.sleep(seconds)
    return {"image": np.stack([np.full((1, 2, 3), 3 * image, np.uint8) for image in images])}
rows = {"image": np.dtype((np.uint8, (1, 2, 3)))}
chunks = Chunks(Path(sys.argv[1]), {"seed": 1}, 23, 4, rows)
fill(chunks, draw, "sampling", rank=rank, world=world)
if rank == 0:
    images = Rows(np.dtype(np.uint8), (23, 1, 2, 3), chunks.column("image"))
    chunks.join({"image": images, "job": np.array(chunks.job)})
    chunks.remove()
"""


def chunks_of(npz: Path, **job: Any) -> Chunks:
    return Chunks(npz, {"seed": 1, **job}, COUNT, CHUNK, rows_of(SHAPE))


def rows_of(shape: tuple[int, ...]) -> dict[str, np.dtype[Any]]:
    return {"image": np.dtype((np.uint8, shape))}


def draw(images: range, done: Callable[[float], None]) -> dict[str, Array]:
    return {"image": np.stack([np.full(SHAPE, 3 * image, np.uint8) for image in images])}


def join(chunks: Chunks, shape: tuple[int, ...] = (COUNT, *SHAPE)) -> None:
    images = Rows(np.dtype(np.uint8), shape, chunks.column("image"))
    chunks.join({"image": images, "job": np.array(chunks.job)})


def finish(chunks: Chunks, **how: Any) -> bytes:
    fill(chunks, draw, "sampling", **how)
    join(chunks)
    chunks.remove()
    return chunks.npz.read_bytes()


def start(npz: Path, rank: int = 0, world: int = 1, seconds: float = 0) -> subprocess.Popen[bytes]:
    """Such a job in another process; it needs no torch, and is there at once."""
    command = [sys.executable, "-c", SCRIPT, str(npz), str(rank), str(world), str(seconds)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of an uninterrupted job."""
    return finish(chunks_of(tmp_path_factory.mktemp("whole") / "a.npz"))


def test_the_file_is_an_ordinary_npz(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(whole)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert sorted(file) == ["image", "job"]
        assert file["image"].shape == (COUNT, *SHAPE)
        assert file["image"].dtype == np.uint8
        assert (file["image"][:, 0, 0, 0] == 3 * np.arange(COUNT)).all()
        assert json.loads(str(file["job"])) == {"seed": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_killed_job_goes_on(tmp_path: Path, whole: bytes) -> None:
    chunks = chunks_of(tmp_path / "a.npz")
    with start(chunks.npz, seconds=0.1) as process:
        until(lambda: chunks.file(2).exists())
        process.send_signal(signal.SIGKILL)
    assert not chunks.npz.exists()
    kept = {path: path.stat().st_mtime_ns for path in chunks.folder.glob("part_*")}
    assert 3 <= len(kept) < len(chunks)
    (chunks.folder / f".{chunks.file(5).name}.{HOST}.99999999.tmp").write_bytes(b"half")
    with pytest.raises(FileExistsError, match=r"a\.parts.*resume=True"):
        fill(chunks, draw, "sampling")
    (tmp_path / f".a.npz.{HOST}.99999999.tmp").write_bytes(b"half")  # killed later
    fill(chunks, draw, "sampling", resume=True)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert finish(chunks, resume=True) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_two_processes_make_the_file_of_one(tmp_path: Path, whole: bytes) -> None:
    chunks = chunks_of(tmp_path / "a.npz")
    with start(chunks.npz, rank=1, world=2) as other, start(chunks.npz, rank=0, world=2) as first:
        assert first.wait(30) == other.wait(30) == 0
    assert chunks.npz.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_process_that_died_is_not_waited_for_without_end(
    tmp_path: Path, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    chunks = chunks_of(tmp_path / "a.npz")
    with pytest.raises(TimeoutError, match="first process has made no"):
        fill(chunks, draw, "sampling", rank=1, world=3, patience=0.3)
    with pytest.raises(TimeoutError, match=r"4 of 6 chunks.* processes 1, 2, .*resume=True"):
        fill(chunks, draw, "sampling", world=3, patience=0.3)
    assert "waiting for 4 chunks of the processes 1, 2" in capsys.readouterr().err
    fill(chunks, draw, "sampling", rank=2, world=3)  # it was only slow
    assert finish(chunks, resume=True) == whole  # by one process now


def test_a_process_that_comes_too_late(tmp_path: Path) -> None:
    chunks = chunks_of(tmp_path / "a.npz")
    finish(chunks)
    fill(chunks, draw, "sampling", resume=True, rank=1, world=2, patience=0)
    fill(chunks, draw, "sampling", rank=6, world=7, patience=0)  # there is no seventh chunk
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("other", [{"seed": 2}, {"temperature": 0.5}])
@pytest.mark.parametrize("resume", [True, False])
def test_two_jobs_never_mix(tmp_path: Path, other: dict[str, Any], resume: bool) -> None:
    chunks = chunks_of(tmp_path / "a.npz")
    fill(chunks, draw, "sampling")
    [(name, value)] = other.items()
    with pytest.raises(ValueError, match=rf"{name}: .* there, {value} now"):
        fill(chunks_of(tmp_path / "a.npz", **other), draw, "sampling", resume=resume)
    assert len(list(chunks.folder.glob("part_*"))) == len(chunks)


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped"])
def test_a_damaged_chunk_is_made_again(
    tmp_path: Path, whole: bytes, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chunks = chunks_of(tmp_path / "a.npz")
    fill(chunks, draw, "sampling")
    path = chunks.file(3)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        with zipfile.ZipFile(path) as archive:
            [entry] = archive.infolist()
        data = entry.header_offset + 30 + len(entry.filename) + entry.compress_size // 2
        content[data + 20] ^= 0xFF
    contents = {"cut": content[:-20], "empty": b"", "flipped": content}
    path.write_bytes(contents[damage])
    with pytest.raises(ValueError, match=r"part_000003.*damaged.*resume=True"):
        join(chunks)
    assert not chunks.npz.exists()
    assert finish(chunks, resume=True) == whole
    assert "part_000003" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arrays",
    [
        {"image": np.zeros((3, *SHAPE), np.uint8)},
        {"image": np.zeros((CHUNK, 2, 2, 3), np.uint8)},
        {"image": np.zeros((CHUNK, *SHAPE), np.uint16)},
        {"label": np.zeros(CHUNK, np.int64)},
    ],
)
def test_another_chunk_is_made_again(
    tmp_path: Path, whole: bytes, arrays: dict[str, Array], capsys: pytest.CaptureFixture[str]
) -> None:
    chunks = chunks_of(tmp_path / "a.npz")
    fill(chunks, draw, "sampling")
    chunks.save(3, arrays)
    with pytest.raises(ValueError, match=r"part_000003.*damaged.*image.*resume=True"):
        chunks.load(3)
    with pytest.raises(ValueError, match="image"):
        join(chunks)
    assert finish(chunks, resume=True) == whole
    assert "part_000003" in capsys.readouterr().err


def test_things_that_are_skipped_have_no_row(tmp_path: Path) -> None:
    chunks = chunks_of(tmp_path / "a.npz")
    fill(chunks, draw, "sampling")
    chunks.save(5, {"image": np.zeros((2, *SHAPE), np.uint8), "skipped": np.array(["one"])})
    assert chunks.holds(5)
    chunks.save(5, {"image": np.zeros((2, *SHAPE), np.uint8), "skipped": np.array(["a", "b"])})
    assert not chunks.holds(5)


def test_a_job_may_name_a_folder_of_any_bytes(tmp_path: Path) -> None:
    chunks = chunks_of(tmp_path / "a.npz", folder=os.fsdecode(b"caf\xe9"))
    fill(chunks, draw, "sampling")
    chunks.unlock()
    again = chunks_of(tmp_path / "a.npz", folder=os.fsdecode(b"caf\xe9"))
    finish(again, resume=True)
    assert again.finished


def test_a_full_disk_keeps_the_chunks(tmp_path: Path, whole: bytes) -> None:
    """The system itself refuses here to let a file grow, as it does when the disk is full."""
    chunks = chunks_of(tmp_path / "a.npz")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk(images: range, done: Callable[[float], None]) -> dict[str, Array]:
        if images.start >= 12:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        return draw(images, done)

    try:
        with pytest.raises(OSError, match=r"part_000003.*Make room .*resume=True"):
            fill(chunks, fill_the_disk, "sampling")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    names = ["job.json", "part_000000.npz", "part_000001.npz", "part_000002.npz"]
    assert sorted(path.name for path in chunks.folder.iterdir()) == names
    assert finish(chunks, resume=True) == whole


def test_what_fails_at_once_leaves_nothing(tmp_path: Path) -> None:
    def refuse(images: range, done: Callable[[float], None]) -> dict[str, Array]:
        raise ValueError("no such engine")

    with pytest.raises(ValueError, match="no such engine"):
        fill(chunks_of(tmp_path / "a.npz"), refuse, "sampling")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_the_users_is_left_alone(tmp_path: Path) -> None:
    chunks = chunks_of(tmp_path / "a.npz")
    chunks.folder.mkdir()
    (chunks.folder / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="in the way"):
        fill(chunks, draw, "sampling")
    (chunks.folder / "mine.txt").unlink()
    fill(chunks, draw, "sampling")
    (chunks.folder / "mine.txt").write_text("mine")
    chunks.remove()
    assert [path.name for path in chunks.folder.iterdir()] == ["mine.txt"]


def test_what_is_in_the_way_is_told_before_any_work(tmp_path: Path) -> None:
    def never(images: range, done: Callable[[float], None]) -> dict[str, Array]:
        raise AssertionError

    chunks = chunks_of(tmp_path / "a.npz")
    chunks.folder.write_text("mine")
    with pytest.raises(FileExistsError, match=r"a\.parts is in the way: it is no folder"):
        fill(chunks, never, "sampling")
    chunks.folder.unlink()
    chunks.folder.mkdir()
    (chunks.folder / "part_mine.npz").write_text("mine")
    with pytest.raises(FileExistsError, match=r"in the way.* part_mine\.npz"):
        fill(chunks, never, "sampling", rank=1, world=2)


def test_a_removal_that_was_cut_short_blocks_nothing(tmp_path: Path, whole: bytes) -> None:
    chunks = chunks_of(tmp_path / "a.npz", seed=2)
    fill(chunks, draw, "sampling")
    chunks.job_file.unlink()  # which goes first
    chunks.file(0).unlink()
    assert finish(chunks_of(tmp_path / "a.npz")) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_one_process_leads_a_job(tmp_path: Path, whole: bytes) -> None:
    first, second = chunks_of(tmp_path / "a.npz"), chunks_of(tmp_path / "a.npz")

    def look_in(images: range, done: Callable[[float], None]) -> dict[str, Array]:
        if images.start == 8:
            with pytest.raises(BlockingIOError, match=r"another process.*a\.parts"):
                fill(second, draw, "sampling", resume=True)
        return draw(images, done)

    fill(first, look_in, "sampling")
    first.unlock()
    assert finish(second, resume=True) == whole


def test_chunks_joined_by_a_second_start(tmp_path: Path, whole: bytes) -> None:
    """As where the file system has no locks."""
    first = chunks_of(tmp_path / "a.npz")
    starts: list[int] = []

    def overtaken(images: range, done: Callable[[float], None]) -> dict[str, Array]:
        starts.append(images.start)
        if images.start == 8:
            first.unlock()
            assert finish(chunks_of(tmp_path / "a.npz"), resume=True) == whole
        return draw(images, done)

    fill(first, overtaken, "sampling")
    assert starts == [0, 4, 8]
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    first.npz.unlink()

    def deleted(images: range, done: Callable[[float], None]) -> dict[str, Array]:
        if images.start == 8:
            shutil.rmtree(first.folder)
        return draw(images, done)

    first.unlock()
    with pytest.raises(FileNotFoundError, match=r"a\.parts was deleted"):
        fill(first, deleted, "sampling")


def test_a_damaged_chunk_of_another_process_is_its_own_to_draw(
    tmp_path: Path, whole: bytes
) -> None:
    chunks = chunks_of(tmp_path / "a.npz")
    fill(chunks, draw, "sampling")
    chunks.file(3).write_bytes(chunks.file(3).read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"part_000003.*damaged.*resume=True makes it again"):
        finish(chunks, resume=True, world=2)
    chunks.unlock()
    fill(chunks, draw, "sampling", resume=True, rank=1, world=2)
    assert finish(chunks, resume=True, world=2) == whole


def test_only_a_full_disk_asks_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = chunks_of(tmp_path / "a.npz")
    fill(chunks, draw, "sampling")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("repr_toolkit.support.chunks.write_npz", refuse)
    with pytest.raises(PermissionError) as refused:
        chunks.save(0, chunks.load(0))
    assert "room" not in str(refused.value)


def test_memory_holds_some_chunks_and_not_the_whole(tmp_path: Path) -> None:
    shape, chunk = (3, 32, 32), 500
    image = np.zeros(shape, np.uint8)

    def peak(number: int) -> int:
        chunks = Chunks(tmp_path / f"{number}.npz", {}, number * chunk, chunk, rows_of(shape))
        tracemalloc.start()
        fill(chunks, lambda images, done: {"image": np.stack([image] * len(images))}, "sampling")
        join(chunks, (chunks.count, *shape))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few = peak(3)
    assert few < 5 * chunk * image.nbytes
    assert peak(30) < 1.1 * few


def test_images_by_their_numbers(tmp_path: Path) -> None:
    chunks = chunks_of(tmp_path / "a.npz")
    finish(chunks)
    assert chunks.take("image", [0, 3, 4, 22])[:, 0, 0, 0].tolist() == [0, 9, 12, 66]
