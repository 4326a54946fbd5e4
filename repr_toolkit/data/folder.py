"""Folders of image files, decoded once into the cache."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from repr_toolkit.data.cache import Contents, cached, file_stamp, write_rows
from repr_toolkit.data.images import Array, ImageData
from repr_toolkit.data.splits import complete_splits

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val"} | {
    "test": "test"
}
CHUNK = 256


def load_folder(path: Path, size: int | None = None) -> ImageData:
    """The images in a folder, with sub-folders as classes and as splits where there are any.

    Images are the files with the usual suffixes at any depth, hidden ones aside, in the order of
    their paths; all grey or all RGB, 8 bits, turned upright where a camera says so. If there is a
    folder ``train``, then ``train``, ``val`` (or ``valid``, ``validation``) and ``test`` are the
    splits; missing splits are cut as in :func:`~repr_toolkit.data.splits.complete_splits`. Within
    the folder, or each split's, the sub-folders' names in alphabetical order are the labels.

    With ``size`` every image's middle square is scaled to (size, size) by a box filter; without it
    all images must have one shape.

    Raises ValueError naming the file where an image is damaged, cut short, of another mode or
    shape, or beside class folders instead of in one.
    """
    folders = [sub for sub in sorted(path.iterdir()) if sub.is_dir() and sub.name[0] != "."]
    splits = {"train": path}
    if any(sub.name == "train" for sub in folders):
        splits = {}
        for sub in folders:
            split = SPLIT_FOLDERS.get(sub.name)
            if split is None or split in splits:
                what = "is no split" if split is None else f"is a second {split} split"
                raise ValueError(
                    f"{sub} {what}: beside `train` there may be one of val, valid and "
                    f"validation, and test; move it elsewhere"
                )
            splits[split] = sub
    files = {split: _image_files(sub) for split, sub in splits.items()}
    for split, paths in files.items():
        if not paths:
            raise ValueError(f"{splits[split]}: no images ({', '.join(sorted(SUFFIXES))}) in it")
    labels = {split: _classes(splits[split], paths) for split, paths in files.items()}
    with_classes = {split for split, names in labels.items() if names}
    if with_classes and with_classes != set(splits):
        odd = (set(splits) - with_classes).pop()
        raise ValueError(f"{splits[odd]}: no class folders, but there are in the other splits")
    flat = [file for paths in files.values() for file in paths]

    def build(folder: Path) -> Contents:
        shape, images = read_images(flat, size)
        write_rows(folder / "image.npy", np.dtype(np.uint8), (len(flat), *shape), images)
        names = {}
        if with_classes:
            every = np.array([name for names in labels.values() for name in names])
            unique, codes = np.unique(every, return_inverse=True)
            np.save(folder / "label.npy", codes.astype(np.int64))
            names["label"] = tuple(map(str, unique))
        rows, start = {}, 0
        for split, paths in files.items():
            rows[split] = np.arange(start, start + len(paths))
            start += len(paths)
        return Contents(complete_splits(str(path), rows), names=names)

    return cached(path.name or "folder", f"{file_stamp(flat)} {size}", build)


def read_images(
    paths: Sequence[Path], size: int | None
) -> tuple[tuple[int, int, int], Iterator[Array]]:
    """The (C, H, W) of these image files, and all of them as uint8 (n, C, H, W) chunks in order.

    The first file sets the shape and the mode. Raises ValueError as :func:`load_folder` says.
    """
    if size is not None and size < 1:
        raise ValueError(f"data.size must be at least 1, got {size}")
    shape = read_image(paths[0], size).shape
    return (shape[0], shape[1], shape[2]), _chunks(paths, size, paths[0], shape)


def read_image(path: Path, size: int | None) -> Array:
    """One image file as uint8 (C, H, W); its middle square scaled to ``size`` where given.

    Raises ValueError naming the file where it is damaged, cut short, or not 8-bit grey or RGB.
    """
    try:
        with Image.open(path) as image:
            # Pillow opens 16-bit RGB files as RGB, dropping half the bits without a word.
            deep = any(";16" in str(tile) for tile in image.tile)
            mode = f"{image.mode} of 16 bits" if deep else image.mode
            upright = ImageOps.exif_transpose(image)
            pixels = np.asarray(upright if size is None else _middle_square(upright, size))
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
    """Where ``size`` crops an image: the square's left and top edge and its side, in pixels."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side


def _middle_square(image: Image.Image, size: int) -> Image.Image:
    left, top, side = middle_square(*image.size)
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BOX, box=box)


def _chunks(
    paths: Sequence[Path], size: int | None, first: Path, shape: tuple[int, ...]
) -> Iterator[Array]:
    remaining = iter(paths)
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        while chunk := list(islice(remaining, CHUNK)):
            images = list(pool.map(partial(read_image, size=size), chunk))
            for path, image in zip(chunk, images, strict=True):
                if image.shape != shape:
                    raise ValueError(
                        f"{path}: shape {image.shape}, but {first} has {shape}; give data.size "
                        f"to crop and scale all to one, and convert grey or RGB to the other"
                    )
            yield np.stack(images)


def _image_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _classes(folder: Path, paths: Sequence[Path]) -> list[str]:
    """The class folder of every image, or an empty list where no image is in one."""
    parts = [path.relative_to(folder).parts for path in paths]
    if all(len(p) == 1 for p in parts):
        return []
    for path, p in zip(paths, parts, strict=True):
        if len(p) == 1:
            raise ValueError(f"{path}: lies beside the class folders instead of in one")
    return [p[0] for p in parts]
