"""Copies of the source of a user's own modules: made of what is imported, and imported themselves.

A folder of copies has the files under the paths by which they are imported, and files.json, which
says where each was and what it holds. Nothing else in the folder is ever executed: no other file,
no bytecode, and no copy that was changed.
"""

import ast
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

from repr_toolkit.support.console import tell
from repr_toolkit.support.files import atomic_write, write_json
from repr_toolkit.support.importing import COPIED, PACKAGES, is_here, nearest_spec
from repr_toolkit.support.reading import (
    file_checksum,
    read_sealed,
    reading,
    require_file,
    sealed,
)

FOLDER = "code"
"""The folder, within a run's, of the copies."""

LIST = "files.json"
MEND = "copy the run again, or delete the folder to do without copies"

_MOST = 4 << 20  # bytes of all copies
_PYTHON = [Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib")]
_INSTALLED = {"site-packages", "dist-packages"}
"""The names of folders of installed packages: an environment's, a user's, a system's."""
_TOPS = {package.partition(".")[0] for package in PACKAGES}


def own_sources(paths: Iterable[str]) -> dict[str, Path]:
    """The source files of the modules at import paths, and of what they import beside themselves.

    By the paths that they are imported by, such as `nets/layers.py`. Only modules that are imported
    already, and are the user's own: neither installed nor Python's. None, which stderr is told,
    where they have more than 4 MiB, as files that nobody wrote. What is named there and was not
    imported, such as within a function, is among them as long as there is room for it.
    """
    files: dict[str, Path] = {}
    room = _MOST
    for path in paths:
        module = _imported(path)
        if module is None or (folder := _own_folder(module)) is None:
            continue
        rest, late = [module.__name__], list[str]()
        while rest or late:
            is_late = not rest
            name = (rest or late).pop()
            for relative in _files_of(name, folder):
                executed, size = (
                    _module(relative) in sys.modules,
                    (folder / relative).stat().st_size,
                )
                if relative in files or (is_late and not executed and size > room):
                    continue
                if not (executed or is_late):
                    late.append(name)  # after all that were imported
                    continue
                files[relative], room = folder / relative, room - size
                if room < 0:
                    tell(
                        f"{module.__file__} and what it imports have more than {_MOST >> 20} MiB: "
                        f"the run keeps no copy of them, and loads only where they are"
                    )
                    return {}
                rest += _names_in(folder / relative, relative)
    return dict(sorted(files.items()))


def _imported(path: str) -> ModuleType | None:
    """The module that an import path begins with, if it is imported."""
    parts = path.split(".")
    names = (".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
    return next((sys.modules[name] for name in names if name in sys.modules), None)


def _own_folder(module: ModuleType) -> Path | None:
    """The folder in which a module is searched by its full name; None for one that is installed."""
    file, name = getattr(module, "__file__", None), module.__name__
    if file is None or not file.endswith(".py") or name.partition(".")[0] in {*_TOPS, "__main__"}:
        return None
    path = Path(file).resolve()
    depth = name.count(".") + (path.name == "__init__.py")
    if _INSTALLED & {*path.parts} or any(path.is_relative_to(folder) for folder in _PYTHON):
        return None
    return path.parents[depth] if _files_of(name, path.parents[depth]) else None


def _files_of(name: str, folder: Path) -> list[str]:
    """The files in a folder that importing a module executes; none if it is not there."""
    parts = name.split(".")
    files = []
    for end in range(1, len(parts) + 1):
        inner = "/".join(parts[:end])
        files += [f for f in (f"{inner}/__init__.py", f"{inner}.py") if (folder / f).is_file()][:1]
    return files if (folder / "/".join(parts[:1])).is_dir() or files else []


def _names_in(file: Path, relative: str) -> Iterator[str]:
    """The full names of all that a source file may import, at any depth of it."""
    package = relative.removesuffix(".py").split("/")[:-1]
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return  # imported nowhere yet, or it would have been an error, and so perhaps never
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield from (".".join(filter(None, [module, alias.name])) for alias in node.names)


def write_copies(folder: Path, sources: Mapping[str, Path]) -> None:
    """Copy source files into a folder, and list them there."""
    listed = {}
    for relative, source in sources.items():
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        content = source.read_bytes()
        with atomic_write(folder / relative) as file:
            file.write(content)
        listed[relative] = {"from": str(source), "sha256": sha256(content).hexdigest()}
    write_json(folder / LIST, sealed({"files": listed}))


def has_copies(run: Path) -> bool:
    """Whether a run's folder has copies."""
    return (run / FOLDER / LIST).is_file()


def tops_of_copies(folder: Path) -> set[str]:
    """The packages and modules of which a folder has copies; ValueError for a damaged list."""
    return {_top(relative) for relative in _listed(folder)}


def unlike_now(folder: Path) -> list[tuple[Path, str]]:
    """The copies in a folder that differ from what is imported now, each with what that is."""
    pairs = []
    for relative, digest in _listed(folder).items():
        top, used = _top(relative), _finder.files.get(_module(relative))
        if top in COPIED:
            if used is not None and sha256(used.source).hexdigest() != digest:
                pairs.append((folder / relative, f"{used.file} is imported"))
        elif is_here(top) and (imported := _otherwise(top, relative, digest)):
            pairs.append((folder / relative, imported))
    return pairs


def use_copies(folder: Path) -> list[str]:
    """Let what is not importable otherwise be imported from the copies in a folder.

    From now on, in this process. Returns those of which no equal one is in use already. Raises
    ValueError for a copy that was changed, for one that stands for a package that the toolkit
    depends on, and where another run's copy, or another module of that name, is imported already.
    """
    files = {}
    for relative, digest in _listed(folder).items():
        if _top(relative) not in COPIED and is_here(_top(relative)):
            continue
        file = folder / relative
        source = _source(file)
        if sha256(source).hexdigest() != digest:
            raise ValueError(f"{file} is not as training left it (its checksum is wrong); {MEND}")
        files[relative] = _Copy(file.resolve(), source)
    new = {name: file for name, file in files.items() if _module(name) not in _finder.files}
    for name in files.keys() - new.keys():
        former = _finder.files[_module(name)]
        if former.source != files[name].source:
            raise ValueError(
                f"{folder / name} is another {_module(name)} than {former.file}, which this "
                f"process imports: give each run a command of its own"
            )
    _finder.files |= {_module(name): file for name, file in new.items()}
    COPIED.update(map(_top, new))
    if new and _finder not in sys.meta_path:
        sys.meta_path.append(_finder)  # last, so that a copy stands for nothing that is installed
    return [*new]


def _source(file: Path) -> bytes:
    """The content of a copy; ValueError or OSError, naming it, for what can be none."""
    require_file(file)
    with reading(file, MEND):
        if file.stat().st_size > _MOST:
            raise ValueError(f"it has more than {_MOST >> 20} MiB")
        return file.read_bytes()


def _listed(folder: Path) -> dict[str, str]:
    """The copies in a folder and their SHA-256; none where there is no list."""
    if not (folder / LIST).is_file():
        return {}
    files = read_sealed(folder / LIST, MEND, always=True).get("files")
    if not isinstance(files, dict):
        raise ValueError(f"{folder / LIST} is damaged; {MEND}")
    modules = set()
    for relative, facts in files.items():
        named = re.fullmatch(r"([^\W\d]\w*/)*[^\W\d]\w*\.py", relative)
        whole = isinstance(facts, dict) and isinstance(facts.get("sha256"), str)
        if not named or not whole or _top(relative) in _TOPS:
            raise ValueError(f"{folder / LIST} names {relative[:80]!r}, which is no copy; {MEND}")
        if (module := _module(relative)) in modules:
            raise ValueError(f"{folder / LIST} names two copies of {module[:80]}; {MEND}")
        modules.add(module)
    return {relative: facts["sha256"] for relative, facts in files.items()}


def _module(relative: str) -> str:
    return relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _top(relative: str) -> str:
    """The package or module at the top of a copy's path."""
    return relative.partition("/")[0].removesuffix(".py")


def _otherwise(top: str, relative: str, digest: str) -> str:
    """What is imported of a package or module that is here in place of a copy; "" if that is it."""
    spec, rest = nearest_spec(top), relative.partition("/")[2]
    folders = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    file = Path(spec.origin) if spec and spec.has_location and spec.origin else None
    if file is None and not folders:
        return f"Python's own {top} is imported"
    inside = (folder / rest for folder in folders if (folder / rest).is_file())
    now = next(inside, None) if rest else file
    if now is None:
        return f"{top} is imported from {[*folders, file][0]}, which has no {relative}"
    return f"{now} is imported" if file_checksum(now) != digest else ""


class _Copy(NamedTuple):
    """A copy that is imported: what was looked at, whatever the file may hold by then."""

    file: Path
    source: bytes


class _CopyLoader(SourceFileLoader):
    """Compiles the source itself: bytecode that lies beside a copy may be of anything."""

    def __init__(self, fullname: str, copy: _Copy) -> None:
        super().__init__(fullname, str(copy.file))
        self.source = copy.source

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.source, self.path)
        return code


class _CopyFinder(MetaPathFinder):
    """Finds the modules that are listed, and nothing else in their folders."""

    def __init__(self) -> None:
        self.files: dict[str, _Copy] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        copy = self.files.get(fullname)
        # A package has no folders to be searched: for its modules, too, this finder is asked.
        if copy is not None:
            loader, package = _CopyLoader(fullname, copy), copy.file.name == "__init__.py"
            spec = ModuleSpec(fullname, loader, origin=str(copy.file), is_package=package)
            spec.has_location = True
            return spec
        if any(name.startswith(f"{fullname}.") for name in self.files):
            return ModuleSpec(fullname, None, is_package=True)
        return None


_finder = _CopyFinder()
