"""Folders of image files, decoded once into the cache."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from repr_toolkit.data.cache import Contents, cached, file_stamp, write_rows
from repr_toolkit.data.images import Array, ImageData
from repr_toolkit.data.splits import complete_splits, consecutive

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
CHUNK = 256  # images decoded at a time


def load_folder(path: Path, size: int | None = None) -> ImageData:
    """The images in a folder, whose sub-folders are classes, splits, or splits of classes.

    Images are the files with the usual suffixes at any depth, except hidden ones, in the order of
    their paths: all grey or all RGB, 8 bits, turned upright by their EXIF orientation. If there is
    a folder `train`, then `train`, `val` (or `valid`, `validation`) and `test` are the splits, and
    `complete_splits` cuts the missing ones. The names of the sub-folders of the folder, or of each
    split, are the labels, in alphabetical order.

    With `size` the middle square of every image is scaled to (size, size) by a box filter. Without
    it all images must have one shape.

    Raises ValueError, which names the file, for an image that is damaged, cut short, of another
    mode or shape, or beside the class folders instead of in one.
    """
    folders = [sub for sub in sorted(path.iterdir()) if sub.is_dir() and sub.name[0] != "."]
    splits = {"train": path}
    if any(sub.name == "train" for sub in folders):
        splits = {}
        for sub in folders:
            split = SPLIT_NAMES.get(sub.name)
            if split is None or split in splits:
                what = "is no split" if split is None else f"is a second {split} split"
                raise ValueError(
                    f"{sub} {what}: beside `train` there may be one of val, valid and "
                    f"validation, and test; move it elsewhere"
                )
            splits[split] = sub
    files = {split: [*filter(is_image, visible_files(sub))] for split, sub in splits.items()}
    for split, paths in files.items():
        if not paths:
            raise ValueError(f"{splits[split]}: no images ({', '.join(sorted(SUFFIXES))}) in it")
    labels = {split: _classes(splits[split], paths) for split, paths in files.items()}
    bare = [split for split, names in labels.items() if not names]
    if bare and len(bare) < len(splits):
        raise ValueError(f"{splits[bare[0]]}: no class folders, but there are in the other splits")
    flat = [file for paths in files.values() for file in paths]

    def build(folder: Path) -> Contents:
        write_images(folder, flat, size)
        rows = consecutive({split: len(paths) for split, paths in files.items()})
        names = {}
        if not bare:
            every = np.array([name for names in labels.values() for name in names])
            unique, codes = np.unique(every, return_inverse=True)
            np.save(folder / "label.npy", codes.astype(np.int64))
            names["label"] = tuple(map(str, unique))
        return Contents(complete_splits(str(path), rows), names=names)

    return cached(path.name or "folder", f"{file_stamp(flat)} {size}", build)


def write_images(folder: Path, paths: Sequence[Path], size: int | None) -> None:
    """Decode image files into `folder`/image.npy, uint8 (N, C, H, W), in order.

    The first file sets the shape and the mode. Raises ValueError as `load_folder` does.
    """
    if size is not None and size < 1:
        raise ValueError(f"data.size must be at least 1, got {size}")
    shape = read_image(paths[0], size).shape

    def chunks() -> Iterator[Array]:
        with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
            for start in range(0, len(paths), CHUNK):
                chunk = paths[start : start + CHUNK]
                images = list(pool.map(partial(read_image, size=size), chunk))
                for path, image in zip(chunk, images, strict=True):
                    if image.shape != shape:
                        raise ValueError(
                            f"{path}: shape {image.shape}, but {paths[0]} has {shape}; give "
                            f"data.size to crop and scale all to one, and convert grey or RGB to "
                            f"the other"
                        )
                yield np.stack(images)

    write_rows(folder / "image.npy", np.dtype(np.uint8), (len(paths), *shape), chunks())


def read_image(path: Path, size: int | None) -> Array:
    """One image file as uint8 (C, H, W); with `size`, its middle square scaled to that side.

    Raises ValueError, which names the file, if it is damaged, cut short, or not 8-bit grey or RGB.
    """
    try:
        with Image.open(path) as image:
            # Pillow opens 16-bit RGB files as RGB and drops half the bits without a warning.
            deep = any(";16" in str(tile) for tile in image.tile)
            mode = f"{image.mode} of 16 bits" if deep else image.mode
            upright = ImageOps.exif_transpose(image)
            if size is not None:
                left, top, side = middle_square(*upright.size)
                box = (left, top, left + side, top + side)
                upright = upright.resize((size, size), Image.Resampling.BOX, box=box)
            pixels = np.asarray(upright)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # Pillow's decoders raise errors of every kind
        raise ValueError(f"{path}: damaged or cut short: {error}") from error
    if mode not in ("L", "RGB"):
        raise ValueError(
            f"{path}: only 8-bit grey (L) and RGB images can be used, this is {mode}; convert it"
        )
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def middle_square(width: int, height: int) -> tuple[int, int, int]:
    """The left and top edge and the side of the middle square of an image, in pixels."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side


def visible_files(folder: Path) -> list[Path]:
    """The files below a folder, sorted, but for hidden ones and those in hidden folders."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def is_image(path: Path) -> bool:
    """Whether a file is an image, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def _classes(folder: Path, paths: Sequence[Path]) -> list[str]:
    """The class folder of every image, or an empty list if no image is in one."""
    parts = [path.relative_to(folder).parts for path in paths]
    if all(len(p) == 1 for p in parts):
        return []
    for path, p in zip(paths, parts, strict=True):
        if len(p) == 1:
            raise ValueError(f"{path}: lies beside the class folders instead of in one")
    return [p[0] for p in parts]
