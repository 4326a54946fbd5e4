"""The control task: how well a probe learns labels that mean nothing, and so its selectivity.

J. Hewitt and P. Liang, "Designing and interpreting probes with control tasks", arXiv:1909.03368:
each *type* is given a label at random, once and for all. What a probe gets right of it, in other
tokens of the types that it was fitted to, it has memorised: nothing in h could tell it. Selectivity
is the accuracy on the task itself minus that on the control task. It needs types that recur.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.probing.classifiers import Features, Settings, refit
from repr_toolkit.analyses.probing.scores import scored_codes
from repr_toolkit.support.stats import Groups, Number

Codes = npt.NDArray[np.int64]  # (N,)

SHIFTS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


@dataclass(frozen=True)
class Control:
    """Accuracy on labels that were drawn at random, one for each type.

    Attributes:
        types: What recurs: "identity", "view" (an image, and the same shifted by a pixel), or
            "none".
        accuracy: On the other tokens of the types; where none recur on the training images.
        selectivity: The accuracy on the task's own labels minus this one; None where no type
            recurs.
    """

    types: str
    accuracy: Number
    selectivity: float | None


@dataclass(frozen=True, eq=False)
class Tokens:
    """What control tasks are fitted to and tested on: types and features of either."""

    kind: str  # "identity", "view" or "none"
    fitted: Codes  # the type of each image that is fitted, (n,)
    tested: Codes  # the type of each image that is tested, (m,)
    tested_features: Features  # (m, d)
    groups: Groups | None = None  # which of the images tested belong together


def control_task(
    name: str,
    settings: Settings,
    features: Features,
    labels: Codes,
    tokens: Tokens,
    reached: float,
    *,
    seed: int = 0,
) -> Control | None:
    """The control task of a probe, with the settings that were chosen for the task itself.

    `features` (n, d) and `labels` (n,) are those that the task was fitted to. The random labels
    have the frequencies of these. `reached` is the accuracy on the task itself. None where all the
    labels drawn are the same, which few types make likely.
    """
    fitted, tested = random_labels(tokens.fitted, tokens.tested, labels, seed)
    if len(np.unique(fitted)) < 2:
        return None
    predicted = refit(name, settings, features, fitted, seed)(tokens.tested_features)
    images = "training images" if tokens.kind == "none" else "images"
    accuracy = scored_codes(tested, predicted, tokens.groups, images)
    selectivity = None if tokens.kind == "none" else reached - accuracy.value
    return Control(tokens.kind, accuracy, selectivity)


def random_labels(fitted: Codes, tested: Codes, labels: Codes, seed: int) -> tuple[Codes, Codes]:
    """A label for each type, drawn from `labels`: those of the types fitted and tested.

    Types (n,) and (m,) are any numbers; equal ones have equal labels.
    """
    types, places = np.unique(np.concatenate([fitted, tested]), return_inverse=True)
    random = np.random.default_rng(seed).choice(labels, len(types))[places]
    return random[: len(fitted)], random[len(fitted) :]


def shifted(images: Tensor, seed: int = 0) -> Tensor:
    """Each image moved by one pixel in a direction drawn for it, its edge repeated.

    uint8 (N, C, H, W) to the same.
    """
    _, _, height, width = images.shape
    directions = np.random.default_rng(seed).integers(0, len(SHIFTS), len(images))
    moved = torch.empty_like(images)
    for number, (y, x) in enumerate(SHIFTS):
        rows = torch.from_numpy(np.flatnonzero(directions == number))
        down = (torch.arange(height) - y).clamp(0, height - 1)
        right = (torch.arange(width) - x).clamp(0, width - 1)
        moved[rows] = images[rows][:, :, down][:, :, :, right]
    return moved
