"""What a learnt representation of faces has to beat: the pixels, and a linear method on them."""

from collections.abc import Callable

import numpy as np

from repr_toolkit.data import ImageData
from repr_toolkit.data.identity_batches import identity_key
from repr_toolkit.data.images import intensities
from repr_toolkit.models.pairs import Codes, Floats
from repr_toolkit.models.verification import Verification, verify

MOST_IMAGES = 10_000  # about, that the methods are fitted to
MOST_COMPONENTS = 300
PIXELS, WHITENED = "raw pixels", "class-whitened PCA"


def baselines(data: ImageData, split: str, *, seed: int = 0) -> dict[str, Verification]:
    """Verification on a split by pixels and by class-whitened PCA, fitted on the training people.

    The mean training image is subtracted from pixels, without which all cosines are near 1. The
    second method is left out where the training people have too few images for it.
    """
    people = data.splits[split].column(identity_key(data)).numpy()
    fitted, fitted_people = training_pixels(data)
    images = pixels(data, split, range(len(people)))
    methods = {PIXELS: verify(images - fitted.mean(0), people, seed=seed)}
    transform = class_whitened_pca(fitted, fitted_people)
    if transform is not None:
        methods[WHITENED] = verify(transform(images), people, seed=seed)
    return methods


def class_whitened_pca(fitted: Floats, people: Codes) -> Callable[[Floats], Floats] | None:
    """A map of images (N, D) to components that are scaled by how much one person varies in them.

    It takes the first principal components of the images `fitted` (M, D), then a linear map after
    which the covariance within `people` (M,) is the identity. So differences between one person's
    images count little, and what tells people apart counts much. There are at most 300 components,
    and one for every four degrees of freedom of that covariance (images less people), which makes
    it known well enough. None where the degrees of freedom do not suffice for one.
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
    varying = variances > variances[-1] * 1e-10

    def transform(images: Floats) -> Floats:
        components: Floats = pca.transform(images) @ axes[:, varying] / np.sqrt(variances[varying])
        return components

    return transform


def pixels(data: ImageData, split: str, indices: "range | Codes") -> Floats:
    """Images of a split as rows of intensities in [0, 1], float32 (n, C·H·W)."""
    images = data.splits[split][list(map(int, indices))]["image"]
    return intensities(images.flatten(1), data.levels)


def training_pixels(data: ImageData) -> tuple[Floats, Codes]:
    """Training images and their people; with more than `MOST_IMAGES`, those of people drawn."""
    people = data.splits["train"].column(identity_key(data)).numpy()
    codes, members, counts = np.unique(people, return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(codes))
    enough = 1 + int(np.searchsorted(np.cumsum(counts[order]), MOST_IMAGES))
    chosen = np.flatnonzero(np.isin(members, order[:enough]))
    return pixels(data, "train", chosen), people[chosen]
