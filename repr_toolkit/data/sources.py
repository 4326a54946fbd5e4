"""Finding the data that a name means."""

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from repr_toolkit.data.arrays import Arrays, saved
from repr_toolkit.data.binarise import BinariseKind
from repr_toolkit.data.folder import load_folder
from repr_toolkit.data.folds import choose_fold
from repr_toolkit.data.from_torchvision import FILES, load_torchvision
from repr_toolkit.data.images import ImageData
from repr_toolkit.data.names import (
    PACKAGED,
    TORCHVISION,
    data_folders,
    find,
    folders,
    is_import_path,
    is_name,
    nowhere,
    stored_at,
    unknown_source,
)
from repr_toolkit.data.npz import load_imagenet, load_npz
from repr_toolkit.data.photos import photos
from repr_toolkit.data.picture_files import Mode
from repr_toolkit.data.wheels import digits, mnist5k, orl_faces
from repr_toolkit.support.importing import find_module

MAKERS = {make.__name__: make for make in (digits, mnist5k, orl_faces, photos)}


def load_data(
    source: str | Path | ImageData | Arrays,
    *,
    root: str | Path | None = None,
    levels: int | None = None,
    size: int | None = None,
    mode: Mode | None = None,
    download: bool = False,
    fold: int | None = None,
    folds: int = 4,
    inner: int | None = None,
    binarise: BinariseKind | None = None,
    place: str | Path | None = None,
) -> ImageData:
    """The data set that `source` names.

    - `digits`, `mnist5k`, `orl_faces`, `photos`: real images inside Python packages;
    - `MNIST`, `FashionMNIST`, `CIFAR10`, `SVHN`, `CelebA`, `LFWPeople` in upper or lower case, as
      torchvision stores them; `download` fetches a missing one;
    - an .npz file, a folder of the official ImageNet batches, or a folder of images: looked up in
      `root`, then in `$REPR_TOOLKIT_DATA`, then in `place`, the folder of a recipe's file, or the
      one in which a run found them (see `place_of`), then relative to the current folder;
    - arrays, tensors or a torch data set, alone or as (images, labels), or by the names of splits
      or of a data file's keys (see `arrays.named`); embeddings too, without images; they are kept
      in the cache as those of an .npz file are;
    - the import path of a function that returns an ImageData, such as `my_project.faces.load`,
      called with those of `root`, `size`, `mode` and `download` that it has parameters for.

    `levels` quantises to fewer levels of intensity, ⌊v · levels / stored levels⌋. `size` is the
    side of the images for photos, orl_faces, CelebA, LFWPeople and folders. `mode`, "RGB" or
    "grey", converts the images of folders (see `picture_files.to_mode`). The function that loads a
    source describes its splits. `fold`, 0…`folds`−1, replaces them by those of a fold of a
    cross-validation by person, and `inner` by those of a fold within it (see `choose_fold`).
    `binarise` makes two levels of all, by "threshold", "fixed" or "dynamic" sampling (see
    `ImageData.binarised`).

    Raises ValueError for an unknown source (with the known ones), for levels that the data cannot
    have, or that `binarise` does not make, a size or mode that the source cannot take, a fold that
    does not exist and an `inner` without a `fold`; FileNotFoundError for a missing file (with the
    places looked in and where to get it); and what the loaders raise for damaged files.

    >>> data = load_data("digits", levels=4)
    >>> data
    ImageData('digits', (1, 8, 8), levels=4: 1437 train, 180 val, 180 test)
    >>> batch = data.splits["test"][range(3)]
    >>> batch["image"].shape, batch["label"]
    (torch.Size([3, 1, 8, 8]), tensor([2, 0, 8]))
    """
    if binarise is not None and levels not in (None, 2):
        raise ValueError(f"data.binarise makes two levels, and data.levels asks for {levels}")
    if inner is not None and fold is None:
        raise ValueError(
            f"data.inner {inner} is of the people whom a data.fold does not test: set it"
        )
    if isinstance(source, ImageData):
        data = source
    elif isinstance(source, str | Path):
        data = _load(str(source), root, size, mode, download, place)
    else:
        data, source = load_arrays(source), "arrays"
    if size is not None and data.image_shape[1:] != (size, size):
        raise ValueError(
            f"{source} has images of {data.image_shape[1]}×{data.image_shape[2]} pixels and "
            f"data.size cannot change that; it can for photos, orl_faces, CelebA, LFWPeople and "
            f"folders of images"
        )
    if mode is not None and data.image_shape[0] != (1 if mode == "grey" else 3):
        raise ValueError(
            f"{source} has images of {data.image_shape[0]} channels and data.mode cannot change "
            f"that; it can for folders of images"
        )
    data = data if fold is None else choose_fold(data, fold, folds, inner)
    if binarise is not None:
        return data.binarised(binarise)
    return data if levels is None else data.quantised(levels)


def load_arrays(source: Arrays) -> ImageData:
    """The data set of arrays in memory, as that of an .npz file that holds them.

    Raises ValueError and TypeError as `saved` and `load_npz` do.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "arrays.npz"
        saved(source, file)
        try:
            data = load_npz(file)
        except (ValueError, TypeError) as error:
            raise type(error)(str(error).replace(f"{file}", "the arrays")) from error
    data.name = "arrays"
    return data


def _load(
    source: str,
    root: str | Path | None,
    size: int | None,
    mode: Mode | None,
    download: bool,
    place: str | Path | None,
) -> ImageData:
    moved = root and place and not Path(root).expanduser().exists()
    options = {"root": place if moved else root, "size": size, "mode": mode, "download": download}
    if source in PACKAGED:
        return _call(source, MAKERS[source], options)
    for name in TORCHVISION:
        if source.lower() == name.lower():
            return load_torchvision(name, data_folders(root), size, download, place)
    path = find(source, root, place)
    if path is not None:
        if path.is_dir():
            train = sorted(path.glob("train_data_batch_*.npz"), key=_natural)
            val = path / "val_data.npz"
            if train:
                return load_imagenet(train, val if val.exists() else None)
            return load_folder(path, size, mode)
        if path.suffix != ".npz":
            raise ValueError(f"{path}: a data file must be an .npz file")
        return load_npz(path)
    if is_import_path(source):
        return _call(source, _import(source), options)
    raise unknown_source(source, root, place)


def place_of(source: str, root: str | Path | None, place: str | Path | None = None) -> str | None:
    """The folder, absolute, that `load_data` finds a source in; None for one inside a package.

    A run states it, so that a relative source means the same from anywhere.
    """
    if source in PACKAGED:
        return None
    known = next((name for name in TORCHVISION if source.lower() == name.lower()), None)
    if names_function(source, root, place):
        return str(Path(root).expanduser().absolute()) if root else None
    wanted = [source] if known is None else FILES[known]
    for folder in folders(root, place):
        if all(stored_at([folder / file]) for file in wanted):
            return str(folder.absolute())
    return None


def names_function(source: str, root: str | Path | None, place: str | Path | None = None) -> bool:
    """Whether `load_data` takes a source for the import path of a function."""
    return is_import_path(source) and not is_name(source) and find(source, root, place) is None


def is_loader(path: str) -> bool:
    """Whether an import path leads to a function of this package that returns an ImageData."""
    if not path.startswith("repr_toolkit.data."):
        return False
    try:
        function = _import(path)
    except ValueError:
        return False
    stated = getattr(function, "__annotations__", {}).get("return")
    return str(function.__module__).startswith("repr_toolkit.data.") and stated is ImageData


def _natural(path: Path) -> tuple[int, str]:
    number = re.search(r"\d+", path.stem)
    return (int(number.group()) if number else 0, path.name)


def _import(source: str) -> Callable[..., object]:
    module_name, _, name = source.rpartition(".")
    try:
        module = find_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module lacks one that it imports
        raise nowhere(source) from error
    function: Callable[..., object] | None = getattr(module, name, None)
    if not callable(function):
        raise ValueError(f"data.source {source!r}: {module_name} has no function {name!r}")
    return function


def _call(source: str, function: Callable[..., object], options: Mapping[str, object]) -> ImageData:
    """What a function returns for those of the options that it has parameters for."""
    accepted = inspect.signature(function).parameters
    data = function(**{key: value for key, value in options.items() if key in accepted})
    if not isinstance(data, ImageData):
        raise TypeError(f"{source} must return an ImageData, got {type(data).__name__}")
    return data
