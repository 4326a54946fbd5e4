"""The result of a traversal, as numbers and arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.judge import Judge
from repr_toolkit.analyses.traversal.attributes import Attribute
from repr_toolkit.analyses.traversal.directions import Direction
from repr_toolkit.support.stats import Number


@dataclass(frozen=True, eq=False)
class Along:
    """The frames along one direction, and what was measured of them.

    Attributes:
        spec: What the user called the direction, such as "mean:7".
        alphas: The S values of α.
        frames: uint8 (N, S, C, H, W), of the images to show.
        change: Mean absolute difference from each α to the next, in intensities of [0, 1], over
            the measured images; S − 1 values, None where nothing was measured.
        attribute: What the direction leads to, if it has a name.
        judged: For each α the share of the measured images that are judged to have it; None where
            they cannot be judged.
    """

    spec: str
    direction: Direction
    alphas: list[float]
    frames: Tensor
    change: list[float] | None
    attribute: Attribute | None
    judged: list[Number] | None

    def as_dict(self) -> dict[str, Any]:
        """The numbers, ready for JSON."""
        return {
            "along": self.spec,
            "name": self.direction.name,
            "scale": self.direction.scale,
            "unit": self.direction.unit,
            "alphas": self.alphas,
            "change": self.change,
            "attribute": self.attribute and vars(self.attribute),
            "judged": self.judged and [share.as_dict() for share in self.judged],
        }


@dataclass(frozen=True, eq=False)
class Traversal:
    """The frames of some images along several directions.

    Attributes:
        images: uint8 (N, C, H, W), the images to show.
        measured_images: The number of images of the split that were measured.
        train_images: The number of training images whose h the directions are made of.
        between_images: Mean absolute difference of two images of the split, in intensities of
            [0, 1]; None where fewer than two were measured.
    """

    run: str
    data: str
    split: str
    levels: int
    seed: int
    temperature: float
    keep_length: bool
    images: Tensor
    measured_images: int
    train_images: int
    along: list[Along]
    judges: list[Judge]
    between_images: float | None

    @property
    def asked(self) -> dict[str, Any]:
        """The options that the numbers and the frames depend on."""
        return {
            **{name: getattr(self, name) for name in ("split", "seed", "temperature")},
            "keep_length": self.keep_length,
            "images": len(self.images),
            "measure": self.measured_images,
            "along": [[along.spec, *along.alphas] for along in self.along],
        }

    def as_dict(self) -> dict[str, Any]:
        """The numbers and the protocol, ready for JSON."""
        plain = ("run", "data", "split", "levels", "seed", "temperature", "keep_length")
        counted = ("measured_images", "train_images", "between_images")
        return {
            **{name: getattr(self, name) for name in (*plain, *counted)},
            "judges": [judge.as_dict() for judge in self.judges],
            "directions": [along.as_dict() for along in self.along],
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The images and their frames.

        `image` uint8 (N, C, H, W), `frames` uint8 (directions, N, S, C, H, W), `alphas` float64
        (directions, S), the `name` of each direction, and `levels`.
        """
        return {
            "image": self.images.numpy(),
            "frames": torch.stack([along.frames for along in self.along]).numpy(),
            "alphas": np.array([along.alphas for along in self.along]),
            "name": np.array([along.direction.name for along in self.along]),
            "levels": np.asarray(self.levels),
        }


def alpha_text(alpha: float) -> str:
    """α with its sign, to three digits, without trailing zeros.

    >>> alpha_text(-0.75), alpha_text(0.0), alpha_text(0.005), alpha_text(15 / 7)
    ('−0.75', '0', '0.005', '2.14')
    """
    return f"{alpha:.{3 if abs(alpha) < 1000 else 17}g}".replace("-", "−")
