"""torchvision's data sets by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from repr_toolkit.data.cache import Contents, cached, file_stamp, write_rows
from repr_toolkit.data.folder import write_images
from repr_toolkit.data.images import SPLITS, Array, ImageData
from repr_toolkit.data.picture_files import middle_square, read_headers
from repr_toolkit.data.splits import complete_splits, consecutive
from repr_toolkit.support.caches import cache_folder
from repr_toolkit.support.speech import either

_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")

# What torchvision reads below a root folder; a data set is present if all of it is.
FILES = {
    "MNIST": [f"MNIST/raw/{file}" for file in _IDX],
    "FashionMNIST": [f"FashionMNIST/raw/{file}" for file in _IDX],
    "CIFAR10": [f"cifar-10-batches-py/{file}" for file in _BATCHES],
    "SVHN": ["train_32x32.mat", "test_32x32.mat"],
    "CelebA": [
        "celeba/img_align_celeba",
        "celeba/list_attr_celeba.txt",
        "celeba/identity_CelebA.txt",
        "celeba/list_bbox_celeba.txt",
        "celeba/list_landmarks_align_celeba.txt",
        "celeba/list_eval_partition.txt",
    ],
    "LFWPeople": [
        "lfw-py/lfw_funneled",
        "lfw-py/lfw-funneled.tgz",
        "lfw-py/peopleDevTrain.txt",
        "lfw-py/peopleDevTest.txt",
        "lfw-py/lfw-names.txt",
    ],
}
FACES = ("CelebA", "LFWPeople")


def load_torchvision(
    name: str,
    roots: Sequence[Path],
    size: int | None,
    download: bool,
    place: str | Path | None = None,
) -> ImageData:
    """A data set of torchvision's, read from one of `roots`, the cache's folder, or `place`.

    With `download` a missing one is fetched into the first root, or without roots into the cache's
    folder. Splits: CelebA's official three (162,770, 19,867 and 19,962 images); otherwise the
    official test images are test, and val is a tenth of the training images, drawn with a fixed
    seed: MNIST and FashionMNIST 54,000 train, 6,000 val, 10,000 test; CIFAR10 45,000, 5,000,
    10,000; SVHN 65,931, 7,326, 26,032. LFWPeople has the funneled images of the development sets
    (view 1), which share no person, and val is cut from train by person.

    MNIST, FashionMNIST, CIFAR10 and SVHN have `label`. CelebA (3×218×178) and LFWPeople
    (3×250×250) have `identity`, and `size` scales their middle square. CelebA also has each of its
    40 attributes under its name, such as `Smiling` or `5_o_Clock_Shadow`, int64 (N,) of 0 and 1,
    and `landmarks` float32 (N, 5, 2): x and y of the left eye (in the picture), the right eye, the
    nose, the left and the right corner of the mouth, in pixels of the scaled square, which they may
    exceed.

    Raises FileNotFoundError, which names the folders looked in, if it is missing, and ValueError if
    torchvision calls its files damaged.
    """
    homes = [*roots, cache_folder() / "torchvision"]
    places = [*homes, *([Path(place)] if place else [])]
    present = [home for home in places if all((home / file).exists() for file in FILES[name])]
    home = (present or homes)[0]
    if not present:
        if not download:
            looked = ", ".join(str(place) for place in homes)
            raise FileNotFoundError(
                f"{name} is not at {looked}; add "
                f"{either('--data.download true', 'download=True')} to fetch it into {home}"
            )
        if name == "LFWPeople":
            files = ", ".join(FILES[name])
            raise FileNotFoundError(f"LFWPeople can no longer be fetched: put {files} into {home}")
        home.mkdir(parents=True, exist_ok=True)
        _open(name, home, download=True)

    def build(folder: Path) -> Contents:
        sets = _open(name, home)
        if name in FACES:
            return _faces(name, folder, sets, size)
        return _labelled(name, folder, sets)

    stamp = file_stamp(home / file for file in FILES[name])
    # Part of the cache key; change it when what is stored changes.
    layout = " with attributes and landmarks" if name == "CelebA" else ""
    return cached(name, f"{stamp} {size if name in FACES else ''}{layout}", build)


def _open(name: str, home: Path, *, download: bool = False) -> dict[str, Any]:
    """torchvision's data sets, one for each of its splits."""
    from torchvision import datasets

    options: dict[str, dict[str, object]]
    if name == "CelebA":
        options = {s: {"split": t} for s, t in zip(SPLITS, ("train", "valid", "test"), strict=True)}
    elif name in ("SVHN", "LFWPeople"):
        options = {"train": {"split": "train"}, "test": {"split": "test"}}
    else:
        options = {"train": {"train": True}, "test": {"train": False}}
    kind = getattr(datasets, name)
    try:
        return {s: kind(home, download=download, **option) for s, option in options.items()}
    except RuntimeError as error:
        raise ValueError(f"{name} in {home}: {error}") from error


def _labelled(name: str, folder: Path, sets: Mapping[str, Any]) -> Contents:
    """Write images and labels of MNIST, CIFAR10 or SVHN."""
    images = [_channels_first(part.data) for part in sets.values()]
    labels = [part.labels if hasattr(part, "labels") else part.targets for part in sets.values()]
    count = sum(map(len, images))
    write_rows(folder / "image.npy", np.dtype(np.uint8), (count, *images[0].shape[1:]), images)
    np.save(folder / "label.npy", np.concatenate([np.asarray(part, np.int64) for part in labels]))
    classes = getattr(sets["train"], "classes", [str(digit) for digit in range(10)])
    rows = consecutive({split: len(part) for split, part in sets.items()})
    return Contents(complete_splits(name, rows), names={"label": classes})


def _channels_first(data: Any) -> Array:
    images = np.asarray(data)
    if images.ndim == 3:
        return images[:, None]
    return images.transpose(0, 3, 1, 2) if images.shape[3] == 3 else images


def _faces(name: str, folder: Path, sets: Mapping[str, Any], size: int | None) -> Contents:
    """Decode the images of CelebA or LFWPeople, and write what these say of each."""
    parts = [*sets.values()]
    if name == "CelebA":
        place = Path(parts[0].root, parts[0].base_folder, "img_align_celeba")
        paths = [place / file for part in parts for file in part.filename]
        codes = [part.identity[:, 0] for part in parts]
    else:
        paths = [Path(path) for part in parts for path in part.data]
        codes = [part.targets for part in parts]
    write_images(folder, read_headers(paths), size)
    numbers = np.concatenate([np.asarray(each, np.int64) for each in codes])
    people, identity = np.unique(numbers, return_inverse=True)
    np.save(folder / "identity.npy", identity.astype(np.int64))
    known = {code: name for name, code in getattr(sets["train"], "class_to_idx", {}).items()}
    names = tuple(known.get(number, str(number)) for number in people.tolist())
    rows = consecutive({split: len(part) for split, part in sets.items()})
    if name == "CelebA":
        with Image.open(paths[0]) as first:
            _annotations(folder, sets, size, *first.size)
    # Images and people identify the data, since torchvision checks the sums of all other lists.
    splits, covered = complete_splits(name, rows, (identity, "people")), ("image", "identity")
    return Contents(splits, names={"identity": names}, fingerprinted=covered)


def _annotations(
    folder: Path, sets: Mapping[str, Any], size: int | None, width: int, height: int
) -> None:
    """Write CelebA's attributes and landmarks, for files of this width and height."""
    # The list's first line ends in a space, after which torchvision sees one more, empty name.
    attributes = [attribute for attribute in sets["train"].attr_names if attribute]
    values = np.concatenate([np.asarray(part.attr, np.int64) for part in sets.values()])
    for attribute, column in zip(attributes, values.T, strict=True):
        np.save(folder / f"{attribute}.npy", np.ascontiguousarray(column))
    points = np.concatenate([np.asarray(p.landmarks_align, np.float64) for p in sets.values()])
    points = points.reshape(-1, 5, 2)
    if size is not None:
        left, top, side = middle_square(width, height)
        points = (points - (left, top)) * (size / side)
    np.save(folder / "landmarks.npy", points.astype(np.float32))
