"""Autoencoders and representation learning on images: any encoder, exact-likelihood decoders.

Importing this package loads no heavy library; each is imported where it is used.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repr_toolkit.runs.run import load

try:
    __version__ = version("repr-toolkit")
except PackageNotFoundError:  # an uninstalled checkout
    __version__ = "0+unknown"

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from repr_toolkit.runs.run import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
