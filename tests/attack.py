"""Files of anybody's, as they may come and as they may rot: `python -m tests.attack`.

Every kind of file that the toolkit reads is changed in many seeded ways, and read in a process of
its own with limits on time and memory. Reading may give what the whole file gives, or refuse it in
one line that names the file, or say on stderr that it cannot vouch for it. It may not execute
anything, show a traceback, hang, die, or give another result without a word. The cases beside the
checkout are tried too. Prints the counts, and each fault with the file that shows it.
"""

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from repr_toolkit.cli import EXPECTED, main
from repr_toolkit.data import cache, load_data
from repr_toolkit.runs import run as runs
from repr_toolkit.runs.run import Run
from repr_toolkit.training.checkpoints import AtomicCheckpointIO
from repr_toolkit.training.train import train

ROOT = Path(__file__).parents[1]
CASES = Path(os.environ.get("CASES", ROOT.parent / "shared" / "cases"))
SECONDS = 120  # of the clock, on a busy machine
CPU_SECONDS = 30
MEMORY = 2 << 30  # bytes beyond what the libraries take
FAULTS = ("code ran", "traceback", "hang", "died", "silently other", "file not named")
EVENTS = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")
"""Python's audit events of whatever starts a program."""

RECIPE: dict[str, Any] = {
    "data": {"source": "digits", "levels": 4, "batch_size": 16},
    "model": {
        "encoder": {
            "class_path": "repr_toolkit.encoders.ConvBottleneck",
            "init_args": {"h_dim": 2, "features": 4},
        },
        "decoder": {
            "class_path": "repr_toolkit.decoders.GatedPixelCNN",
            "init_args": {"features": 6, "layers": 2, "kernel_size": 3, "head_features": 8},
        },
    },
    "training": {"steps": 4, "validate_every": 2, "pictures": 0, "compile": False},
}
NESTED: dict[str, Any] = {
    "class_path": "repr_toolkit.encoders.LayerActivations",
    "init_args": {
        "model": {
            "class_path": "torchvision.ops.Conv2dNormActivation",
            "init_args": {
                "in_channels": 3,
                "out_channels": 4,
                "norm_layer": "torch.nn.BatchNorm2d",
                "activation_layer": "torch.nn.ReLU",
            },
        }
    },
}
"""An encoder with an argument that is a Module, and in it two that are callables."""

EVIL = "import pathlib\npathlib.Path(__file__).with_name('code_ran').touch()\nNet = load = print\n"

ODD = (
    *("null", "[]", "{}", "-1", "0", "3", "1000000", "1" + "0" * 18, "9" * 200, ".nan", ".inf"),
    *("1e400", "true", "2026-01-01", "''", '"\\0"', "x", "os.system", "evil.Net", "evil.load"),
    *("{class_path: evil.Net}", "{class_path: os.system, init_args: {command: touch code_ran}}"),
    *('"{class_path: evil.Net}"', "repr_toolkit.cli.main", "torch.load", "torch.hub.load"),
    *("!!python/object/apply:os.system [touch code_ran]", "&a [*a]", "*a", "!!binary eA=="),
    *("!!int ''", "!!timestamp 'abc'", "!!bool x", "!!float ''", '"{class_path:\\tevil.Net}"'),
    *("[" * 2000, "a." * 500 + "a", "runs/../../etc", "/dev/zero", "x" * 100_000, "é\u2028"),
)
"""What may stand where a value stood."""

PATHS = (
    *("evil.Net", "evil.load", "os.system", "subprocess.run", "builtins.eval", "builtins.print"),
    *("functools.partial", "torch.load", "torch.hub.load", "torch.jit.load", "pickle.loads"),
    *('"\\tevil.Net"', '"evil.Net\\t"', "evil.\u200bNet", '" evil.Net"', "repr_toolkit.cli.main"),
    *('"{class_path:\\tevil.Net}"', '\'{"class_path":\\t"evil.Net"}\'', "{class_path: evil.Net}"),
    *("{class_path: torch.nn.Sequential, init_args: {args: [{class_path: evil.Net}]}}",),
    *("{class_path: functools.partial, init_args: {func: evil.load}}", "[evil.Net, evil.load]"),
    *(
        f"{'{class_path: torch.nn.Sequential, init_args: {a: ' * n}evil.Net{'}}' * n}"
        for n in (9, 999)
    ),
    *(f"{'[' * n}evil.Net{']' * n}" for n in (20, 5000)),
    "torch.nn.Identity",
    "torch.nn.utils.parametrize.ParametrizationList",
    "torchvision.io.read_file",
)
"""What may stand where an import path stood."""


@dataclass
class Attempt:
    """What came of reading a file."""

    verdict: str
    said: str


@dataclass
class Kind:
    """A kind of file: how it is changed, and what reads it.

    `read` gives a digest of all that is read. `named` is a pattern for what an error has to name.
    """

    file: Path
    read: Callable[[], str]
    change: Callable[[random.Random, bytes], bytes]
    named: str
    counts: Counter[str] = field(default_factory=Counter)


def attempt(read: Callable[[], str], folder: Path, named: str, expected: str | None) -> Attempt:
    """Read in a process of its own; `expected` is the digest of what the whole file gives."""
    out, told = folder / "result", folder / "stderr"
    for path in (out, told, *folder.rglob("code_ran")):
        path.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _in_child(read, folder, out, told)
    deadline, status = time.monotonic() + SECONDS, None
    while status is None and time.monotonic() < deadline:
        done, code = os.waitpid(child, os.WNOHANG)
        status = code if done else None
        time.sleep(0.005)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    said = told.read_text("utf-8", "replace")
    found = out.read_text("utf-8") if out.is_file() else ""
    if [*folder.rglob("code_ran")] or "AUDIT" in said:
        return Attempt("code ran", said)
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return Attempt("hang", said)
    if os.WIFSIGNALED(status):
        return Attempt("died", f"{said} (signal {os.WTERMSIG(status)})")
    if "Traceback" in said:
        return Attempt("traceback", said)
    lines = said.splitlines()
    if os.waitstatus_to_exitcode(status) != 0:
        one_line = bool(lines) and bool(re.search(named, lines[-1]))
        return Attempt("refused" if one_line else "file not named", said)
    if found == expected or expected is None:
        return Attempt("the same" if expected else "read", said)
    return Attempt("told" if re.search(named, said) else "silently other", said)


def _in_child(read: Callable[[], str], folder: Path, out: Path, told: Path) -> None:
    """Never returns."""
    status = 2
    torch.set_num_threads(1)  # a pool of threads does not outlive a fork: its tasks would wait
    try:
        os.dup2(os.open(told, os.O_CREAT | os.O_WRONLY | os.O_APPEND), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        os.chdir(folder)
        runs._told.clear()  # as in a new process
        cache._verified.clear()
        sys.addaudithook(_witness)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            digest = read()
            out.write_text(digest, "utf-8")
            status = 0
        except EXPECTED as error:
            print(f"repr-toolkit: error: {type(error).__name__}: {error}", file=sys.stderr)
            status = 1
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _witness(event: str, _: Any) -> None:
    if event in EVENTS:
        print("AUDIT", event, file=sys.stderr)


# How files change


def changed_bytes(draw: random.Random, content: bytes) -> bytes:
    """One to three small damages of a file."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        at = draw.randrange(max(1, len(data)))
        size = draw.choice((1, 2, 8, 64))
        how = draw.randrange(7)
        if how <= 2 and data:
            data[at] ^= 1 << draw.randrange(8)
        elif how == 3:
            data[at : at + size] = draw.randbytes(size)
        elif how == 4:
            del data[at : at + size]
        elif how == 5:
            data[at:at] = data[at : at + size]
        elif how == 6 and draw.random() < 0.5:
            del data[at:]
        else:
            del data[:size]
    return bytes(data)


def changed_text(draw: random.Random, content: bytes) -> bytes:
    """Damages of bytes, or other lines and values of YAML and JSON."""
    if draw.random() < 0.3:
        return changed_bytes(draw, content)
    lines = content.decode().split("\n")
    at = draw.randrange(len(lines))
    how = draw.randrange(6)
    if how <= 2:
        head, colon, tail = lines[at].partition(": ")
        end = "," if tail.endswith(",") else ""
        odd = draw.choice(ODD)
        lines[at] = f"{head}{colon}{odd}{end}" if colon else f"{lines[at]} {odd}"
    elif how == 3:
        del lines[at]
    elif how == 4:
        lines.insert(at, lines[draw.randrange(len(lines))])
    else:
        lines[at] = re.sub(r"\d+", lambda m: str(draw.choice((0, 7, 10**6, m[0]))), lines[at])
    return "\n".join(lines).encode(errors="surrogateescape")


def changed_paths(draw: random.Random, content: bytes) -> bytes:
    """Another import path, or what may hide one, instead of one or two, or beside it."""
    text = content.decode()
    for _ in range(draw.choice((1, 1, 2))):
        lines = text.split("\n")
        paths = [i for i, line in enumerate(lines) if re.search(r": [a-z]\w*(\.\w+)+$", line)]
        at = draw.choice(paths)
        head = lines[at].rpartition(": ")[0]
        if draw.random() < 0.2:  # beside it
            head = f"{lines[at]}\n{head.replace('class_path', 'dict_kwargs')}"
        lines[at] = f"{head}: {draw.choice(PATHS)}"
        text = "\n".join(lines)
    return text.encode()


# What reads them


def digest_of(value: Any) -> str:
    """A digest of tensors, arrays, texts and numbers in one another."""
    digest = sha256()

    def add(part: Any) -> None:
        if isinstance(part, dict):
            for key in part:
                add((key, part[key]))
        elif isinstance(part, list | tuple):
            digest.update(f"{type(part).__name__} {len(part)}".encode())
            for inner in part:
                add(inner)
        elif isinstance(part, torch.Tensor):
            add(part.detach().contiguous().numpy())
        elif isinstance(part, np.ndarray):
            digest.update(f"{part.dtype} {part.shape}".encode() + part.tobytes())
        else:
            digest.update(repr(part).encode(errors="replace"))

    add(value)
    return digest.hexdigest()


def command(*argv: str) -> None:
    """A command line; its exit status ends the process unless it is 0."""
    if status := main([*argv]):
        raise SystemExit(status)


def evaluated(run: Path) -> str:
    """What `evaluate` and whoever reads facts and configuration learn of a run."""
    from repr_toolkit.runs.bits import evaluate

    numbers = evaluate(run, "val", progress=False)
    del numbers["run"]  # where it lies
    opened = Run(run)
    settings = opened.config
    settings["data"] = {k: v for k, v in settings["data"].items() if k not in ("root", "workers")}
    kept = {key: value for key, value in settings.items() if key != "about"}
    kept["data"].pop("download")
    facts = {key: value for key, value in opened.info.items() if key != "checksums"}
    return digest_of([numbers, kept, facts, opened.trained_on])


def data_read(file: Path) -> str:
    data = load_data(str(file))
    return digest_of([dict(data.arrays), data.rows, data.names, data.levels, data.encoder])


def checkpoint_read(file: Path) -> str:
    return digest_of(AtomicCheckpointIO().load_checkpoint(file))


def kinds(folder: Path) -> dict[str, Kind]:
    """A small trained run and a data file, in a folder, by kind of file."""
    run = train(RECIPE, folder / "run").path
    anybody = Path(shutil.copytree(run, folder / "anybody"))
    encoder = {**RECIPE["model"], "encoder": NESTED}
    nested = train({**RECIPE, "model": encoder}, folder / "nested").path
    for place in (anybody, nested):  # whoever changes a configuration changes checksums too
        facts = json.loads((place / "model.json").read_text())
        for key in ("checksum", "checksums"):
            del facts[key]
        (place / "model.json").write_text(json.dumps(facts, indent=2))
    draw = np.random.default_rng(0)
    for name, save in {"a.npz": np.savez, "b.npz": np.savez_compressed}.items():
        save(
            folder / name,
            image=draw.integers(0, 256, (40, 1, 6, 5), np.uint8),
            label=np.array(["cat", "dog"] * 20),
            embedding=draw.normal(size=(40, 3)).astype(np.float32),
            split=np.repeat(["train", "val", "test"], (20, 10, 10)),
            encoder=np.array("a net"),
        )
    for place in (folder, run, anybody, nested):
        (place / "evil.py").write_text(EVIL)
    checkpoint = Run(run).checkpoints()[-1]
    found: dict[str, Kind] = {}
    for name, place in {"": run, " of anybody's": anybody}.items():
        for file, change in {
            "config.yaml": changed_text,
            "model.json": changed_text,
            "model.safetensors": changed_bytes,
        }.items():
            path = place / file
            named = r"config\.yaml|model\.json|model\.safetensors"
            found[f"{file}{name}"] = Kind(path, lambda p=place: evaluated(p), change, named)
    for name, place in {"": anybody, " nested": nested}.items():
        # Another class that may stand there is seen by checksums alone.
        named = r"config\.yaml|has no checksums"
        found[f"class paths{name}"] = Kind(
            place / "config.yaml", lambda p=place: evaluated(p), changed_paths, named
        )
    for name in ("a.npz", "b.npz"):
        file = folder / name
        found[name] = Kind(file, lambda f=file: data_read(f), changed_bytes, re.escape(name))
    found["checkpoint"] = Kind(
        checkpoint, lambda: checkpoint_read(checkpoint), changed_bytes, re.escape(checkpoint.name)
    )
    return found


def mutations(folder: Path, count: int, seed: int, only: str = "") -> Iterator[str]:
    """Change every kind of file `count` times (two forms of it share them); the faults."""
    every = kinds(folder)
    shares = Counter(name.split()[0].replace("b.npz", "a.npz") for name in every)
    for name, kind in every.items():
        if only not in name:
            continue
        whole = kind.file.read_bytes()
        unpacked = folder / "unpacked"
        os.environ["REPR_TOOLKIT_CACHE"] = str(unpacked if ".npz" in name else folder / "digits")
        expected = kind.read()
        for i in range(-(-count // shares[name.split()[0].replace("b.npz", "a.npz")])):
            draw = random.Random(f"{seed} {name} {i}")
            content = kind.change(draw, whole)
            kind.file.write_bytes(content)
            result = attempt(kind.read, folder, kind.named, expected)
            kind.file.write_bytes(whole)
            shutil.rmtree(unpacked, ignore_errors=True)
            kind.counts[result.verdict] += 1
            if result.verdict in FAULTS:
                example = folder / f"fault_{name.replace(' ', '_')}_{i}"
                example.write_bytes(content)
                yield f"{name} {i}: {result.verdict}: {result.said[-300:]} ({example})"
        print(f"{name:32}{sum(kind.counts.values()):5}  {dict(kind.counts)}", flush=True)


def links(folder: Path) -> Iterator[str]:
    """Runs whose files are symbolic links: to themselves, as they were copied, or to odd places."""
    run = folder / "run"
    linked = folder / "linked"
    linked.mkdir()
    (folder / "directory").mkdir()
    os.mkfifo(folder / "fifo")
    files = [path for path in run.iterdir() if path.is_file()]
    odd = ("loop", "nowhere", "directory", "fifo", "evil.py", "/dev/zero", "/proc/self/mem")
    counts: Counter[str] = Counter()
    expected = evaluated(run)
    for name in (None, "config.yaml", "model.json", "model.safetensors"):
        for target in odd if name else ("",):
            for path in linked.iterdir():
                path.unlink()
            for path in files:
                (linked / path.name).symlink_to(path)
            if name:
                (linked / name).unlink()
                here = linked / name if target == "loop" else folder / target
                (linked / name).symlink_to(here)
            result = attempt(lambda: evaluated(linked), folder, r"linked", expected)
            counts[result.verdict] += 1
            if result.verdict in FAULTS or (not name and result.verdict != "the same"):
                yield f"{name} linked to {target}: {result.verdict}: {result.said[-300:]}"
    print(f"{'symbolic links':32}{sum(counts.values()):5}  {dict(counts)}", flush=True)


# The cases beside the checkout


def cases(folder: Path) -> Iterator[str]:
    """Try the inputs that once failed; the faults."""
    run = Run(train(RECIPE, folder / "case").path)
    config, expected = run.config_file.read_bytes(), "no result can be right"

    def refused(name: str, named: str, *argv: str) -> Iterator[str]:
        result = attempt(lambda: str(command(*argv)), folder, named, expected)
        print(f"{name:32}{' '.join(argv)[:60]}: {result.verdict}", flush=True)
        if result.verdict != "refused":
            yield f"{name}: {result.verdict}: {result.said[-300:]}"

    shutil.copy(CASES / "stranger_config.yaml", run.config_file)
    for verb in ("evaluate", "report", "sample", "probe", "information", "reconstruct"):
        yield from refused("stranger_config.yaml", "os.system", verb, "case")
    shutil.copy(CASES / "yaml_bomb.yaml", run.config_file)
    yield from refused("yaml_bomb.yaml", "config.yaml", "evaluate", "case")
    run.config_file.write_bytes(config)
    for verb in ("train", "study"):
        yield from refused("yaml_bomb.yaml", "yaml_bomb", verb, str(CASES / "yaml_bomb.yaml"))
    checkpoint = run.checkpoints()[-1]
    for file in (run.weights_file, run.info_file):
        file.unlink()
    subprocess.run(
        [sys.executable, str(CASES / "flip_checkpoint.py"), str(checkpoint)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (folder / "case.yaml").write_text(json.dumps(RECIPE))
    again = ("train", "case.yaml", "--name", "case", "--runs-dir", ".", "--resume")
    yield from refused("flip_checkpoint.py", checkpoint.name, *again)
    subprocess.run([sys.executable, str(CASES / "npz_bomb.py")], check=True, cwd=folder)
    bomb = ("train", "case.yaml", "--name", "bomb", "--data.source", "bomb.npz")
    yield from refused("npz_bomb.py", "bomb.npz.*'label'", *bomb)
    shutil.copy(CASES / "decoders_that_lie.py", folder)
    for decoder in ("Halved", "SamplesBlack", "BlindGB", "BlindSpot"):
        yield from refused("decoders_that_lie.py", "error", "check", f"decoders_that_lie.{decoder}")
    yield from folders(folder / "folders")
    yield from scripts(folder)


def folders(folder: Path) -> Iterator[str]:
    """Folders of images that were read wrongly: each is read, or refused in one line."""
    folder.mkdir()
    making = [sys.executable, str(CASES / "make_folders.py"), str(folder)]
    subprocess.run(making, check=True, stdout=subprocess.DEVNULL)
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        result = attempt(lambda p=place: data_read(p), folder, re.escape(str(folder)), None)
        print(f"{'make_folders.py':32}{place.name}: {result.verdict}", flush=True)
        if result.verdict in FAULTS:
            yield f"make_folders.py, {place.name}: {result.verdict}: {result.said[-300:]}"


def scripts(folder: Path) -> Iterator[str]:
    """The two shell scripts: what they print of exit statuses is as it has to be."""
    (folder / "bin").mkdir()
    tool = folder / "bin" / "repr-toolkit"
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m repr_toolkit "$@"\n')
    tool.chmod(0o755)
    path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    for script, argv, wrong, right in (
        ("sigterm_exit0.sh", (), "exit status 0", "exit status 143"),
        ("race_same_name.sh", ("0", "1"), "exits 0 0;", "exits "),
    ):
        done = subprocess.run(
            ["bash", str(CASES / script), *argv], env=environment, capture_output=True, text=True
        )
        good = right in done.stdout and wrong not in done.stdout
        print(f"{script:32}{'as it has to be' if good else 'wrong'}", flush=True)
        if not good:
            yield f"{script}: {done.stdout[-400:]}"


def run_attack(argv: list[str] | None = None) -> int:
    """The whole attack; the exit status is 1 if there were faults."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--mutations", type=int, default=300, help="of each kind of file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--no-cases", action="store_true", help="leave out the cases")
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    os.environ["REPR_TOOLKIT_CACHE"] = str(folder / "digits")
    faults = [*mutations(folder, options.mutations, options.seed, options.only)]
    if not options.only:
        faults += links(folder)
    if CASES.is_dir() and not options.no_cases:
        os.environ["REPR_TOOLKIT_CACHE"] = str(folder / "digits")
        faults += cases(folder)
    print("\n".join(faults) or "no faults")
    if not faults:
        shutil.rmtree(folder)
    return min(1, len(faults))


if __name__ == "__main__":
    sys.exit(run_attack())
