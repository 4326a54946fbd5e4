"""Errors of files name them and say what to do, whatever kind of error a damaged file raises."""

import errno
import os
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from repr_toolkit.report.training import read_metrics
from repr_toolkit.support import reading as module
from repr_toolkit.support.files import atomic_write
from repr_toolkit.support.importing import import_callable
from repr_toolkit.support.reading import (
    file_checksum,
    read_json,
    read_sealed,
    read_text,
    reading,
    require_all_listed,
    require_whole,
    sealed,
    writing,
)
from repr_toolkit.training.csv_logger import CsvLogger


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (OSError(errno.EINVAL, "Invalid argument"), ValueError, "is damaged.*Invalid.*; copy it"),
        (OSError(errno.EIO, "Input/output error"), OSError, "Input/output error: '.*file'"),
        (NotImplementedError("no such\ncompression"), ValueError, "damaged.*no such compression"),
        (RecursionError("too deep"), ValueError, "is damaged.*too deep"),
        (KeyError(), ValueError, r"is damaged or cut short \(KeyError\); copy it"),
        (MemoryError("5 GB"), MemoryError, "file: 5 GB"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError, "file: Default"),
        (RuntimeError("invalid header"), ValueError, "is damaged"),
        (FileNotFoundError(2, "no", "other"), FileNotFoundError, "'other'"),
    ],
)
def test_reading(tmp_path: Path, error: Exception, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told), reading(tmp_path / "file", "copy it"):
        raise error


def test_a_missing_archive_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with pytest.raises(FileNotFoundError, match=r"a\.ckpt"), reading(path):
        require_whole(path)


def test_a_disk_that_cannot_be_read_names_the_file() -> None:
    unreadable = Path("/proc/self/mem")  # opens, and has nothing at its beginning
    if not unreadable.exists():
        pytest.skip("no such file on this system")
    with pytest.raises(OSError, match="/proc/self/mem"):
        file_checksum(unreadable)


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match=r"No space left on device: '.*/a'"), writing(tmp_path / "a"):
        raise full
    with pytest.raises(OSError, match=r"'.*/a'"), atomic_write(tmp_path / "a"):
        raise full
    with (
        pytest.raises(OSError, match=r"/a could not be written: 9 requested"),
        writing(tmp_path / "a"),
    ):
        raise OSError("9 requested and 0 written")


def test_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ValueError, match=r"a\.json is damaged.*utf-8"):
        read_text(path)
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"a\.json is damaged.*recursion"):
        read_json(path)
    monkeypatch.setattr(module, "MOST_TEXT", 1 << 20)
    path.write_text("x" * (2 << 20))
    with pytest.raises(ValueError, match=r"a\.json is damaged.*more than 1 MiB"):
        read_text(path)


@pytest.mark.parametrize("name", ["fifo", "zero", "folder"])
@pytest.mark.parametrize("read", [file_checksum, read_text, require_whole])
def test_what_is_no_file_is_not_read_for_ever(
    tmp_path: Path, name: str, read: Callable[[Path], object]
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=f"{name} is no file"):
        read(tmp_path / name)


def test_a_checksum_of_facts(tmp_path: Path) -> None:
    path, facts = tmp_path / "a.json", {"b": [1.5, None], "a": "é"}
    path.write_text(module.json.dumps(sealed(facts)))
    assert read_sealed(path) == facts
    path.write_text(path.read_text().replace("1.5", "2.5"))
    with pytest.raises(ValueError, match="checksum is wrong"):
        read_sealed(path)
    path.write_text(module.json.dumps(facts))
    assert read_sealed(path) == facts
    with pytest.raises(ValueError, match="checksum is wrong"):
        read_sealed(path, always=True)
    of_files = {"checksums": {"a": "0"}}
    path.write_text(module.json.dumps(sealed(of_files)))
    assert read_sealed(path) == of_files
    path.write_text(path.read_text().replace('"checksum"', '"cjecksum"'))
    with pytest.raises(ValueError, match="checksum is wrong"):
        read_sealed(path)


def zipped(save: Callable[..., None]) -> bytes:
    file = BytesIO()
    save(file, image=np.zeros(9), label=np.ones(3))
    return file.getvalue()


class Pipe(BytesIO):
    """To which what was written cannot be mended, so that sizes stand behind the arrays."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise OSError("a pipe")

    def tell(self) -> int:
        raise OSError("a pipe")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_member_that_the_list_of_an_archive_lost_is_missed(save: Callable[..., None]) -> None:
    whole = zipped(save)
    with zipfile.ZipFile(BytesIO(whole)) as archive:
        require_all_listed(archive)
        listed = archive.start_dir
    renamed = whole[:listed] + whole[listed:].replace(b"label.npy", b"labem.npy")
    with (
        zipfile.ZipFile(BytesIO(renamed)) as archive,
        pytest.raises(ValueError, match=r"lists 'labem\.npy'.*has 'label\.npy'"),
    ):
        require_all_listed(archive)
    entry = whole[listed:].index(b"PK\1\2", 4)  # that of the second member
    for count in (0, entry):
        end = bytearray(whole[-22:])
        end[12:16] = count.to_bytes(4, "little")  # bytes of the list
        cut = whole[:listed] + whole[listed:][:count] + bytes(end)
        with (
            zipfile.ZipFile(BytesIO(cut)) as archive,
            pytest.raises(ValueError, match="holds a member that it does not list"),
        ):
            require_all_listed(archive)


def test_archives_of_every_kind_list_what_they_hold(tmp_path: Path) -> None:
    pipe = Pipe()
    np.savez_compressed(pipe, image=np.zeros(9), label=np.ones(3))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.mkdir("é")
        archive.writestr("é/a.npy", b"PK\3\4 is no header here")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive, pytest.warns(match="Duplicate"):
        archive.writestr("é/a.npy", b"again")
    before = b"#!/bin/sh\n" + (tmp_path / "a.zip").read_bytes()
    for content in (pipe.getvalue(), (tmp_path / "a.zip").read_bytes(), before):
        with zipfile.ZipFile(BytesIO(content)) as archive:
            assert archive.infolist()
            require_all_listed(archive)


def test_metrics_with_a_giant_field_are_named(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text(f"step,loss\n1,{'1' * 200_000}\n")
    with pytest.raises(ValueError, match=r"metrics\.csv is damaged.*field larger"):
        read_metrics(file)
    with pytest.raises(ValueError, match=r"metrics\.csv is damaged.*field larger"):
        CsvLogger(file, 5)


def test_an_import_path_of_many_parts() -> None:
    with pytest.raises(ImportError, match="more than 30 parts"):
        import_callable(".".join(["a"] * 500))
