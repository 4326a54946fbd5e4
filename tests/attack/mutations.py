"""Every kind of file, changed again and again, and the files that are links."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .attempts import FAULTS, NOTHING, attempt
from .kinds import Kind, evaluated, file_kinds
from .own import code_kinds


def all_kinds(folder: Path) -> dict[str, Kind]:
    """All kinds of files by their names, in a folder."""
    return file_kinds(folder) | code_kinds(folder)


def mutations(
    every: dict[str, Kind], folder: Path, count: int, seed: int, only: str = ""
) -> Iterator[str]:
    """Change every kind of file `count` times (its forms share them); the faults."""
    shares = Counter(map(_shared, every))
    for name, kind in every.items():
        if only not in name:
            continue
        unpacked, pristine = folder / "unpacked", folder / "pristine"
        os.environ["REPR_TOOLKIT_CACHE"] = str(unpacked if ".npz" in name else folder / "digits")
        expected = kind.expected
        if not expected:
            whole = attempt(kind.read, folder, kind.named, None)
            if whole.verdict != "read":
                yield f"{name}, whole: {whole.verdict}: {whole.said[-300:]}"
                continue
            expected = (folder / "result").read_text("utf-8")
        _copy(kind.place, pristine)
        counts: Counter[str] = Counter()
        for i in range(-(-count // shares[_shared(name)])):
            kind.change(random.Random(f"{seed} {name} {i}"), kind.place)
            result = attempt(kind.read, folder, kind.named, expected, kind.told)
            counts[result.verdict] += 1
            if result.verdict in FAULTS:
                example = folder / f"fault_{name.replace(' ', '_')}_{i}"
                _remove(example)
                kind.place.rename(example)
                yield f"{name} {i}: {result.verdict}: {result.said[-300:]} ({example})"
            _remove(kind.place)
            _copy(pristine, kind.place)
            shutil.rmtree(unpacked, ignore_errors=True)
        _remove(pristine)
        print(f"{name:32}{counts.total():5}  {dict(counts)}", flush=True)


def _shared(name: str) -> str:
    """What forms of one kind have in common in their names."""
    return name.split()[0].replace("b.npz", "a.npz")


def _copy(place: Path, to: Path) -> None:
    if place.is_dir():
        shutil.copytree(place, to)
    else:
        shutil.copy2(place, to)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def links(every: dict[str, Kind], folder: Path) -> Iterator[str]:
    """Files that are symbolic links: a run of them, and each file as a link to odd places."""
    linked, run, counts = folder / "linked", folder / "run", Counter[str]()
    (folder / "directory").mkdir()
    os.mkfifo(folder / "fifo")
    linked.mkdir()
    for path in run.iterdir():
        (linked / path.name).symlink_to(path)

    def tried(name: str, kind: Kind, expected: str) -> Iterator[str]:
        result = attempt(kind.read, folder, kind.named, expected)
        counts[result.verdict] += 1
        if result.verdict != ("refused" if expected is NOTHING else "the same"):
            yield f"{name}: {result.verdict}: {result.said[-300:]}"

    run_read = Kind(linked, lambda: evaluated(linked), lambda *_: None, "linked")
    yield from tried("all linked", run_read, evaluated(run))
    places = ("loop", "nowhere", "directory", "fifo", "evil.py", "/dev/zero", "/proc/self/mem")
    for name, kind in {kind.place: (name, kind) for name, kind in every.items()}.values():
        if kind.place.is_dir():
            continue
        kind.place.rename(folder / "aside")
        for place in places:
            kind.place.symlink_to(kind.place if place == "loop" else folder / place)
            yield from tried(f"{name} linked to {place}", kind, NOTHING)
            kind.place.unlink()
        (folder / "aside").rename(kind.place)
    print(f"{'symbolic links':32}{counts.total():5}  {dict(counts)}", flush=True)
