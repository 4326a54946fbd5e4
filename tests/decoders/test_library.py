"""Kernels are compiled once for what they are made of, and kept where only their owner writes."""

import os
import shlex
import shutil
from pathlib import Path

import pytest

from repr_toolkit.decoders.engines import library
from repr_toolkit.decoders.engines.library import BuildError, build

COMPILER = shlex.split(os.environ.get("CXX", "c++"))[0]
needs_compiler = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no {COMPILER}")


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A kernel beside the empty folder `headers`, to be kept in the folder `cache`."""
    monkeypatch.setenv("REPR_TOOLKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(library, "HEADERS", tmp_path / "headers")
    (tmp_path / "headers").mkdir()
    source = tmp_path / "kernel.cpp"
    source.write_text('extern "C" int answer() { return 42; }\n')
    return source


def reason(source: Path, function: str = "answer") -> str:
    result = library.library(source, (function,))
    assert isinstance(result, BuildError)
    return str(result)


@needs_compiler
def test_a_kernel_is_built_once(source: Path) -> None:
    path = build(source)
    time = path.stat().st_mtime_ns
    kernel = library.library(source, ("answer",))
    assert not isinstance(kernel, BuildError)
    assert kernel.answer() == 42
    assert build(source).stat().st_mtime_ns == time
    assert list(path.parent.iterdir()) == [path]


@needs_compiler
def test_it_changes_with_source_headers_and_flags(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    paths = [build(source)]
    header = tmp_path / "headers" / "value.h"
    header.write_text("constexpr int kValue = 1;\n")
    source.write_text('#include "value.h"\nextern "C" int answer() { return kValue; }\n')
    paths.append(build(source))
    header.write_text("constexpr int kValue = 2;\n")
    paths.append(build(source))
    monkeypatch.setenv("REPR_TOOLKIT_CXXFLAGS", "-DUNUSED=1")
    paths.append(build(source))
    assert len(set(paths)) == 4
    kernel = library.library(source, ("answer",))
    assert not isinstance(kernel, BuildError)
    assert kernel.answer() == 2


@needs_compiler
def test_a_damaged_library_is_named(source: Path) -> None:
    path = build(source)
    path.write_bytes(b"")
    assert f"{path} is damaged" in reason(source)
    path.unlink()
    build(source)
    assert f"{path} is damaged" in reason(source, "question")


@needs_compiler
def test_an_error_of_the_compiler_is_shown(source: Path) -> None:
    source.write_text("int broken(\n")
    assert "failed: " in reason(source)
    assert "error: " in reason(source)


@pytest.mark.parametrize(
    ("compiler", "expected"),
    [
        ("no-such-compiler", "CXX names no-such-compiler, which is not there"),
        ("false", "false failed: no message"),
    ],
)
def test_a_compiler_that_does_not_work_is_named(
    source: Path, compiler: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", compiler)
    assert expected in reason(source)


def test_a_cache_that_others_can_write_is_refused(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "native"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert f"{folder} belongs to or can be written by others" in reason(source)


def test_a_cache_that_cannot_be_written_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    assert str(tmp_path / "cache") in reason(source)
    assert "REPR_TOOLKIT_CACHE" in reason(source)
