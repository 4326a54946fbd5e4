"""The cache: whole folders or nothing."""

from pathlib import Path

import numpy as np
import pytest

from repr_toolkit.data.cache import Contents, cached, file_stamp, write_rows
from repr_toolkit.support.caches import cache_folder

ROWS = {"train": np.arange(8), "val": np.array([8]), "test": np.array([9])}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPR_TOOLKIT_CACHE", str(tmp_path))
    return tmp_path / "data"


def build(folder: Path) -> Contents:
    np.save(folder / "image.npy", np.full((10, 1, 2, 2), 3, np.uint8))
    return Contents(ROWS, levels=4, names={"label": "ab"})


def test_made_once_and_found_again(folder: Path) -> None:
    first = cached("toy", "key", build)
    second = cached("toy", "key", lambda _: pytest.fail("built again"))
    assert second.fingerprint == first.fingerprint
    assert (second.levels, second.names) == (4, {"label": ("a", "b")})
    assert second.rows["test"].tolist() == [9]
    cached("toy", "other key", build)
    assert len(list(folder.iterdir())) == 2


def test_a_failure_leaves_nothing(folder: Path) -> None:
    def fail(folder: Path) -> Contents:
        build(folder)
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        cached("toy", "key", fail)
    assert not list(folder.iterdir())

    def misfit(folder: Path) -> Contents:
        np.save(folder / "image.npy", np.full((10, 1, 2, 2), 4, np.uint8))
        return Contents(ROWS, levels=4)

    with pytest.raises(ValueError, match="holds the value 4 but has 4 levels"):
        cached("toy", "key", misfit)
    assert not list(folder.iterdir())


def test_two_at_once(folder: Path) -> None:
    def overtaken(unfinished: Path) -> Contents:
        cached("toy", "key", build)
        return build(unfinished)

    assert cached("toy", "key", overtaken).levels == 4
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("name", ["image.npy", "rows_test.npy", "meta.json"])
def test_bit_rot_is_seen_by_the_next_process(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached("toy", "key", build)
    [made] = folder.iterdir()
    content = bytearray((made / name).read_bytes())
    content[-20] ^= 4
    (made / name).write_bytes(content)
    monkeypatch.setattr("repr_toolkit.data.cache._verified", set())
    with pytest.raises(ValueError, match=f"{name} is damaged .*; delete .*made again") as damaged:
        cached("toy", "key", build)
    assert str(made) in str(damaged.value)


def test_rows_must_add_up(tmp_path: Path) -> None:
    chunks = [np.ones((2, 3)), np.zeros((1, 3))]
    write_rows(tmp_path / "x.npy", np.dtype(np.float32), (3, 3), chunks)
    stored = np.load(tmp_path / "x.npy")
    assert stored.dtype == np.float32
    assert np.array_equal(stored, np.concatenate(chunks))
    with pytest.raises(ValueError, match="3 rows for an array of 4"):
        write_rows(tmp_path / "x.npy", np.dtype(np.float32), (4, 3), chunks)
    with pytest.raises(ValueError, match=r"rows of shape \(3,\) in an array of \(3, 2\)"):
        write_rows(tmp_path / "x.npy", np.dtype(np.float32), (3, 2), chunks)


def test_a_stamp_changes_with_its_files(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("a")
    stamp = file_stamp([file])
    assert file_stamp([file]) == stamp
    file.write_text("ab")
    assert file_stamp([file]) != stamp


def test_the_cache_is_in_the_home_folder_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPR_TOOLKIT_CACHE")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/repr-toolkit")
