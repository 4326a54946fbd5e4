"""The import direction, floor by floor, and that nothing heavy is loaded early."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from toys.processes import ROOT

LAYERS = (  # bottom to top
    ("support",),
    ("data", "encoders", "decoders"),
    ("config", "page"),
    ("models", "testing"),
    ("runs",),
    ("training", "sampling", "representations", "faces"),
    ("analyses",),
    ("study", "report"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
"""The floors of the house: what is on one imports what is on those below it, and nothing else."""
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


def modules() -> dict[str, Path]:
    """Every module of the import package by its dotted name, each file once."""
    found: dict[str, Path] = {}
    for folder, package in (
        ("repr_toolkit", "repr_toolkit"),
        ("encoders", "repr_toolkit.encoders"),
        ("decoders", "repr_toolkit.decoders"),
    ):
        for file in sorted((ROOT / folder).rglob("*.py")):
            if file.resolve().relative_to(ROOT).parts[0] != folder:
                continue  # reached through a link
            parts = file.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = file
    return found


def arrows() -> dict[str, set[str]]:
    """Which of our modules each imports, at any depth of its code and for types too."""
    files = modules()
    graph: dict[str, set[str]] = {name: set() for name in files}
    for name, file in files.items():
        inside = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for module, names in imports(file, inside):
            for full in [f"{module}.{part}" for part in names] or [module]:
                target = full if full in files else module
                if target in files and target != name:
                    graph[name].add(target)
    return graph


def room(module: str) -> str:
    """The package or module at the top of repr_toolkit that a module is in."""
    return [*module.split("."), ""][1]


def test_each_floor_imports_only_floors_below_it() -> None:
    """`LAYERS` is the whole house: a room that is missing there fails, too."""
    floors = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    for module, targets in arrows().items():
        for target in targets:
            above, below = room(module), room(target)
            if above and below and above != below:
                assert floors[above] > floors[below], f"{module} imports {target}"


def test_the_house_is_small() -> None:
    """At most 24 rooms on 11 floors, 5 loose modules, and no file of more than 400 lines."""
    rooms = {room(module) for module in modules()} - {""}
    assert rooms == {name for layer in LAYERS for name in layer}
    assert len(rooms) <= 24
    assert len(LAYERS) <= 11
    loose = list((ROOT / "repr_toolkit").glob("*.py"))
    assert len(loose) <= 5
    long = {file: len(file.read_text("utf-8").splitlines()) for file in modules().values()}
    assert {file: lines for file, lines in long.items() if lines > 400} == {}


def test_the_map_shows_the_floors_as_they_are() -> None:
    """The table in docs/architecture.md, whose rooms are the first words in backticks."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    floors = re.findall(r"^\| +(\d+) \| ([^|]*) \|", page, re.MULTILINE)
    shown = {int(floor): set(re.findall(r"`(\w+)/?`", rooms)) for floor, rooms in floors}
    assert shown == {number: {*layer} for number, layer in enumerate(LAYERS, 1)}


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = arrows()
    graph.pop("repr_toolkit")  # it imports what it offers when that is asked for
    order = TopologicalSorter({name: targets & graph.keys() for name, targets in graph.items()})
    order.prepare()  # raises CycleError, which names the circle


def test_the_toolkit_names_no_concrete_model() -> None:
    contracts = {"Decoder", "AutoregressiveDecoder", "Encoder", "Engine", "Flow"}
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
