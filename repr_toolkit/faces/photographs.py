"""The photographs in a folder of people, and reading one, if its file is fit for it."""

import warnings
from collections import Counter
from pathlib import Path

from PIL import Image, ImageOps

from repr_toolkit.data.folder import SUFFIXES, is_image, visible_files


class Unusable(ValueError):
    """A photograph cannot be used; the text is the reason alone, without the file's name."""


def find_photographs(folder: Path) -> tuple[list[str], Counter[str]]:
    """The image files below a folder, by their paths in it, sorted; and the other files' suffixes.

    Hidden files and folders are left out. Raises NotADirectoryError or FileNotFoundError for what
    is no folder, ValueError for a folder without image files.
    """
    if not folder.is_dir():
        kind = NotADirectoryError if folder.exists() else FileNotFoundError
        raise kind(f"{folder} is no folder; give the one that holds the photographs")
    files = visible_files(folder)
    photographs = sorted(path.relative_to(folder).as_posix() for path in files if is_image(path))
    if not photographs:
        raise ValueError(f"{folder}: no photographs ({', '.join(sorted(SUFFIXES))}) in it")
    others = (path.suffix.lower() or "no suffix" for path in files if not is_image(path))
    return photographs, Counter(others)


def read_photograph(path: Path) -> Image.Image:
    """A photograph as RGB, 8 bits, turned upright where the camera says so.

    Grey, palette and CMYK files are converted, and transparent ones laid over white. A phone's
    JPEG may hold several pictures (MPO); the first is taken, as viewers do.

    Raises `Unusable` for a file that is animated, has several pages or more than 8 bits a channel,
    is too large to be safe, damaged or cut short; FileNotFoundError for a missing one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _require_usable(image)
                upright = ImageOps.exif_transpose(image)
                return _rgb(upright)
    except (FileNotFoundError, MemoryError, Unusable):
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise Unusable("more pixels than a photograph has") from error
    except PermissionError as error:
        raise Unusable("unreadable: permission denied") from error
    except Exception as error:  # Pillow's decoders raise errors of every kind
        raise Unusable("unreadable: damaged or cut short") from error


def _require_usable(image: Image.Image) -> None:
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise Unusable("animated, or several pages")
    # Pillow opens 16-bit RGB files as RGB, dropping half the bits without a word.
    tiles = getattr(image, "tile", ())
    if image.mode.startswith(("I", "F")) or any(";16" in str(tile) for tile in tiles):
        raise Unusable("more than 8 bits a channel")


def _rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
