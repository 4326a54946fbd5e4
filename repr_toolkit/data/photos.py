"""Patches of photographs that come inside scikit-image and scikit-learn."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from repr_toolkit.data.cache import Contents, cached
from repr_toolkit.data.images import SPLITS, Array, ImageData
from repr_toolkit.data.splits import consecutive
from repr_toolkit.data.wheels import package_folder

# The colour photographs of scenes, people, animals and things inside the wheels; the other images
# there are text, textures, microscopy, sky surveys or drawings.
PHOTOGRAPHS = {
    "train": (
        ("skimage", "data/astronaut.png"),
        ("skimage", "data/motorcycle_left.png"),
        ("skimage", "data/rocket.jpg"),
        ("sklearn", "datasets/images/china.jpg"),
    ),
    "val": (("sklearn", "datasets/images/flower.jpg"),),
    "test": (
        ("skimage", "data/chelsea.png"),
        ("skimage", "data/coffee.png"),
    ),
}


def photos(size: int | None = None) -> ImageData:
    """Patches, 3×size×size (32 unless given), of seven colour photographs.

    Each photograph is first halved by a box filter, which removes most traces of its JPEG
    compression and puts more content into a patch. Patches then lie on a grid from the top left
    corner: a quarter of their side apart in train (overlapping, as an augmentation), half a side
    apart in val and test. Split by photograph: astronaut, motorcycle, rocket and china are train
    (3,747 patches at size 32), flower is val (228), chelsea and coffee are test (291). The key
    `photograph` says which one a patch is of.

    Raises ValueError if the patches do not fit into every photograph.
    """
    side = 32 if size is None else size
    package_folder("skimage")

    def build(folder: Path) -> Contents:
        patches = {split: list(_patches(split, side)) for split in SPLITS}
        every = [part for parts in patches.values() for part in parts]
        np.save(folder / "image.npy", np.concatenate(every))
        np.save(folder / "photograph.npy", np.repeat(np.arange(len(every)), [*map(len, every)]))
        names = [Path(file).stem for split in SPLITS for _, file in PHOTOGRAPHS[split]]
        rows = consecutive({split: sum(map(len, parts)) for split, parts in patches.items()})
        # As before a patch said which photograph it is of: runs on these images stay valid.
        return Contents(rows, names={"photograph": names}, fingerprinted=("image",))

    key = f"{version('scikit-image')} {version('scikit-learn')} {side} by photograph"
    return cached("photos", key, build)


def _patches(split: str, side: int) -> Iterator[Array]:
    stride = max(1, side // 4 if split == "train" else side // 2)
    for package, file in PHOTOGRAPHS[split]:
        with Image.open(package_folder(package) / file) as image:
            photo = np.asarray(image.convert("RGB").reduce(2)).transpose(2, 0, 1)  # (3, H, W)
        if not 1 <= side <= min(photo.shape[1:]):
            raise ValueError(
                f"photos: patches of data.size {side} do not fit into {Path(file).name}, "
                f"{photo.shape[2]}×{photo.shape[1]} after halving"
            )
        windows = np.lib.stride_tricks.sliding_window_view(photo, (side, side), axis=(1, 2))
        grid = windows[:, ::stride, ::stride].transpose(1, 2, 0, 3, 4)  # (rows, columns, 3, h, w)
        yield grid.reshape(-1, 3, side, side)
