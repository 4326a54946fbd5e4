"""What a learnt representation of faces has to beat: the pixels, and a linear method on them."""

from collections.abc import Callable

import numpy as np

from repr_toolkit.data import ImageData
from repr_toolkit.data.identity_batches import identity_key
from repr_toolkit.models.pairs import Codes, Floats, Verification, verify

MOST_IMAGES = 10_000  # to fit on
MOST_COMPONENTS = 300
PIXELS, WHITENED = "raw pixels", "class-whitened PCA"


def baselines(data: ImageData, split: str, *, seed: int = 0) -> dict[str, Verification]:
    """Verification on a split by pixels and by class-whitened PCA, fitted on the training people.

    Pixels are compared after the training images' mean is subtracted, without which all cosines
    are near 1. The second is left out where the training people have too few images for it.
    """
    people = data.splits[split].column(identity_key(data)).numpy()
    fitted, fitted_people = training_pixels(data)
    images = pixels(data, split, range(len(people)))
    found = {PIXELS: verify(images - fitted.mean(0), people, seed=seed)}
    transform = class_whitened_pca(fitted, fitted_people)
    if transform is not None:
        found[WHITENED] = verify(transform(images), people, seed=seed)
    return found


def class_whitened_pca(fitted: Floats, people: Codes) -> Callable[[Floats], Floats] | None:
    """A map of images (N, D) to components that are scaled by how much one person varies in them.

    Of the images ``fitted`` on, (M, D) of ``people`` (M,): their first principal components, then
    a linear map after which the covariance within people is the identity. What one person's
    images differ in counts little so, what tells people apart counts much. There is a component
    for every four degrees of freedom of that covariance (images less people), so that it is known
    well enough, and at most 300. None where that is not one.
    """
    from sklearn.decomposition import PCA

    codes, members, counts = np.unique(people, return_inverse=True, return_counts=True)
    freedom = len(people) - len(codes)
    count = min(MOST_COMPONENTS, freedom // 4, fitted.shape[1])
    if count < 1:
        return None
    pca = PCA(count, random_state=0).fit(fitted)
    scores = pca.transform(fitted).astype(np.float64)
    means = np.zeros((len(codes), count))
    np.add.at(means, members, scores)
    within = scores - (means / counts[:, None])[members]
    variances, axes = np.linalg.eigh(within.T @ within / freedom)
    kept = variances > variances[-1] * 1e-10

    def transform(images: Floats) -> Floats:
        components: Floats = pca.transform(images) @ axes[:, kept] / np.sqrt(variances[kept])
        return components

    return transform


def pixels(data: ImageData, split: str, indices: "range | Codes") -> Floats:
    """Images of a split as rows of intensities in [0, 1], float32 (n, C·H·W)."""
    images = data.splits[split][list(map(int, indices))]["image"].numpy()
    rows: Floats = images.reshape(len(images), -1).astype(np.float32) / (data.levels - 1)
    return rows


def training_pixels(data: ImageData) -> tuple[Floats, Codes]:
    """Training images and their people: of many, those of people drawn until there are enough."""
    people = data.splits["train"].column(identity_key(data)).numpy()
    codes, members, counts = np.unique(people, return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(codes))
    enough = 1 + int(np.searchsorted(np.cumsum(counts[order]), MOST_IMAGES))
    chosen = np.flatnonzero(np.isin(members, order[:enough]))
    return pixels(data, "train", chosen), people[chosen]
