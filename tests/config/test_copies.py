"""A run keeps its own classes' source, and loads by it elsewhere, with trust and not without."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextvars import copy_context
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

import repr_toolkit
from repr_toolkit.cli import main
from repr_toolkit.config.trust import require_trusted
from repr_toolkit.runs.run import Run
from repr_toolkit.support import console, copies
from repr_toolkit.support.importing import is_here
from repr_toolkit.support.reading import file_checksum, sealed
from repr_toolkit.training.train import train
from toys.processes import TESTS
from toys.runs import small

NET = """\
from pathlib import Path

from torch import nn

import my_factors
from .parts import scaled

class Net(nn.Module):
    source = "image"

    def __init__(self, image_shape):
        super().__init__()
        self.h_dim = image_shape[0]

    def forward(self, x):
        return scaled(x.float().mean((2, 3)), my_factors.FACTOR)
"""
FILES = {
    "my_nets/__init__.py": "",
    "my_nets/net.py": NET,
    "my_nets/parts.py": "def scaled(x, factor):\n    from my_nets.late import power\n"
    "    return factor * power(x)\n",
    "my_nets/late.py": "def power(x):\n    return x\n",
    "my_nets/unused.py": "raise RuntimeError('nobody imports this')\n",
    "my_factors.py": "FACTOR = 3.0\n",
}


def forget() -> None:
    """As another process would know nothing of the modules."""
    for name in [*sys.modules]:
        if name.partition(".")[0] in ("my_nets", "my_factors"):
            del sys.modules[name]
    copies._finder.files.clear()
    copies.COPIED.clear()
    console._said.clear()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    home = tmp_path / "home"
    for name, text in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(home)
    yield tmp_path
    forget()


def trained(path: Path, spec: Any = MappingProxyType({"class_path": "my_nets.net.Net"})) -> Run:
    short: dict[str, Any] = {"training__steps": 1, "training__validate_every": 1}
    run = copy_context().run(train, small(model__encoder={**spec}, **short), path)
    forget()
    return run


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of the package, moved to where the package is not."""
    run = trained(folder / "home/run")
    run.path.rename(folder / "elsewhere/run")
    monkeypatch.chdir(folder / "elsewhere")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "home" not in p])
    return Run("run")


def unstated(run: Run) -> None:
    """As a run without checksums, which training may have left with any copies."""
    facts = json.loads(run.info_file.read_text())
    run.info_file.write_text(
        json.dumps({key: facts[key] for key in facts if key not in ("checksum", "checksums")})
    )


def relist(run: Run, name: str, text: str) -> None:
    """Another content of a copy, or one more, of which the list says so."""
    code = run.path / "code"
    (code / name).parent.mkdir(exist_ok=True)
    (code / name).write_text(text)
    files = json.loads((code / "files.json").read_text())["files"]
    files[name] = {"from": "here", "sha256": file_checksum(code / name)}
    (code / "files.json").write_text(json.dumps(sealed({"files": files})))


def load(run: Run, *, trust: bool = True) -> Any:
    return copy_context().run(repr_toolkit.load, run, trust=trust)


def test_a_run_loads_elsewhere_by_its_copy(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = json.loads(Path("run/code/files.json").read_text())["files"]
    assert [*listed] == sorted(FILES.keys() - {"my_nets/unused.py"})
    assert listed["my_nets/net.py"]["from"] == str(folder / "home/my_nets/net.py")
    capsys.readouterr()
    model = load(run)
    h = model.encoder(torch.full((1, 1, 8, 8), 2, dtype=torch.uint8))
    assert h.tolist() == [[6.0]]
    assert capsys.readouterr().err == (
        "trusting run/config.yaml, which imports my_nets.net.Net, and runs my_factors.py, "
        "my_nets/__init__.py, my_nets/late.py, my_nets/net.py, my_nets/parts.py in run/code\n"
    )
    assert not [*Path("run").rglob("__pycache__")]


def test_a_run_is_resumed_elsewhere_by_its_copy(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = run.weights_file.read_bytes()
    run.weights_file.unlink()
    argv = ["train", "run/config.yaml", "--runs-dir", ".", "--name", "run", "--resume"]
    assert main(argv) == 1
    assert "my_nets.net.Net, which is not to be found here; run/code has" in capsys.readouterr().err
    assert main([*argv, "--trust"]) == 0
    assert run.weights_file.read_bytes() == weights


def test_a_new_run_is_trained_elsewhere_by_the_copy_of_another(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", "run/config.yaml", "--from", "run", "--runs-dir", ".", "--name", "new"]
    assert main(argv) == 1
    assert "my_nets.net.Net, which is not to be found here; run/code has" in capsys.readouterr().err
    assert main([*argv, "--trust"]) == 0
    assert "trusting run/config.yaml, which imports my_nets.net.Net" in capsys.readouterr().err
    shutil.rmtree(run.path)
    forget()
    assert load(Run("new")).encoder.h_dim == 1


def test_nothing_is_executed_without_trust(run: Run) -> None:
    with pytest.raises(ValueError, match=r"my_nets\.net\.Net.*load\(run, trust=True\)"):
        load(run, trust=False)
    assert "my_nets" not in sys.modules
    load(run)
    # What one run was trusted with another is not, though it is at hand now.
    other = small(model__encoder={"class_path": "toys.encoders.ChannelMean"})
    layers = "repr_toolkit.encoders.LayerActivations"
    other["model"]["encoder"] = {"class_path": layers, "init_args": {"model": "my_factors.X"}}
    sys.modules.pop("my_factors")
    with pytest.raises(ValueError, match=r"my_factors\.X.*load\(run, trust=True\)"):
        require_trusted(other, Path("other/config.yaml"))


def test_nothing_but_the_listed_sources_is_executed(run: Run) -> None:
    load(run)
    for name in ("my_nets/unused.py", "my_other.py"):
        (run.path / "code" / name).write_text("raise RuntimeError('code ran')\n")
    for name in ("my_nets.unused", "my_other"):
        with pytest.raises(ModuleNotFoundError):
            __import__(name)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"my_nets/net.py": {"sha256": "0" * 64}}, "not as training left it"),
        ({"../my_nets/net.py": {"sha256": ""}}, "which is no copy"),
        ({"/tmp/net.py": {"sha256": ""}}, "which is no copy"),
        ({"timm/__init__.py": {"sha256": ""}}, "which is no copy"),
        ({"my_nets/net.py": 3}, "which is no copy"),
        ([], "is damaged"),
        (
            {"my_nets.py": {"sha256": ""}, "my_nets/__init__.py": {"sha256": ""}},
            "two copies of my_nets",
        ),
    ],
)
def test_a_copy_that_was_changed_is_refused(run: Run, files: Any, told: str) -> None:
    unstated(run)
    (run.path / "code/files.json").write_text(json.dumps(sealed({"files": files})))
    with pytest.raises(ValueError, match=told):
        load(run)
    assert "my_nets" not in sys.modules


def test_a_list_of_copies_without_its_checksum_is_refused(run: Run) -> None:
    unstated(run)
    listed = json.loads((run.path / "code/files.json").read_text())
    (run.path / "code/files.json").write_text(json.dumps({**listed, "checksum": None}))
    with pytest.raises(ValueError, match=r"files\.json is damaged \(its checksum is wrong\)"):
        load(run)


def test_other_copies_than_those_of_the_training_are_refused(run: Run) -> None:
    """Though the list is right about them: those of another run, say."""
    relist(run, "my_factors.py", "FACTOR = 7.0\n")
    with pytest.raises(
        ValueError, match=r"code/files\.json is not as training left it.*model\.json"
    ):
        load(run)
    assert "my_nets" not in sys.modules
    unstated(run)
    assert load(run).encoder(torch.ones(1, 1, 8, 8, dtype=torch.uint8)).tolist() == [[7.0]]


@pytest.mark.parametrize("target", ["fifo", "/dev/zero", ".", "my_factors.py", "large"])
def test_a_copy_that_is_no_file_is_refused(run: Run, target: str) -> None:
    code = run.path / "code"
    os.mkfifo(code / "fifo")
    with (code / "large").open("wb") as file:
        file.truncate(1 << 40)
    (code / "my_factors.py").unlink()
    (code / "my_factors.py").symlink_to(target)
    with pytest.raises((ValueError, OSError), match=r"code/my_factors\.py"):
        load(run)
    assert "my_nets" not in sys.modules


def test_what_was_looked_at_is_executed(run: Run) -> None:
    """Though the file is another by then."""
    copy_context().run(run.read_config, trust=True)
    (run.path / "code/my_factors.py").write_text("FACTOR = 7.0\n")
    assert import_module("my_factors").FACTOR == 3.0


def test_a_class_within_arguments_is_trusted_by_its_copy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = {"class_path": "repr_toolkit.encoders.LayerActivations"}
    nested = {**layer, "init_args": {"model": {"class_path": "my_nets.layer.Layer"}}}
    Path("my_nets/layer.py").write_text("from torch import nn\n\nLayer = nn.Flatten\n")
    monkeypatch.syspath_prepend(folder / "home")
    trained(folder / "home/run", nested)
    (folder / "home/run").rename(folder / "elsewhere/run")
    monkeypatch.chdir(folder / "elsewhere")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "home" not in p])
    capsys.readouterr()
    with pytest.raises(ValueError, match=r"my_nets\.layer\.Layer.*trust=True"):
        load(Run("run"), trust=False)
    load(Run("run"))
    assert capsys.readouterr().err == (
        "trusting run/config.yaml, which imports my_nets.layer.Layer, and runs "
        "my_nets/__init__.py, my_nets/layer.py in run/code\n"
    )


def test_a_module_that_differs_from_the_copy_is_told(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is imported all the same: nearer than the copy, and the user's own."""
    for name in FILES:
        (Path("my_nets")).mkdir(exist_ok=True)
        shutil.copy(folder / "home" / name, name)
    load(run)
    assert "is not what" not in capsys.readouterr().err
    forget()
    Path("my_factors.py").write_text("FACTOR = 5.0\n")
    encoder = load(run).encoder
    assert encoder(torch.ones(1, 1, 8, 8, dtype=torch.uint8)).tolist() == [[5.0]]
    told = capsys.readouterr().err
    here = folder / "elsewhere/my_factors.py"
    assert f"{here} is imported, and is not what run was trained with: see run/code/my_f" in told
    load(run)
    assert "is not what" not in capsys.readouterr().err  # told once


def test_two_runs_with_other_copies_are_for_two_commands(run: Run, folder: Path) -> None:
    other = folder / "elsewhere/other"
    shutil.copytree(run.path, other)
    load(run)
    load(Run(other))  # the same
    forget()
    unstated(Run(other))
    relist(Run(other), "my_factors.py", "FACTOR = 7.0\n")
    load(run)
    with pytest.raises(ValueError, match=r"another my_factors than .*a command of its own"):
        load(Run(other))


def test_a_run_that_was_trained_with_other_copies_than_are_imported_is_told(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its paths are trusted for the run before it; its copies are not."""
    other = Run(shutil.copytree(run.path, folder / "elsewhere/other"))
    unstated(other)
    relist(other, "my_factors.py", "FACTOR = 7.0\n")
    capsys.readouterr()

    def both() -> list[list[float]]:
        repr_toolkit.load(run, trust=True)
        model = repr_toolkit.load(other)
        return model.encoder(torch.ones(1, 1, 8, 8, dtype=torch.uint8)).tolist()

    assert copy_context().run(both) == [[3.0]]
    here, copy = run.path.absolute() / "code/my_factors.py", other.path / "code/my_factors.py"
    told = f"{here} is imported, and is not what {other.path} was trained with: see {copy}\n"
    assert told in capsys.readouterr().err


def test_copies_of_a_further_run_are_named(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where all that it imports is trusted already."""
    other = Run(shutil.copytree(run.path, folder / "elsewhere/other"))
    unstated(other)
    relist(other, "my_more.py", "FACTOR = 7.0\n")

    def both() -> None:
        repr_toolkit.load(run, trust=True)
        capsys.readouterr()
        repr_toolkit.load(other, trust=True)

    copy_context().run(both)
    told = f"trusting {other.path}/config.yaml, which runs my_more.py in {other.path}/code\n"
    assert capsys.readouterr().err.startswith(told)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("xxsubtype.py", "Python's own xxsubtype is imported"),
        ("toys/none.py", "toys is imported from {tests}/toys, which has no toys/none.py"),
    ],
)
def test_copies_of_what_is_elsewhere_are_not_used(
    run: Run, capsys: pytest.CaptureFixture[str], name: str, told: str
) -> None:
    unstated(run)
    relist(run, name, "raise RuntimeError('code ran')\n")
    load(run)
    said = capsys.readouterr().err
    assert f"{told.format(tests=TESTS)}, and is not what run was trained with" in said
    assert name not in said.splitlines()[0]


def test_a_module_that_is_found_in_a_way_of_its_own_is_nearer_than_its_copy(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As those of packages are that are installed editable."""
    Path("odd_place").mkdir()
    Path("odd_place/factors.py").write_text("FACTOR = 5.0\n")

    class Finder(MetaPathFinder):
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
            file = folder / "elsewhere/odd_place/factors.py"
            return spec_from_file_location(name, file) if name == "my_factors" else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert is_here("my_factors.FACTOR")
    model = load(run)
    assert model.encoder(torch.ones(1, 1, 8, 8, dtype=torch.uint8)).tolist() == [[5.0]]
    said = capsys.readouterr().err
    assert "my_factors.py" not in said.splitlines()[0]
    assert f"{folder}/elsewhere/odd_place/factors.py is imported, and is not what run was" in said


def test_files_that_nobody_wrote_are_not_copied(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("my_nets/late.py").write_text("power = 'never imported' but here\n")
    Path("my_factors.py").write_text(f"FACTOR = 3.0  # {'x' * (4 << 20)}\n")
    sys.path.append(str(folder / "home"))
    import_module("my_nets.net")
    assert copies.own_sources(["my_nets.net.Net"]) == {}
    assert "my_nets/net.py and what it imports have more than 4 MiB" in capsys.readouterr().err
    Path("my_factors.py").write_text("FACTOR = 3.0\n")
    found = copies.own_sources(["my_nets.net.Net"])
    assert [*found] == sorted(FILES.keys() - {"my_nets/unused.py"})
    # A large one that was never imported takes no room from those that were.
    Path("my_nets/late.py").write_text(f"# {'x' * (4 << 20)}\n")
    found = copies.own_sources(["my_nets.net.Net"])
    assert [*found] == sorted(FILES.keys() - {"my_nets/unused.py", "my_nets/late.py"})
    Path("my_nets/late.py").write_text(f"# {'x' * (3 << 20)}\n")
    Path("my_factors.py").write_text(f"FACTOR = 3.0  # {'x' * (2 << 20)}\n")
    assert [*copies.own_sources(["my_nets.net.Net"])] == [*found]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["site-packages", "dist-packages"])
def test_what_a_user_or_a_system_installed_is_not_copied(folder: Path, name: str) -> None:
    place = folder / ".local/lib" / name
    shutil.copytree(folder / "home/my_nets", place / "my_nets")
    shutil.copy(folder / "home/my_factors.py", place)
    sys.path.insert(0, str(place))
    import_module("my_nets.net")
    assert copies.own_sources(["my_nets.net.Net"]) == {}


def test_what_is_installed_or_python_s_own_is_not_copied() -> None:
    for name in ("json.decoder", "timm.models"):
        import_module(name)
    paths = ["json.decoder.JSONDecoder", "timm.models.resnet18", "no_such.Net", "sys.exit"]
    assert copies.own_sources(paths) == {}
