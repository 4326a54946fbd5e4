"""The photographs in a folder of people, and reading one, if its file is fit for it."""

from pathlib import Path

from PIL import Image, ImageOps

from repr_toolkit.data.layout import Layout, read_layout
from repr_toolkit.data.picture_files import (
    SEVERAL,
    TOO_LARGE,
    has_several,
    over_white,
    quiet_pillow,
    stored_mode,
)


class Unusable(ValueError):
    """A photograph cannot be used; the text is the reason alone, without the file's name."""


def find_photographs(folder: Path) -> Layout:
    """The photographs below a folder, whose sub-folders are people, splits, or splits of people.

    Raises NotADirectoryError or FileNotFoundError for what is no folder, and as `read_layout` does.
    """
    if not folder.is_dir():
        kind = NotADirectoryError if folder.exists() else FileNotFoundError
        raise kind(f"{folder} is no folder; give the one that holds the photographs")
    return read_layout(folder)


def read_photograph(path: Path) -> Image.Image:
    """A photograph as RGB, 8 bits, turned upright where the camera says so.

    Grey, palette and CMYK files are converted, and transparent ones laid over white. A phone's
    JPEG may hold several pictures (MPO); the first is taken, as viewers do.

    Raises `Unusable` for a file that is animated, has several pages or more than 8 bits a channel,
    is too large to be safe, damaged or cut short; FileNotFoundError for a missing one.
    """
    try:
        with quiet_pillow(), Image.open(path) as image:
            if has_several(image):
                raise Unusable(SEVERAL)
            if "16" in stored_mode(image) or image.mode in ("I", "F"):
                raise Unusable("more than 8 bits a channel")
            upright = ImageOps.exif_transpose(image)
            return (over_white if upright.has_transparency_data else _rgb)(upright)
    except (FileNotFoundError, MemoryError, Unusable):
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise Unusable(TOO_LARGE) from error
    except PermissionError as error:
        raise Unusable("unreadable: permission denied") from error
    except Exception as error:  # Pillow's decoders raise errors of every kind
        raise Unusable("unreadable: damaged or cut short") from error


def _rgb(image: Image.Image) -> Image.Image:
    return image.convert("RGB")
