"""A run's data are found from anywhere, or where the user says, and are told where they differ."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonargparse import Namespace

from repr_toolkit import commands
from repr_toolkit.cli import TAKE_SETTINGS, build_parser, main
from repr_toolkit.commands.options import Settings
from repr_toolkit.config.recipe import complete, load_recipe
from repr_toolkit.runs.places import given_places
from repr_toolkit.runs.run import Run
from repr_toolkit.training.train import train
from toys.runs import TINY


def images(file: Path, seed: int = 0, count: int = 60) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 4, (count, 1, 4, 4)).astype(np.uint8)
    np.savez(file, image=pixels, label=np.arange(count) % 3, levels=np.array(4))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data in mine/faces.npz, a recipe of them, and the run runs/tiny."""
    home = tmp_path_factory.mktemp("home")
    images(home / "mine/faces.npz")
    data = {"source": "faces.npz", "root": "mine", "batch_size": 8}
    (home / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "data": data}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr(sys, "path", sys.path.copy())
        assert main(["train", "tiny.yaml"]) == 0
    return home


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another folder to work in."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "path", sys.path.copy())


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy of that folder, as if the run had been trained there."""
    home = tmp_path / "home"
    shutil.copytree(trained, home)
    config = home / "runs/tiny/config.yaml"
    config.write_text(config.read_text().replace(f"{trained}", f"{home}"))
    return home


def bits(run: Path, *argv: str, capsys: pytest.CaptureFixture[str]) -> float:
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json", *argv]) == 0
    value: float = json.loads(capsys.readouterr().out)["bits_per_dim"]["value"]
    return value


def test_a_relative_source_means_the_same_from_anywhere(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = home / "runs/tiny"
    found = bits(run, capsys=capsys)
    images(Path("mine/faces.npz"), seed=1)  # another file of that name is nearer now
    assert bits(run, capsys=capsys) == found
    # A resume from here, of the recipe's file and of the run's.
    Run(run).weights_file.unlink()
    recipe = [str(home / "tiny.yaml"), "--runs-dir", str(home / "runs")]
    shutil.rmtree("mine")
    assert main(["train", *recipe, "--resume"]) == 0
    assert bits(run, capsys=capsys) == found
    # And the run goes with its data to a place where there was nothing.
    monkeypatch.chdir(home.parent)
    home.rename("moved")
    monkeypatch.chdir("moved")
    assert bits(Path("runs/tiny"), capsys=capsys) == found


def test_the_user_says_where_the_data_are(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = home / "runs/tiny"
    found = bits(run, capsys=capsys)
    (home / "mine").rename("theirs")
    assert main(["evaluate", str(run)]) == 1
    assert "set --data.root" in capsys.readouterr().err
    assert bits(run, "--data.root", "theirs", capsys=capsys) == found
    Path("theirs/faces.npz").rename("people.npz")
    assert bits(run, "--data.source", "people.npz", capsys=capsys) == found
    images(Path("people.npz"), seed=1, count=80)
    assert main(["evaluate", str(run), "--data.source", "people.npz"]) == 1
    told = capsys.readouterr().err
    assert "not those that the run was trained on" in told
    assert "64 train images instead of 48" in told
    capsys.readouterr()
    assert main(["embed", str(run), "--out", "h.npz", "--data.source", "people.npz"]) == 0
    assert "was trained on other data than ImageData('people.npz'" in capsys.readouterr().err


def test_every_command_on_runs_takes_the_place_of_their_data(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says so in its help; `portraits` alone loads no data."""
    given = {}

    def command(options: Namespace, settings: Settings) -> None:
        given.update(given_places())

    monkeypatch.setattr(commands, "function", lambda name: command)
    parsers = build_parser().commands
    on_runs = [
        name
        for name, parser in parsers.items()
        if {"run", "runs", "target"} & {*parser.options} and name != "portraits"
    ]
    assert len(on_runs) >= 14
    for name in on_runs:
        given.clear()
        words = ["mean:1"] if name == "edit" else []
        pictures = ["1", "2"] if name in ("edit", "interpolate") else []
        along = ["--along", *words] if words else []
        argv = [
            name,
            str(trained / "runs/tiny"),
            *pictures,
            *along,
            "--data.root",
            "here",
            "--data.download",
            "true",
        ]
        assert main(argv) == 0, name
        assert given == {"root": "here", "download": True}, name
        assert "--data.root" in parsers[name].format_help()
        with pytest.raises(SystemExit):
            main([*argv, "--data.size", "8"])
        takes = f"{name} takes the settings --data.root, --data.source, --data.download, but"
        assert takes in capsys.readouterr().err
    for name in TAKE_SETTINGS:
        assert "--data.source" in parsers[name].format_help() or name in ("check", "data")


def test_a_folder_that_stands_for_a_source_makes_no_import_path_of_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With another --data.root the same text would be the import path of a function."""
    run, folder = Run(home / "runs/tiny"), home / "mine/evil.load"
    (folder / "train").mkdir(parents=True)
    Path("evil.py").write_text("from pathlib import Path\nPath('code_ran').touch()\n")
    config: dict[str, Any] = run.config
    config["data"] |= {"source": "evil.load", "place": None, "root": str(home / "mine")}
    run.info_file.unlink()
    run.config_file.write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match=r"'evil\.load' as its data\.source"):
        run.data_arguments({"root": "nowhere"})
    assert main(["embed", str(run.path), "--data.root", "nowhere", "--out", "h.npz"]) == 1
    assert not Path("code_ran").exists()


def test_a_recipe_states_its_own_folder(home: Path) -> None:
    assert load_recipe(home / "tiny.yaml")["data"]["place"] == str(home)
    assert load_recipe("bottleneck_mnist5k")["data"]["place"] is None
    run = train(complete({**TINY, "training": {"steps": 1, "validate_every": 1}}), "run")
    assert run.config["data"]["place"] is None  # digits lie in a package
