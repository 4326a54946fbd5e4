"""The cache, listed and emptied."""

import re
from pathlib import Path

import pytest

from repr_toolkit.support import caches
from repr_toolkit.support.caches import cache_folder, cached_things, delete, elsewhere
from toys.processes import ROOT


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPR_TOOLKIT_CACHE", str(tmp_path / "cache"))
    for file in ("data/digits-0123/image.npy", "data/.b.host.7.tmp/x", "native/a.so", "mine/b"):
        path = tmp_path / "cache" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
    return tmp_path / "cache"


def test_a_folder_of_home_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("REPR_TOOLKIT_CACHE", "~/elsewhere")
    assert cache_folder() == Path("/home/someone/elsewhere")
    monkeypatch.delenv("REPR_TOOLKIT_CACHE")
    assert cache_folder() == Path("/home/someone/.cache/repr-toolkit")


def test_every_folder_in_it_is_listed() -> None:
    """All that the toolkit's code names beside `cache_folder()`."""
    files = [
        f for part in ("repr_toolkit", "decoders", "encoders") for f in (ROOT / part).rglob("*.py")
    ]
    named = {
        name
        for file in files
        for name in re.findall(r'cache_folder\(\) / "(\w+)"', file.read_text("utf-8"))
    }
    assert named == {*caches.KINDS}


def test_what_is_there_and_how_it_goes(cache: Path) -> None:
    things = cached_things()
    assert [(t.kind, t.name, t.bytes) for t in things] == [
        ("data", "digits-0123", 100),
        ("native", "a.so", 100),
    ]
    for thing in things:
        delete(thing)
    assert cached_things() == []
    assert (cache / "mine" / "b").exists()  # nothing of ours


def test_pytorch_s_own_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    assert [*elsewhere()] == []
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    assert [*elsewhere()] == [("weights of networks", tmp_path / "hub" / "checkpoints")]
