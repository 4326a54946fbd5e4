"""Finding the data that a name means."""

import difflib
import inspect
import os
import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from repr_toolkit.data.folder import load_folder
from repr_toolkit.data.folds import choose_fold
from repr_toolkit.data.from_torchvision import TORCHVISION, load_torchvision
from repr_toolkit.data.images import ImageData
from repr_toolkit.data.npz import load_imagenet, load_npz
from repr_toolkit.data.photos import photos
from repr_toolkit.data.wheels import digits, mnist5k, orl_faces

# What the files named in the recipes are, for those who do not have them.
KNOWN_FILES = {
    "tinyimagenet32_20cls.npz": "20 classes of Tiny-ImageNet-200 "
    "(http://cs231n.stanford.edu/tiny-imagenet-200.zip) reduced to 32×32 by a box filter: "
    "train_image uint8 (10000, 3, 32, 32), train_label, test_image (1000, …), test_label, name",
    "lfw_faces_32.npz": "Labeled Faces in the Wild, deep-funneled "
    "(http://vis-www.cs.umass.edu/lfw/), pixels [69:181] of both sides reduced to 32×32 by a box "
    "filter: image uint8 (11826, 3, 32, 32), identity, split by identity, and FaceNet's "
    "embedding float32 (11826, 512) and landmarks",
    "imagenet32": "the official 32×32 batches, train_data_batch_1.npz … and val_data.npz, "
    "unzipped into a folder of this name (https://image-net.org/download-images.php)",
    "imagenet64": "the official 64×64 batches, train_data_batch_1.npz … and val_data.npz, "
    "unzipped into a folder of this name (https://image-net.org/download-images.php)",
}


def load_data(
    source: str,
    *,
    root: str | Path | None = None,
    levels: int | None = None,
    size: int | None = None,
    download: bool = False,
    fold: int | None = None,
    folds: int = 4,
) -> ImageData:
    """The data set that ``source`` names.

    - ``digits``, ``mnist5k``, ``orl_faces``, ``photos``: real images inside Python packages;
    - ``MNIST``, ``FashionMNIST``, ``CIFAR10``, ``SVHN``, ``CelebA``, ``LFWPeople`` in any case, as
      torchvision keeps them, fetched where they are missing if ``download``;
    - an .npz file, a folder of the official ImageNet batches, or a folder of images: looked up in
      ``root``, then in ``$REPR_TOOLKIT_DATA``, then as a path of its own;
    - the import path of a function that returns an ImageData, such as ``my_project.data.load``,
      called with those of ``root``, ``size`` and ``download`` that it has parameters for.

    ``levels`` quantises to fewer levels of intensity, ⌊v · levels / own levels⌋. ``size`` is the
    images' side for photos, orl_faces, CelebA, LFWPeople and folders. Each source's splits are
    fixed and described with the function that loads it; with ``fold`` they are cut anew, by person:
    those of fold number 0…``folds``−1 of a cross-validation (`choose_fold`).

    Raises ValueError for an unknown source (naming those there are), for levels the data cannot
    have, a size it cannot take and a fold that it has not, FileNotFoundError for a missing file
    (naming the places looked in and where to get it), and what the loaders say of damaged files.
    """
    data = _load(source, root, size, download)
    if size is not None and data.image_shape[1:] != (size, size):
        raise ValueError(
            f"{source} has images of {data.image_shape[1]}×{data.image_shape[2]} pixels and "
            f"data.size cannot change that; it can for photos, orl_faces, CelebA, LFWPeople and "
            f"folders of images"
        )
    data = data if fold is None else choose_fold(data, fold, folds)
    return data if levels is None else data.quantised(levels)


def _load(source: str, root: str | Path | None, size: int | None, download: bool) -> ImageData:
    if source == "digits":
        return digits()
    if source == "mnist5k":
        return mnist5k()
    if source == "orl_faces":
        return orl_faces(size)
    if source == "photos":
        return photos(size)
    for name in TORCHVISION:
        if source.lower() == name.lower():
            return load_torchvision(name, _roots(root), size, download)
    places = [folder / source for folder in (*_roots(root), Path())]
    for path in places:
        if path.is_dir():
            train = sorted(path.glob("train_data_batch_*.npz"), key=_natural)
            val = path / "val_data.npz"
            if train:
                return load_imagenet(train, val if val.exists() else None)
            return load_folder(path, size)
        if path.is_file():
            if path.suffix != ".npz":
                raise ValueError(f"{path}: a data file must be an .npz file")
            return load_npz(path)
    if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", source) and not source.endswith(".npz"):
        return _from_function(source, root, size, download)
    raise _missing(source, places)


def _roots(root: str | Path | None) -> list[Path]:
    named = [root, os.environ.get("REPR_TOOLKIT_DATA")]
    return [Path(folder).expanduser() for folder in named if folder]


def _natural(path: Path) -> tuple[int, str]:
    digits_ = re.search(r"\d+", path.stem)
    return (int(digits_.group()) if digits_ else 0, path.name)


def _from_function(
    source: str, root: str | Path | None, size: int | None, download: bool
) -> ImageData:
    module_name, _, name = source.rpartition(".")
    try:
        found = find_spec(module_name) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise ValueError(
            f"data.source {source!r} is neither a file or folder nor importable: there is no "
            f"module {module_name!r} here"
        )
    function: Callable[..., object] | None = getattr(import_module(module_name), name, None)
    if not callable(function):
        raise ValueError(f"data.source {source!r}: {module_name} has no function {name!r}")
    offered = {"root": root, "size": size, "download": download}
    accepted = inspect.signature(function).parameters
    data = function(**{key: value for key, value in offered.items() if key in accepted})
    if not isinstance(data, ImageData):
        raise TypeError(f"{source} must return an ImageData, got {type(data).__name__}")
    return data


def _missing(source: str, places: list[Path]) -> Exception:
    looked = ", ".join(str(place.absolute()) for place in places)
    where = "set --data.root or $REPR_TOOLKIT_DATA to the folder it is in"
    if Path(source).name in KNOWN_FILES:
        about = KNOWN_FILES[Path(source).name]
        return FileNotFoundError(f"{source} is not at {looked}; {where}. It is {about}")
    if source.endswith(".npz") or len(Path(source).parts) > 1:
        return FileNotFoundError(f"{source} is not at {looked}; {where}")
    known = ["digits", "mnist5k", "orl_faces", "photos", *TORCHVISION, *KNOWN_FILES]
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(source.lower(), lower, n=1)
    hint = f"; did you mean {lower[close[0]]}?" if close else "."
    return ValueError(
        f"unknown data.source {source!r}{hint} There are {', '.join(known)}, .npz files, folders "
        f"of images and import paths of functions. Looked for a file or folder at {looked}"
    )
