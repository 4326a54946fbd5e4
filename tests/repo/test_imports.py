"""The import direction: decoders and encoders stand alone, and nothing heavy is loaded early."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from toys.processes import ROOT

HEAVY = ("torch", "lightning", "numpy", "scipy", "sklearn", "matplotlib", "skimage", "wandb", "PIL")


def imports(file: Path, package: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The modules that a file of a package imports, at any depth, each with the names taken."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                module = ".".join([*parents, *filter(None, [module])])
            yield module, tuple(alias.name for alias in node.names)


def test_imports_are_resolved(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "def f():\n    from ..encoders import A, B\n    import os.path\nfrom . import c\n"
    )
    assert sorted(imports(file, "repr_toolkit.decoders")) == [
        ("os.path", ()),
        ("repr_toolkit.decoders", ("c",)),
        ("repr_toolkit.encoders", ("A", "B")),
    ]


@pytest.mark.parametrize("folder", ["decoders", "encoders"])
def test_decoders_and_encoders_import_only_libraries_and_their_own_package(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for file in files:
        inside = ".".join(("repr_toolkit", folder, *file.parent.relative_to(ROOT / folder).parts))
        for module, _ in imports(file, inside):
            ours = module.split(".")[0] in ("repr_toolkit", "decoders", "encoders", "recipes")
            allowed = f"{module}.".startswith(f"repr_toolkit.{folder}.")
            assert not ours or allowed, f"{file} imports {module}"


def test_the_toolkit_names_no_concrete_model() -> None:
    contracts = {"Decoder", "AutoregressiveDecoder", "Encoder"}
    for file in sorted((ROOT / "repr_toolkit").rglob("*.py")):
        if file.resolve().relative_to(ROOT).parts[0] != "repr_toolkit":
            continue  # reached through the links to decoders/, encoders/ and recipes/
        inside = ".".join(file.relative_to(ROOT).parent.parts)
        for module, names in imports(file, inside):
            if module.startswith(("repr_toolkit.decoders", "repr_toolkit.encoders")):
                classes = {name for name in names if name[0].isupper()}
                # The embeddings of faces are FaceNet's, which no other encoder can stand in for.
                allowed = contracts | ({"FaceNet"} if inside == "repr_toolkit.faces" else set())
                assert classes <= allowed, f"{file} imports {classes - allowed} from {module}"


@pytest.mark.parametrize(
    "statement",
    [
        "import repr_toolkit",
        "import repr_toolkit.config.recipe; repr_toolkit.config.recipe.list_recipes()",
        "import repr_toolkit.recipes",
    ],
)
def test_light_imports_stay_light(statement: str) -> None:
    code = f"import sys; {statement}; print(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
