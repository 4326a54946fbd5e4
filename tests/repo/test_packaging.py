"""The wheel: what is in it, and that it works away from the checkout as a user would use it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from toys.processes import ROOT

LINKED = ("decoders", "encoders", "recipes")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that knows nothing of the checkout."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    environment["OMP_NUM_THREADS"] = "1"
    return subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checkout, which stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    patterns = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist")

    def left_out(path: str, names: list[str]) -> set[str]:
        """What belongs to no checkout, and a user's runs in it."""
        return patterns(path, names) | ({"runs"} & {*names} if Path(path) == ROOT else set())

    shutil.copytree(ROOT, source, symlinks=True, ignore=left_out)
    pip = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation"]
    built = run(*pip, "--wheel-dir", folder, cwd=source)
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a new environment with the wheel in it.

    The libraries it needs are lent by the environment that runs the tests: a line in a .pth file
    adds their folder, but not what that folder's own .pth files would add, such as the checkout.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    installed = run(*pip, wheel, cwd=folder)
    assert installed.returncode == 0, installed.stderr
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_wheel_holds_every_module_and_recipe_and_no_other_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
    package = ROOT / "repr_toolkit"
    wanted = {"repr_toolkit/py.typed", "repr_toolkit/recipes/README.md"}
    for file in (package / "page" / "templates").iterdir():
        wanted.add(f"repr_toolkit/{file.relative_to(package)}")
    for folder in (package, *(package / link for link in LINKED)):
        for pattern in ("*.py", "*.yaml", "*.cpp", "*.h"):
            wanted |= {f"repr_toolkit/{f.relative_to(package)}" for f in folder.rglob(pattern)}
    assert {"repr_toolkit/decoders/gated_pixelcnn.py", "repr_toolkit/data/npz.py"} <= wanted
    assert wanted - files == set()
    top = {name.split("/")[0] for name in files}
    assert {name for name in top if not name.endswith(".dist-info")} == {"repr_toolkit"}
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in files)


def test_the_links_show_a_checkout_the_same_tree() -> None:
    for name in LINKED:
        link = ROOT / "repr_toolkit" / name
        assert link.is_symlink()
        assert link.readlink() == Path("..") / name
        assert link.resolve() == ROOT / name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    mapping = project["tool"]["setuptools"]["package-dir"]
    assert mapping == {f"repr_toolkit.{name}": name for name in LINKED}


def test_an_uninstalled_checkout_resolves_the_same_files(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + "".join(
        f"import repr_toolkit.{name}; print(repr_toolkit.{name}.__file__)\n" for name in LINKED
    )
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    files = [Path(line).resolve() for line in done.stdout.split()]
    assert files == [ROOT / name / "__init__.py" for name in LINKED], done.stderr


def test_the_installed_package_is_all_that_can_be_imported(
    environment: Path, tmp_path: Path
) -> None:
    code = (
        "import importlib.util, repr_toolkit, repr_toolkit.encoders\n"
        "names = ('encoders', 'decoders', 'recipes', 'tests', 'benchmarks')\n"
        "assert not any(importlib.util.find_spec(name) for name in names)\n"
        "print(repr_toolkit.__file__, repr_toolkit.encoders.__file__, repr_toolkit.__version__)"
    )
    done = run(environment / "python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    package, encoders, version = done.stdout.split()
    assert Path(package).is_relative_to(environment.parent)
    assert Path(encoders).is_relative_to(environment.parent)
    assert version == "0.1.0"


def test_the_installed_command_lists_the_recipes(environment: Path, tmp_path: Path) -> None:
    done = run(environment / "repr-toolkit", "recipes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for recipe in (ROOT / "recipes").glob("*.yaml"):
        assert recipe.stem in done.stdout


def test_the_installed_command_trains_beside_the_users_own_folders(
    environment: Path, tmp_path: Path
) -> None:
    """A user's `encoders/` shadows nothing of ours, and serves the user's own recipe."""
    for name in LINKED:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('shadowed')\n")
    (tmp_path / "my_project").mkdir()
    (tmp_path / "my_project" / "nets.py").write_text(
        "from torch import Tensor, nn\n"
        "\n"
        "class ChannelMean(nn.Module):\n"
        '    """The mean intensity of every channel."""\n'
        "\n"
        "    source = 'image'\n"
        "\n"
        "    def __init__(self, image_shape: tuple[int, int, int]) -> None:\n"
        "        super().__init__()\n"
        "        self.h_dim = image_shape[0]\n"
        "\n"
        "    def forward(self, x: Tensor) -> Tensor:\n"
        "        return x.float().mean((2, 3))\n"
    )
    decoder = {
        "class_path": "repr_toolkit.decoders.GatedPixelCNN",
        "init_args": {"features": 4, "layers": 2},
    }
    recipe = {
        "data": {"source": "digits"},
        "model": {"encoder": {"class_path": "my_project.nets.ChannelMean"}, "decoder": decoder},
        "training": {"steps": 4, "validate_every": 2},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    command = environment / "repr-toolkit"
    trained = run(command, "train", "mine.yaml", "--training.steps", "2", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    config = yaml.safe_load((tmp_path / "runs/mine/config.yaml").read_text("utf-8"))
    assert config["training"]["steps"] == 2
    assert config["model"]["decoder"]["init_args"]["h_dim"] == 1
    evaluated = run(command, "evaluate", "runs/mine", "--json", "--trust", cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    assert '"bits_per_dim"' in evaluated.stdout
