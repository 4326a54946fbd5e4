"""A classifier of real images, which judges what generated ones show."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from repr_toolkit.analyses.classification.pixel_classifiers import (
    PixelClassifier,
    fit_small_network,
)
from repr_toolkit.data import ImageData
from repr_toolkit.data.images import find_column
from repr_toolkit.support.choose import choose_evenly
from repr_toolkit.support.stats import Groups, Number, share

JUDGE_IMAGES = 20_000  # that a judge is trained on

SHARED = "no interval: the shares are not independent, the same draws stand in many"
"""Why `read_in` gives chance no interval."""


def train_judge(
    data: ImageData, key: str, split: str = "test", *, seed: int = 0
) -> tuple[PixelClassifier, dict[str, Any]]:
    """The judge of a key of the batches: int64, bool or whole numbers, one code an image.

    KEY[i] is the column i of a key that has several codes an image (see `ImageSplit.column`).
    Trained on at most `JUDGE_IMAGES` training images, spread evenly, by `fit_small_network`; scored
    on all images of `split`, in which codes that the training images lack count as errors.

    Beside it stands what is to be known of it: the `accuracy` on the split's real images, which is
    the ceiling of agreement with the truth, and by `chance`, the share of their most frequent code.

    Raises ValueError where `obstacle` says something, or for a split that the data lacks.
    """
    held_out = data.split(split)
    require_judgeable(data, key, split)
    train = data.splits["train"]
    chosen = choose_evenly(len(train), JUDGE_IMAGES)
    codes = train.column(key)[chosen].numpy().astype(np.int64)
    network = fit_small_network(train[chosen]["image"], codes, data.levels, seed=seed)
    truth = held_out.column(key).numpy().astype(np.int64)
    starts = range(0, len(held_out), 1024)
    judged = [network.classify(held_out[start : start + 1024]["image"]) for start in starts]
    facts = {
        "key": key,
        "classes": len(network.classes),
        "accuracy": share(np.concatenate(judged) == truth, held_out.groups()),
        "chance": float(np.unique(truth, return_counts=True)[1].max() / len(truth)),
        "split": split,
        "test_images": len(truth),
        "train_images": len(codes),
    }
    return network, facts


def read_in(
    judge: PixelClassifier, drawn: Tensor, codes: NDArray[np.int64], groups: Groups | None = None
) -> dict[str, Number]:
    """How often a judge names the codes (N,) of images in what was drawn from them.

    `own` in an image's own draws, uint8 (N, n, C, H, W), and `chance` in those of the N−1 others.
    The interval of `own` treats the draws of an image, and the images of a group, as the cluster
    that they are; `chance` has none, since an image's draws stand in the shares of all others.
    Raises ValueError for fewer than two images.
    """
    count, draws = drawn.shape[:2]
    if count < 2:
        raise ValueError("chance is what other images' draws say: it needs two images at least")
    read = judge.classify(drawn.flatten(0, 1)).reshape(count, draws)
    own = (read == codes[:, None]).mean(1)
    known, counts = np.unique(read, return_counts=True)
    named = ((codes[:, None] == known) * counts).sum(1) / draws
    others = (named - own) / (count - 1)
    return {
        "own": share(own, groups, each=draws),
        "chance": Number(float(others.mean()), how=SHARED),
    }


def require_judgeable(data: ImageData, key: str, split: str) -> None:
    """Raise ValueError where `obstacle` says something."""
    if (reason := obstacle(data, key, split)) is not None:
        raise ValueError(f"{key!r} cannot be judged by: {reason}")


def obstacle(data: ImageData, key: str, split: str = "test") -> str | None:
    """Why no judge of a key can be trained on the data, or None if one can.

    A code of a held-out image that no training image has, as of identities that were split by
    person, leaves a classifier without a right answer: where that is so of most of the split, there
    is no judging.
    """
    try:
        if find_column(data.arrays, key) is None:
            return f"{data.name} has no such key; it has {', '.join(data.arrays)}"
    except ValueError as error:
        return str(error)
    train, held_out = (data.split(name).column(key).numpy() for name in ("train", split))
    if train.ndim != 1 or not _whole(train):
        several = train.ndim == 2 and _whole(train)
        which = f"; name one of its columns, such as {key}[0]" if several else ""
        return f"it is not one whole number an image{which}"
    if len(np.unique(train)) < 2:
        return "all training images have the same"
    if np.isin(held_out, train).mean() < 0.5:
        return f"most {split} images have one that no training image has"
    return None


def judged_by(data: ImageData, split: str = "test") -> str | None:
    """The first of the label and the identity that can be judged by, or None."""
    keys = ("label", "identity")
    return next((key for key in keys if obstacle(data, key, split) is None), None)


def _whole(values: NDArray[Any]) -> bool:
    return values.dtype.kind != "f" or bool((values == np.rint(values)).all())
