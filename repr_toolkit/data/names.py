"""What a text names that says which data: nothing is loaded for it, and nothing imported."""

import difflib
import os
import re
from pathlib import Path

from repr_toolkit.support.files import exists
from repr_toolkit.support.importing import is_here
from repr_toolkit.support.speech import either

PACKAGED = ("digits", "mnist5k", "orl_faces", "photos")
"""The images in Python packages."""
TORCHVISION = ("MNIST", "FashionMNIST", "CIFAR10", "SVHN", "CelebA", "LFWPeople")
"""Those of torchvision."""

# What the files that recipes name are, and where to get them.
KNOWN_FILES = {
    "tinyimagenet32_20cls.npz": "20 classes of Tiny-ImageNet-200 "
    "(http://cs231n.stanford.edu/tiny-imagenet-200.zip) reduced to 32×32 by a box filter: "
    "train_image uint8 (10000, 3, 32, 32), train_label, test_image (1000, …), test_label, name",
    "lfw_faces_32.npz": "Labeled Faces in the Wild, deep-funneled "
    "(http://vis-www.cs.umass.edu/lfw/), pixels [69:181] of both sides reduced to 32×32 by a box "
    "filter: image uint8 (11826, 3, 32, 32), identity, split by identity, and FaceNet's "
    "embedding float32 (11826, 512) and landmarks",
} | {
    f"imagenet{side}": f"the official {side}×{side} batches, train_data_batch_1.npz … and "
    "val_data.npz, unzipped into a folder of this name (https://image-net.org/download-images.php)"
    for side in (32, 64)
}


def find(source: str, root: str | Path | None, place: str | Path | None = None) -> Path | None:
    """The file or folder that a source means; None for another name, or where there is none."""
    if is_name(source):
        return None
    return stored_at([folder / source for folder in folders(root, place)])


def folders(root: str | Path | None, place: str | Path | None = None) -> list[Path]:
    """The folders in which a file or folder is looked up, in this order.

    `place`, of a recipe's file or of a run's data, comes before the current folder, so that a
    source means the same from anywhere.
    """
    return [*data_folders(root), *([Path(place)] if place else []), Path()]


def is_name(source: str) -> bool:
    """Whether a source is the name of a data set, in whatever folder it lies."""
    return source in PACKAGED or source.lower() in map(str.lower, TORCHVISION)


def require_known(source: str, root: str | Path | None, place: str | None = None) -> None:
    """Raise as `repr_toolkit.data.load_data` does for a source that is nothing at all."""
    if is_name(source) or find(source, root, place):
        return
    if not is_import_path(source):
        raise unknown_source(source, root, place)
    if not is_here(source):
        raise nowhere(source)


def stored_at(places: list[Path]) -> Path | None:
    """The first of some places where there is a folder or a file, not a device or a pipe."""
    there = filter(exists, places)
    return next((path for path in there if path.is_dir() or path.is_file()), None)


def image_folder(source: str, root: str | Path | None) -> Path | None:
    """The folder of image files that `load_data` reads for a source; None for other sources."""
    path = find(source, root)
    images = path is not None and path.is_dir() and not any(path.glob("train_data_batch_*.npz"))
    return path if images else None


def is_import_path(source: str) -> bool:
    """Whether a source has the form of an import path."""
    return bool(re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", source)) and source[-4:] != ".npz"


def data_folders(root: str | Path | None) -> list[Path]:
    """The folders of data: `root`, and `$REPR_TOOLKIT_DATA`."""
    folders = (root, os.environ.get("REPR_TOOLKIT_DATA"))
    return [Path(folder).expanduser() for folder in folders if folder]


def nowhere(source: str) -> ValueError:
    """The error of an import path whose module is nowhere."""
    return ValueError(
        f"data.source {source!r} is neither a file or folder nor importable: there is no module "
        f"{source.rpartition('.')[0]!r} here"
    )


def unknown_source(
    source: str, root: str | Path | None, place: str | Path | None = None
) -> Exception:
    """The error of a source that is in none of the `folders`, and names nothing else."""
    places = [str((folder / source).absolute()) for folder in folders(root, place)]
    looked = ", ".join(dict.fromkeys(places))
    option = either("--data.root", "root")
    where = f"{source} is not at {looked}; set {option} or $REPR_TOOLKIT_DATA to its folder"
    if Path(source).name in KNOWN_FILES:
        return FileNotFoundError(f"{where}. It is {KNOWN_FILES[Path(source).name]}")
    if source.endswith(".npz") or len(Path(source).parts) > 1:
        return FileNotFoundError(where)
    known = [*PACKAGED, *TORCHVISION, *KNOWN_FILES]
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(source.lower(), lower, n=1)
    hint = f"; did you mean {lower[close[0]]}?" if close else "."
    return ValueError(
        f"unknown data.source {source!r}{hint} There are {', '.join(known)}, .npz files, folders "
        f"of images and import paths of functions. Looked for a file or folder at {looked}"
    )
