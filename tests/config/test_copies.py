"""A run keeps its own classes' source, and loads by it elsewhere, with trust and not without."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextvars import copy_context
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

import repr_toolkit
from repr_toolkit.cli import main
from repr_toolkit.config.trust import require_trusted
from repr_toolkit.runs.run import Run
from repr_toolkit.support import copies
from repr_toolkit.support.reading import sealed
from repr_toolkit.training.train import train
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


def trained(path: Path) -> Run:
    spec = {"class_path": "my_nets.net.Net"}
    short: dict[str, Any] = {"training__steps": 1, "training__validate_every": 1}
    run = copy_context().run(train, small(model__encoder=spec, **short), path)
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
    ],
)
def test_a_copy_that_was_changed_is_refused(run: Run, files: Any, told: str) -> None:
    (run.path / "code/files.json").write_text(json.dumps(sealed({"files": files})))
    with pytest.raises(ValueError, match=told):
        load(run)
    assert "my_nets" not in sys.modules


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
    (other / "code/my_factors.py").write_text("FACTOR = 7.0\n")
    listed = json.loads((other / "code/files.json").read_text())["files"]
    digest = copies.file_checksum(other / "code/my_factors.py")
    listed["my_factors.py"]["sha256"] = digest
    (other / "code/files.json").write_text(json.dumps(sealed({"files": listed})))
    load(run)
    with pytest.raises(ValueError, match=r"another my_factors than .*a command of its own"):
        load(Run(other))


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
