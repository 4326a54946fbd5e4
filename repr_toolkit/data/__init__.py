"""Images and what is known of them: :func:`load` a source, read its splits in batches."""

from typing import TYPE_CHECKING, Any

from repr_toolkit.data.images import ImageData, ImageSplit, evaluation_loader
from repr_toolkit.data.sources import load

if TYPE_CHECKING:
    from repr_toolkit.data.module import ImageDataModule

__all__ = ["ImageData", "ImageDataModule", "ImageSplit", "evaluation_loader", "load"]


def __getattr__(name: str) -> Any:
    if name == "ImageDataModule":  # needs lightning, which takes seconds to import
        from repr_toolkit.data.module import ImageDataModule

        return ImageDataModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
