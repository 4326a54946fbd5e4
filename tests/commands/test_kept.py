"""`runs` and `cache`: tables, JSON, and consent before anything goes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from repr_toolkit.cli import main
from repr_toolkit.runs.lock import sole_trainer
from repr_toolkit.runs.run import Run
from repr_toolkit.support.caches import cached_things
from toys.processes import own_environment
from toys.runs import untrained_run


@pytest.fixture
def runs(user_folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A finished run, one cut short, one in training, and a damaged one."""
    folder = user_folder / "runs"
    (folder / "study").mkdir(parents=True)
    first = untrained_run(folder / "finished")
    for name in ("study/of_a_name_that_is_so_long_that_no_table_has_room", "training", "damaged"):
        subprocess.run(["cp", "-r", str(first.path), str(folder / name)], check=True)
    for path in (folder / "finished", *folder.glob("study/*"), folder / "training"):
        Run(path).checkpoint_dir.mkdir()
        Run(path).checkpoint(7).write_bytes(bytes(2000))
    for path in (*folder.glob("study/*"), folder / "training"):
        Run(path).weights_file.unlink()
    (folder / "damaged" / "config.yaml").write_text("\x1b[31m: [")
    capsys.readouterr()
    return folder


def test_the_list_fits_80_columns_and_says_all(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sole_trainer(runs / "training"):
        assert main(["runs"]) == 0
    said = capsys.readouterr().out
    assert all(len(line) <= 80 for line in said.splitlines())
    lines = {line.split()[0]: line for line in said.splitlines() if line}
    assert "finished" in lines["runs/finished"]
    assert "7 of 1000" in lines["runs/finished"]
    assert "in training" in lines["runs/training"]
    assert "damaged" in lines["runs/damaged"]
    assert "config.yaml cannot be used" in said
    assert "cut short" in said
    assert "\x1b" not in said
    assert "4 runs" in said


def test_json(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "runs/finished", "runs/study", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [run["state"] for run in listed] == ["finished", "cut short"]
    assert listed[0]["checkpoint_bytes"] == 2000


def test_pruning_asks_first(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {*runs.rglob("*.ckpt")}
    assert main(["runs", "--prune"]) == 1
    said = capsys.readouterr()
    assert "runs/finished" in said.out
    assert "left alone: 2 cut short" in said.out
    assert "--yes" in said.err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for answer in ("", "n", "what"):
        monkeypatch.setattr("builtins.input", lambda _, answer=answer: answer)
        assert main(["runs", "--prune"]) == 0
        assert "nothing was deleted" in capsys.readouterr().out
    assert {*runs.rglob("*.ckpt")} == before
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert main(["runs", "--prune"]) == 0
    assert "freed 2.0 kB" in capsys.readouterr().out
    assert before - {*runs.rglob("*.ckpt")} == {Run(runs / "finished").checkpoint(7)}
    assert main(["runs", "--prune"]) == 0
    assert "there is nothing to prune" in capsys.readouterr().out


def test_a_longer_training_that_was_cut_short_is_told(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run(runs / "finished").checkpoint(8).write_bytes(bytes(2000))
    for argv in (["runs", "runs/finished"], ["runs", "runs/finished", "--prune", "--yes"]):
        assert main(argv) == 0
        said = capsys.readouterr().out
        assert "finished" in said
        assert "\n  (a longer training of it was cut short, with a checkpoint of step 8)\n" in said
        assert "begins anew" not in said
    assert "freed 4.0 kB" in said


def test_those_cut_short_are_pruned_when_that_is_said_and_those_in_training_never(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sole_trainer(runs / "training"):
        assert main(["runs", "--prune", "--cut-short", "--yes"]) == 0
    said = capsys.readouterr().out
    assert "left alone: 1 in training" in said
    assert "freed 4.0 kB" in said
    assert [*runs.rglob("*.ckpt")] == [Run(runs / "training").checkpoint(7)]


@pytest.mark.parametrize("argv", [["--cut-short"], ["--prune", "--json"]])
def test_options_that_do_not_go_together(
    runs: Path, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", *argv]) == 1
    assert "--cut-short belongs to --prune" in capsys.readouterr().err


def test_no_runs(user_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 1
    assert "there is no folder runs" in capsys.readouterr().err
    Path("runs").mkdir()
    assert main(["runs"]) == 0
    assert "no runs in runs" in capsys.readouterr().out


@pytest.fixture
def cache(user_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = user_folder / "cache"
    monkeypatch.setenv("REPR_TOOLKIT_CACHE", str(folder))
    for file in ("data/digits-01/image.npy", "native/a.so", "native/b.so", "torchvision/MNIST/x"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(bytes(1000))
    return folder


def test_the_cache_is_listed(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    said = capsys.readouterr().out
    assert "digits-01" in said
    assert "2 kernels" in said
    assert "4.0 kB in " in said
    assert main(["cache", "--json", "native"]) == 0
    assert [thing["name"] for thing in json.loads(capsys.readouterr().out)] == ["a.so", "b.so"]
    assert main(["cache", "digit"]) == 1
    assert "no 'digit'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ([], ["MNIST"]),
        (["digits-01"], ["a.so", "b.so", "MNIST"]),
        (["native", "torchvision"], ["digits-01"]),
    ],
)
def test_the_cache_is_emptied_with_consent(
    cache: Path, names: list[str], left: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {*cache.rglob("*")}
    assert main(["cache", "--empty", *names]) == 1
    assert "nothing was deleted" in capsys.readouterr().err
    assert {*cache.rglob("*")} == before
    assert main(["cache", "--empty", "--yes", *names]) == 0
    assert "freed " in capsys.readouterr().out
    assert [thing.name for thing in cached_things()] == left
    assert main(["cache"]) == 0


def test_neither_imports_torch(runs: Path, cache: Path) -> None:
    code = (
        "import sys; from repr_toolkit.cli import main\n"
        "assert [main([name]) for name in ('runs', 'cache')] == [0, 0]\n"
        "assert not {'torch', 'lightning'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], env=own_environment(), check=True)
