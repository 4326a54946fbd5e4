"""From an import path to what it names: the one way in which a text becomes code."""

import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from inspect import isclass
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = (
    "repr_toolkit.",
    "torch.nn.",
    "torch.optim.",
    "lightning.pytorch.callbacks.",
    "torchvision.models.",
    "torchvision.ops.",
    "timm.",
    "pytorch_metric_learning.",
    "facenet_pytorch.",
)
"""How the paths of the toolkit's own classes begin, and of the packages that it depends on."""

COPIED: set[str] = set()
"""The packages and modules that are imported from copies (`repr_toolkit.support.copies`)."""

MOST_PARTS = 30
"""Parts of an import path; each is a level of recursion to Python."""


def names_in(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package that imports its modules when their names are asked for.

    `places` are the modules, within the package, of its public names.
    """

    def member(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{places[name]}"), name)

    return member


def is_here(path: str) -> bool:
    """Whether there is a package or module to import a path from, in the current folder too.

    Nothing is imported.
    """
    top = path.partition(".")[0]
    return top in sys.modules or top in COPIED or nearest_spec(top) is not None


def nearest_spec(top: str) -> ModuleSpec | None:
    """How a package or module is imported, or would be, from the current folder last.

    Every finder is asked, since packages that are installed editable may have one of their own.
    """
    spec: ModuleSpec | None = getattr(sys.modules.get(top), "__spec__", None)
    if top not in sys.modules:
        spec = find_spec(top)
    return spec or PathFinder.find_spec(top, [*sys.path, str(Path.cwd())])


def require_here(path: str) -> None:
    """Raise ImportError for an import path whose package is nowhere; nothing is imported."""
    if not is_here(path):
        top = path.partition(".")[0]
        raise ImportError(f"{path!r} cannot be imported: No module named {top!r}")


def find_module(name: str) -> ModuleType:
    """The module of a dotted name, imported; ImportError where there is none.

    The current folder is searched last, and only for what is of none of the `PACKAGES`, so that a
    file there can stand for nothing that is installed or might be.
    """
    if name.count(".") >= MOST_PARTS:
        raise ImportError(f"{name[:40]}… has more than {MOST_PARTS} parts: it is no import path")
    here = str(Path.cwd())
    if not f"{name}.".startswith(PACKAGES) and here not in sys.path:
        sys.path.append(here)
    return import_module(name)


def import_callable(path: str) -> Callable[..., Any]:
    """The class or function at an import path, or what a class there has of that name.

    Of the form package.module.name or package.module.Class.name, such as a class method that makes
    an object. Raises ImportError, which names a close one, if there is none.
    """
    module_name, _, name = path.rpartition(".")
    if not all(part.isidentifier() for part in path.split(".")) or not module_name:
        raise ImportError(f"{path[:80]!r} is not an import path of the form package.module.name")
    holder = _module_or_class(module_name, path)
    member: Callable[..., Any] | None = getattr(holder, name, None)
    if not callable(member):
        public = [key for key in dir(holder) if callable(getattr(holder, key, None))]
        close = get_close_matches(name, public, n=1, cutoff=0.5)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ImportError(f"{module_name} has no class or function {name}{hint}")
    return member


def _module_or_class(name: str, path: str) -> Any:
    """The module of a dotted name, or a class in one; ImportError, which names `path`."""
    try:
        return find_module(name)
    except ModuleNotFoundError as error:
        outer, _, inner = name.rpartition(".")
        # Only where the module itself is missing, and not one that it imports.
        if outer and f"{name}.".startswith(f"{error.name}."):
            holder = _module_or_class(outer, path)
            if isclass(member := getattr(holder, inner, None)):
                return member
        raise ImportError(f"{path!r} cannot be imported: {error}") from error
