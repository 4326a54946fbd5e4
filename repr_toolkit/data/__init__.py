"""Images and what is known of them: `load_data` loads a source, its splits give batches."""

from typing import TYPE_CHECKING

from repr_toolkit.support.importing import names_in

if TYPE_CHECKING:
    from repr_toolkit.data.images import ImageData, ImageSplit
    from repr_toolkit.data.sources import load_data

__all__ = ["ImageData", "ImageSplit", "load_data"]

__getattr__ = names_in(
    __name__, {"ImageData": "images", "ImageSplit": "images", "load_data": "sources"}
)
