"""Checkpoints are whole or absent, and read without running what a file might hold."""

import errno
import os
import pickle
import resource
import zipfile
from pathlib import Path

import pytest
import torch

from repr_toolkit.support.files import atomic_write
from repr_toolkit.training.checkpoints import AtomicCheckpointIO

BIG = {"weights": torch.zeros(300_000)}


def test_round_trip(tmp_path: Path) -> None:
    files, path = AtomicCheckpointIO(), tmp_path / "step_0000001.ckpt"
    files.save_checkpoint({"x": torch.arange(3), "n": 1}, path)
    assert files.load_checkpoint(path)["x"].tolist() == [0, 1, 2]


def test_what_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is to delete a good checkpoint that may not be read."""
    files, path = AtomicCheckpointIO(), tmp_path / "step_0000001.ckpt"
    files.save_checkpoint({"x": 1}, path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "permission denied", str(path))

    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(PermissionError, match="permission denied"):
        files.load_checkpoint(path)


def test_a_full_disk_leaves_the_former_checkpoint(tmp_path: Path) -> None:
    """The system itself refuses here to let a file grow, as it does when the disk is full."""
    files, former = AtomicCheckpointIO(), tmp_path / "step_0000001.ckpt"
    files.save_checkpoint({"x": 1}, former)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"step_0000002.*step_0000001\.ckpt is whole"):
            files.save_checkpoint(BIG, tmp_path / "step_0000002.ckpt")
        with pytest.raises(OSError, match="could not be written"):
            files.save_checkpoint(BIG, former)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == [former.name]
    assert files.load_checkpoint(former) == {"x": 1}


def test_the_error_of_a_full_disk_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "step_0000001.ckpt")
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", [0.5, 0.0])
def test_a_checkpoint_cut_short_is_named_with_the_one_before(tmp_path: Path, part: float) -> None:
    files = AtomicCheckpointIO()
    former, cut = tmp_path / "step_0000001.ckpt", tmp_path / "step_0000002.ckpt"
    for path in (former, cut):
        files.save_checkpoint(BIG, path)
    cut.write_bytes(cut.read_bytes()[: int(cut.stat().st_size * part)])
    message = "step_0000002.ckpt is damaged.*delete it to resume from step_0000001.ckpt"
    with pytest.raises(ValueError, match=message):
        files.load_checkpoint(cut)
    former.unlink()
    with pytest.raises(ValueError, match="delete it to start from the beginning"):
        files.load_checkpoint(cut)


@pytest.mark.parametrize("place", ["data.pkl", "data/0"])
def test_a_flipped_bit_is_named(tmp_path: Path, place: str) -> None:
    """In the numbers PyTorch itself would not notice it."""
    path = tmp_path / "step_0000001.ckpt"
    AtomicCheckpointIO().save_checkpoint(BIG, path)
    with zipfile.ZipFile(path) as archive:
        record = next(name for name in archive.namelist() if name.endswith(place))
        part = archive.read(record)
    content = bytearray(path.read_bytes())
    content[content.index(part) + len(part) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"0001\.ckpt is damaged.*{place}.*start from the beg"):
        AtomicCheckpointIO().load_checkpoint(path)


def test_a_file_that_became_a_folder_is_named(tmp_path: Path) -> None:
    """By one flipped bit of its attributes; PyTorch would take its numbers from anywhere."""
    path = tmp_path / "step_0000001.ckpt"
    AtomicCheckpointIO().save_checkpoint(BIG, path)
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\1\2")
    while not content[central + 46 :].startswith(b"archive/data/0"):
        central = content.index(b"PK\1\2", central + 4)
    content[central + 38] ^= 16
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"0001\.ckpt is damaged"):
        AtomicCheckpointIO().load_checkpoint(path)


def test_a_checkpoint_is_no_larger_than_its_file(tmp_path: Path) -> None:
    path, packed = tmp_path / "step_0000001.ckpt", tmp_path / "step_0000002.ckpt"
    AtomicCheckpointIO().save_checkpoint(BIG, path)
    with (
        zipfile.ZipFile(path) as archive,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as other,
    ):
        for name in archive.namelist():
            other.writestr(name, archive.read(name))
    with pytest.raises(ValueError, match=r"0002\.ckpt is damaged.*compressed parts"):
        AtomicCheckpointIO().load_checkpoint(packed)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/repr-toolkit-was-here",)


def test_nothing_foreign_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "step_0000001.ckpt"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="damaged"):
        AtomicCheckpointIO().load_checkpoint(path)
    torch.save(Evil(), path)
    with pytest.raises(ValueError, match="damaged"):
        AtomicCheckpointIO().load_checkpoint(path)
    assert not Path("/tmp/repr-toolkit-was-here").exists()


def test_atomic_write_replaces_or_leaves(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_write(path) as file:
        file.write(b"old")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"old"
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
