"""What is probed: h of every image of a data set, and what made it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from repr_toolkit.data import ImageData
from repr_toolkit.data.images import SPLITS, require_finite
from repr_toolkit.support.speech import either

H = NDArray[np.float32]  # (N, d)
RANDOM = ", random weights of seed "  # in `made_by` of networks whose weights were drawn


@dataclass(frozen=True, eq=False)
class Representation:
    """h of every image of a data set's splits, and what made it.

    Attributes:
        name: Short, for tables, such as pixelcnn_m10 or resnet18.layer3.
        made_by: The maker, by its class and a digest of its configuration and weights: equal
            makers give equal strings.
        fingerprint: That of the images that h was computed of.
        levels: The levels of these images.
        h: float32 (N, d) for train, val and test, in the order of `data.splits[split]`.
        parts: Where parts of h with names stand in it, such as the scales of a flow's z.
        weights: Where the weights of the network that made it are from: "drawn here with seed 0",
            "given: FILE", "unknown: …"; "" where there are none.
        input: How its images were processed, in words; "" where they were taken as they are.

    Raises ValueError for a split that is missing or not (N, d), for splits of different d, and
    where h is not finite.
    """

    name: str
    made_by: str
    fingerprint: str
    levels: int
    h: Mapping[str, H]
    parts: Mapping[str, slice] = field(default_factory=dict)
    weights: str = ""
    input: str = ""

    def __post_init__(self) -> None:
        shapes = {split: h.shape for split, h in self.h.items()}
        widths = {shape[-1] for shape in shapes.values()}
        if set(shapes) != set(SPLITS) or any(len(s) != 2 for s in shapes.values()):
            raise ValueError(f"{self.name}: h is (N, d) for {', '.join(SPLITS)}, not {shapes}")
        if len(widths) > 1 or not min(widths):
            raise ValueError(f"{self.name}: h has one width d ≥ 1 in every split, not {shapes}")
        for split, h in self.h.items():
            require_finite(h, f"{self.name}: h of the {split} images")

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(h)} {split}" for split, h in self.h.items())
        return f"Representation({self.name!r}, d={self.dim}: {counts})"

    @property
    def dim(self) -> int:
        """d, the numbers that h has for an image."""
        return int(self.h["train"].shape[1])

    @property
    def is_random(self) -> bool:
        """Whether a network made it whose weights were drawn and never trained."""
        return RANDOM in self.made_by

    def require(self, data: ImageData) -> None:
        """Raise ValueError, saying which, unless this is h of these very images."""
        if self.fingerprint != data.fingerprint:
            raise ValueError(
                f"{self.name} is h of other data than {data.name}: their fingerprint is "
                f"{self.fingerprint}, not {data.fingerprint}; give the data that it was made of"
            )
        if self.levels != data.levels:
            raise ValueError(
                f"{self.name} is h of images of {self.levels} levels, but {data.name} is read at "
                f"{data.levels}; set {either('--data.levels ', 'levels=')}{self.levels}"
            )
