"""Errors of files name them and say what to do, whatever kind of error a damaged file raises."""

import errno
from pathlib import Path

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


def test_a_checksum_of_facts(tmp_path: Path) -> None:
    path, facts = tmp_path / "a.json", {"b": [1.5, None], "a": "é"}
    path.write_text(module.json.dumps(sealed(facts)))
    assert read_sealed(path) == facts
    path.write_text(path.read_text().replace("1.5", "2.5"))
    with pytest.raises(ValueError, match="checksum is wrong"):
        read_sealed(path)
    path.write_text(module.json.dumps(facts))
    assert read_sealed(path) == facts
    of_files = {"checksums": {"a": "0"}}
    path.write_text(module.json.dumps(sealed(of_files)))
    assert read_sealed(path) == of_files
    path.write_text(path.read_text().replace('"checksum"', '"cjecksum"'))
    with pytest.raises(ValueError, match="checksum is wrong"):
        read_sealed(path)


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
