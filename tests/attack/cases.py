"""The inputs beside the checkout that once failed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from repr_toolkit.cli import main
from repr_toolkit.runs.run import Run
from repr_toolkit.training.train import train

from .attempts import FAULTS, NOTHING, attempt
from .kinds import RECIPE, data_read

ROOT = Path(__file__).parents[2]
CASES = Path(os.environ.get("CASES", ROOT.parent / "shared" / "cases"))


def command(*argv: str) -> None:
    """A command line; its exit status ends the process unless it is 0."""
    if status := main([*argv]):
        raise SystemExit(status)


def cases(folder: Path) -> Iterator[str]:
    """Try the inputs that once failed; the faults."""
    run = Run(train(RECIPE, folder / "case").path)
    config = run.config_file.read_bytes()

    def refused(name: str, named: str, *argv: str) -> Iterator[str]:
        result = attempt(lambda: str(command(*argv)), folder, named, NOTHING)
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
