"""Whether drawn images are nearer to training images than to as many images of other people.

A distance alone does not tell a copy: a training image that is shifted by two pixels is farther
from itself than many a real photograph is from it. So images are compared at several shifts, and
the distance to the training set is held against that to images of people that nobody was trained
on, equally many, since the nearest of more images is nearer.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repr_toolkit.support.stats import Number, mean

Floats = NDArray[np.floating]
Codes = NDArray[np.int64]

SHIFT = 2  # pixels each way


@dataclass(frozen=True)
class Nearness:
    """Mean distances of images to the nearest of two equally large sets, paired by person.

    Attributes:
        training: To the nearest of `images` training images, the mean over disjoint sets of them.
        others: To the nearest of `images` images of other people.
        nearer: By how much nearer the training images are, over people.
        images: The number of images in a set.
    """

    training: float
    others: float
    nearer: Number
    images: int


def nearness(
    faces: Tensor, person: Codes, training: Tensor, others: Tensor, whose: Codes, levels: int = 256
) -> Nearness:
    """Hold distances of faces to training images against those to other people's images.

    Images are uint8 (·, C, H, W). `person` are the faces' people, (N,), and `whose` those of the
    other images, by the same codes: a face is not compared with images of its own person, and with
    as many fewer of the training images. Distances are those of `shifted_distances`.
    """
    count = min(len(others), len(training))
    chosen = np.linspace(0, len(others) - 1, count).round().astype(np.int64)
    of_others, whose = others[chosen], whose[chosen]
    own = person[:, None] == whose  # (N, count)
    fewer = own.sum(1)
    distance = shifted_distances(faces, of_others, levels)
    to_others = np.where(own, np.inf, distance).min(1)
    order = np.random.default_rng(0).permutation(len(training))
    sets = order[: len(order) // count * count].reshape(-1, count)
    left_out = np.arange(count) >= count - fewer[:, None]
    to_training = np.mean(
        [
            np.where(left_out, np.inf, shifted_distances(faces, training[part], levels)).min(1)
            for part in sets.tolist()
        ],
        axis=0,
    )
    nearer = mean(to_others - to_training, (person, "people"), "faces")
    return Nearness(float(to_training.mean()), float(to_others.mean()), nearer, count)


def shifted_distances(images: Tensor, others: Tensor, levels: int = 256) -> Floats:
    """The distance of each image to each other one at the best of all shifts, float32 (N, M).

    Root mean squares of intensities in [0, 1], over the middle of the image, without `SHIFT` pixels
    on each side (of small images less); the other one is shifted by up to as many, each way.
    """
    _, _, height, width = images.shape
    down, right = (min(SHIFT, (size - 1) // 4) for size in (height, width))

    def rows(x: Tensor, row: int, column: int) -> Tensor:
        part = x[..., row : row + height - 2 * down, column : column + width - 2 * right]
        return part.flatten(1).float() / (levels - 1)

    own = rows(images, down, right)
    best = torch.full((len(images), len(others)), torch.inf)
    for row, column in product(range(2 * down + 1), range(2 * right + 1)):
        best = torch.minimum(best, torch.cdist(own, rows(others, row, column)))
    distances: Floats = (best / own.shape[1] ** 0.5).numpy()
    return distances
