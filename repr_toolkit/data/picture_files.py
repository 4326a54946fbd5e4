"""Image files: what their headers say, and their pixels, 8 bits of grey or RGB."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageFile, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from repr_toolkit.data.images import Array

Mode = Literal["RGB", "grey"]

CHUNK = 256  # files in work at a time
SEVERAL = "animated, or several pages"
TOO_LARGE = "more pixels than a photograph has"
DAMAGED = "damaged or cut short"
DEEP = " of 16 bits"
CONVERTIBLE = frozenset(
    (
        *("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"),
        *("I;16", "I;16B", "I;16L", f"I{DEEP}", f"RGB{DEEP}", f"RGBA{DEEP}"),
    )
)
"""The modes that `data.mode` converts. 32 bits (I, F) have no known white, LAB takes a profile."""
PLAIN = {"L": "grey", "RGB": "RGB"}
"""The modes that are taken as they are."""

In = TypeVar("In")
Out = TypeVar("Out")


class Header(NamedTuple):
    """What an image file says of itself; its pixels have not been decoded.

    Attributes:
        path: The file.
        width: In pixels, once turned upright by the EXIF orientation.
        height: Likewise.
        mode: Pillow's name of what is stored, such as RGB, L (8-bit grey), RGBA or CMYK, with
            " of 16 bits" where Pillow's name does not say so.
        transparent: Whether some pixels may be.
        problem: Why the file cannot be used at all: `SEVERAL`, `TOO_LARGE` or `DAMAGED` and more;
            else "".
    """

    path: Path
    width: int = 0
    height: int = 0
    mode: str = ""
    transparent: bool = False
    problem: str = ""

    @property
    def size(self) -> str:
        """Width × height, as people write it."""
        return f"{self.width}×{self.height}"


def read_headers(paths: Sequence[Path]) -> list[Header]:
    """The headers of image files, in order. Raises OSError for one that may not be read."""
    return [header for chunk in in_threads(read_header, paths) for header in chunk]


def in_threads(function: Callable[[In], Out], items: Sequence[In]) -> Iterator[list[Out]]:
    """The results of a function of image files, in chunks; Pillow works outside Python's lock."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(items), CHUNK):
            with quiet_pillow():
                results = list(pool.map(function, items[start : start + CHUNK]))
            yield results


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Drop Pillow's warnings of odd metadata, and refuse files of too many pixels, within it.

    In all threads; so it must not be entered within one of several.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_header(path: Path) -> Header:
    """The header of an image file; see `read_headers`. To be called within `quiet_pillow`."""
    try:
        with Image.open(path) as image:
            if has_several(image):
                return Header(path, *image.size, stored_mode(image), problem=SEVERAL)
            width, height = image.size
            if isinstance(image, TiffImageFile):  # as stored: Pillow's is that of the upright image
                width, height = (int(image.tag_v2[tag]) for tag in (256, 257))
            # A PNG that does not begin with EXIF would be decoded to look for it at its end.
            if image.format != "PNG" or "exif" in image.info:
                turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
                width, height = (height, width) if turned else (width, height)
            return Header(path, width, height, stored_mode(image), image.has_transparency_data)
    except OSError as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        return Header(path, problem=_problem(path, error))
    except Exception as error:  # Pillow's decoders raise errors of every kind
        return Header(path, problem=_problem(path, error))


def _problem(path: Path, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return TOO_LARGE
    said = " ".join(str(error).split())
    return f"{DAMAGED} ({said})" if said and path.name not in said else DAMAGED


def has_several(image: Image.Image) -> bool:
    """Whether a file moves or has pages. A phone's JPEG of several pictures (MPO) counts as one."""
    return getattr(image, "is_animated", False) and image.format != "MPO"


def stored_mode(image: ImageFile.ImageFile) -> str:
    """The mode of a file's pixels, see `Header`."""
    # Pillow opens 16-bit RGB files as RGB, and drops half the bits without a word.
    deep = any(";16" in str(tile) for tile in image.tile) and image.mode in ("RGB", "RGBA")
    if image.format == "PPM":
        arguments = image.tile[0].args
        deep = isinstance(arguments, tuple) and arguments[-1] > 255
    return image.mode + DEEP * (deep or (image.format in ("PNG", "PPM") and image.mode == "I"))


def read_image(path: Path, size: int | None, mode: Mode | None = None) -> Array:
    """One image file as uint8 (C, H, W), upright; with `size`, its middle square scaled to it.

    With a `mode` it is converted first (see `to_mode`); without one it has to be 8-bit grey or RGB.
    Raises ValueError, which names the file, for another mode and one that cannot be converted, and
    for a file that is damaged, cut short, or far too large.
    """
    try:
        with Image.open(path) as image:
            stored = stored_mode(image)
            usable = stored in (CONVERTIBLE if mode else PLAIN)
            several = has_several(image)
            upright = ImageOps.exif_transpose(image)
            if mode and usable:
                upright = to_mode(upright, mode)
            if size is not None:
                left, top, side = middle_square(*upright.size)
                box = (left, top, left + side, top + side)
                upright = upright.resize((size, size), Image.Resampling.BOX, box=box)
            pixels = np.asarray(upright)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # Pillow's decoders raise errors of every kind
        raise ValueError(f"{path}: {_problem(path, error)}") from error
    if several or not usable:
        raise ValueError(f"{path}: {SEVERAL if several else refusal(stored, mode)}")
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def refusal(stored: str, mode: Mode | None) -> str:
    """Why an image of a mode cannot be used, in words."""
    if mode is not None or stored not in CONVERTIBLE:
        return f"its pixels are {stored}, which cannot be converted to 8 bits"
    return f"only 8-bit grey (L) and RGB images are taken as they are, this is {stored}"


def to_mode(image: Image.Image, mode: Mode) -> Image.Image:
    """An image as 8-bit grey or RGB.

    - What is transparent, in part or wholly, is laid over white, as a page shows it.
    - 16 bits keep their upper 8: ⌊v / 256⌋.
    - One bit becomes 0 and 255, a palette its colours, grey three equal channels; CMYK becomes RGB
      by Pillow's formula. Colour profiles are not looked at.
    - Colours become grey by their luma, 0.299 R + 0.587 G + 0.114 B.

    Raises ValueError for a mode that is not in `CONVERTIBLE`, such as 32-bit numbers.
    """
    if image.mode.startswith("I"):
        image = _upper_bits(image)
    elif image.has_transparency_data:
        image = over_white(image)
    if image.mode not in CONVERTIBLE:
        raise ValueError(refusal(image.mode, mode))
    image = image if image.mode in PLAIN else image.convert("RGB" if image.mode != "1" else "L")
    return image.convert("L" if mode == "grey" else "RGB")


def _upper_bits(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey, its transparent value white."""
    values = np.asarray(image)
    grey = (values >> 8).astype(np.uint8)
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey)


def over_white(image: Image.Image) -> Image.Image:
    """An image with transparency laid over white: RGB."""
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def middle_square(width: int, height: int) -> tuple[int, int, int]:
    """The left and top edge and the side of the middle square of an image, in pixels."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side
