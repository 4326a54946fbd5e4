"""Images and what is known of them: `load_data` loads a source, its splits give batches."""

from repr_toolkit.data.images import ImageData, ImageSplit
from repr_toolkit.data.sources import load_data

__all__ = ["ImageData", "ImageSplit", "load_data"]
