"""Images and what is known of them: `load_data` loads a source, its splits give batches."""

from typing import TYPE_CHECKING, Any

from repr_toolkit.data.images import ImageData, ImageSplit
from repr_toolkit.data.sources import load_data

if TYPE_CHECKING:
    from repr_toolkit.data.module import ImageDataModule

__all__ = ["ImageData", "ImageDataModule", "ImageSplit", "load_data"]


def __getattr__(name: str) -> Any:
    if name == "ImageDataModule":  # needs lightning, which takes seconds to import
        from repr_toolkit.data.module import ImageDataModule

        return ImageDataModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
