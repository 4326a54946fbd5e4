"""Representations that nothing was trained for: pixels, principal components, labels."""

import numpy as np

from repr_toolkit.data import ImageData
from repr_toolkit.data.images import intensities
from repr_toolkit.representations.representation import H, Representation
from repr_toolkit.support.console import bar
from repr_toolkit.support.speech import either

MOST_FITTED = 20_000  # images that PCA is fitted on
CHUNK = 1024  # images


def pixels(data: ImageData) -> Representation:
    """All intensities, in [0, 1]; d = C·H·W."""
    h = {split: _rows(data, split, range(len(data.splits[split]))) for split in data.splits}
    return Representation("pixels", "pixels", data.fingerprint, data.levels, h)


def pca(data: ImageData, components: int, *, progress: bool = False) -> Representation:
    """The first principal components of the pixels, fitted on the training images alone.

    On 20,000 of them, spread evenly, where there are more. Raises ValueError for more components
    than the images or their sub-pixels allow.
    """
    from sklearn.decomposition import PCA

    count = len(data.splits["train"])
    chosen = np.linspace(0, count - 1, min(count, MOST_FITTED)).round().astype(np.int64)
    fitted = _rows(data, "train", chosen.tolist())
    if not 1 <= components <= min(fitted.shape):
        raise ValueError(
            f"pca has 1 to {min(fitted.shape)} components on {data.name}, not {components}; set "
            f"{either('--components', 'components')}"
        )
    machine = PCA(components, random_state=0).fit(fitted)
    h = {}
    for key, split in data.splits.items():
        h[key] = np.empty((len(split), components), np.float32)
        with bar("h of pca", len(split), shown=progress) as show:
            for start in range(0, len(split), CHUNK):
                part = range(start, min(start + CHUNK, len(split)))
                h[key][part.start : part.stop] = machine.transform(_rows(data, key, part))
                show(part.stop)
    made_by = (
        f"PCA of {components} components, fitted on {len(chosen)} training images of "
        f"{data.fingerprint[:12]} at {data.levels} levels"
    )
    return Representation(f"pca{components}", made_by, data.fingerprint, data.levels, h)


def labels(data: ImageData) -> Representation:
    """The one-hot vector of each image's label; ValueError for data without labels."""
    if "label" not in data.arrays:
        raise ValueError(
            f"{data.name} has no 'label' to make one-hots of, only {', '.join(data.arrays)}"
        )
    codes = {key: split.column("label").numpy() for key, split in data.splits.items()}
    classes = 1 + max(int(values.max()) for values in codes.values())
    one_hot = np.eye(classes, dtype=np.float32)
    h = {key: one_hot[values] for key, values in codes.items()}
    return Representation(
        "labels", f"one-hot of {classes} labels", data.fingerprint, data.levels, h
    )


def _rows(data: ImageData, split: str, indices: "range | list[int]") -> H:
    """Images of a split as rows of intensities in [0, 1], float32 (n, C·H·W)."""
    rows = np.empty((len(indices), int(np.prod(data.image_shape))), np.float32)
    for start in range(0, len(indices), CHUNK):
        images = data.splits[split][indices[start : start + CHUNK]]["image"]
        rows[start : start + CHUNK] = intensities(images.flatten(1), data.levels)
    return rows
