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
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from repr_toolkit.support.console import tell
from repr_toolkit.support.files import atomic_write, write_json
from repr_toolkit.support.importing import COPIED, PACKAGES
from repr_toolkit.support.reading import file_checksum, read_sealed, sealed

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


def unlike_now(folder: Path) -> list[tuple[Path, Path]]:
    """The copies in a folder that differ from what is importable now, each with that file."""
    pairs = []
    for relative, digest in _listed(folder).items():
        place = _importable_folder(relative.partition("/")[0].removesuffix(".py"))
        if place is not None:
            now = place / relative
            if not now.is_file() or file_checksum(now) != digest:
                pairs.append((folder / relative, now))
    return pairs


def use_copies(folder: Path) -> list[str]:
    """Let what is not importable otherwise be imported from the copies in a folder; name those.

    From now on, in this process. Raises ValueError for a copy that was changed, for one that stands
    for a package that the toolkit depends on, and where another run's copy, or another module of
    that name, is imported already.
    """
    listed, files = _listed(folder), {}
    for relative, digest in listed.items():
        top = relative.partition("/")[0].removesuffix(".py")
        if _importable_folder(top) is not None:
            continue
        file = folder / relative
        if file_checksum(file) != digest:
            raise ValueError(f"{file} is not as training left it (its checksum is wrong); {MEND}")
        files[_module(relative)] = file.resolve()
    for name, file in files.items():
        former = _finder.files.get(name)
        if former is not None and former != file and former.read_bytes() != file.read_bytes():
            raise ValueError(
                f"{file} is another {name} than {former}, which this process imports: give each "
                f"run a command of its own"
            )
    _finder.files |= {name: file for name, file in files.items() if name not in _finder.files}
    COPIED.update(name.partition(".")[0] for name in files)
    if files and _finder not in sys.meta_path:
        sys.meta_path.append(_finder)  # last, so that a copy stands for nothing that is installed
    return [file for file in listed if _module(file) in files]


def _listed(folder: Path) -> dict[str, str]:
    """The copies in a folder and their SHA-256; none where there is no list."""
    if not (folder / LIST).is_file():
        return {}
    files = read_sealed(folder / LIST, MEND).get("files")
    if not isinstance(files, dict):
        raise ValueError(f"{folder / LIST} is damaged; {MEND}")
    for relative, facts in files.items():
        named = re.fullmatch(r"([^\W\d]\w*/)*[^\W\d]\w*\.py", relative)
        whole = isinstance(facts, dict) and isinstance(facts.get("sha256"), str)
        if not named or not whole or relative.partition("/")[0].removesuffix(".py") in _TOPS:
            raise ValueError(f"{folder / LIST} names {relative[:80]!r}, which is no copy; {MEND}")
    return {relative: facts["sha256"] for relative, facts in files.items()}


def _module(relative: str) -> str:
    return relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _importable_folder(top: str) -> Path | None:
    """The folder from which a package or module is imported, or would be, unless from copies."""
    if top in COPIED:
        return None
    spec = getattr(sys.modules.get(top), "__spec__", None)
    spec = spec or PathFinder.find_spec(top, [*sys.path, str(Path.cwd())])
    if spec is None:
        return None
    if spec.origin is None:
        places = [*(spec.submodule_search_locations or ())]
        return Path(places[0]).resolve().parent if places else None
    file = Path(spec.origin).resolve()
    return file.parent.parent if file.name == "__init__.py" else file.parent


class _CopyLoader(SourceFileLoader):
    """Compiles the source itself: bytecode that lies beside a copy may be of anything."""

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


class _CopyFinder(MetaPathFinder):
    """Finds the modules that are listed, and nothing else in their folders."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self.files.get(fullname)
        # A package has no folders to be searched: for its modules, too, this finder is asked.
        if file is not None:
            loader, package = _CopyLoader(fullname, str(file)), file.name == "__init__.py"
            spec = ModuleSpec(fullname, loader, origin=str(file), is_package=package)
            spec.has_location = True
            return spec
        if any(name.startswith(f"{fullname}.") for name in self.files):
            return ModuleSpec(fullname, None, is_package=True)
        return None


_finder = _CopyFinder()
