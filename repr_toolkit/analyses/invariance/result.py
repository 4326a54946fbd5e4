"""What samples of one h have in common, as numbers, arrays and a picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.invariance.statistics import Agreement, Neighbours, Reencoding
from repr_toolkit.analyses.judge import Judge
from repr_toolkit.support.pictures import Group, displayable, paper_figure
from repr_toolkit.support.stats import Number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]
PICTURED = 4  # samples, and neighbours of each kind, that a picture shows

PROTOCOL = {
    "variance": "estimate: of a sub-pixel, in squared intensities of [0, 1], unbiased",
    "shares": "fractions of one; low and high: 95 %, Wilson's over images, for the effective "
    "number of them where samples or neighbours of one image are a cluster",
    "relative_distance": "Euclidean in h, to the own h over the mean of that to others'; its "
    "standard error is over images",
    "left_out": "the spread between trainings, of the run and of the judge",
}
"""What the numbers of `Invariance.as_dict` are."""


@dataclass(frozen=True, eq=False)
class Invariance:
    """What samples of one h share; `missing` says why a part is None."""

    run: str
    data: str
    split: str
    seed: int
    levels: int
    images: int
    samples: int  # of each image's h; 1 where they cannot differ
    temperature: float
    variance: float  # mean over images and sub-pixels, in squared intensities of [0, 1]
    data_variance: float  # of the same sub-pixels among real held-out images
    judge: Judge | None
    agreement: Agreement | None
    reencoding: Reencoding | None
    neighbours: Neighbours | None
    missing: dict[str, str]  # what could not be measured -> why
    pictured: dict[str, Array]  # see `arrays`
    names: list[str]  # of the pictured rows

    @property
    def asked(self) -> dict[str, Any]:
        """The options that the numbers depend on."""
        return {
            **{name: getattr(self, name) for name in ("split", "images", "samples", "seed")},
            "temperature": self.temperature,
            "by": self.judge and self.judge.key,
            "neighbours": self.neighbours and self.neighbours.k,
        }

    def as_dict(self) -> dict[str, Any]:
        """The numbers and the protocol, ready for JSON."""
        plain = ("run", "data", "split", "levels", "images", "samples", "temperature", "seed")
        return {
            **{name: getattr(self, name) for name in plain},
            "variance": self.variance,
            "data_variance": self.data_variance,
            "judge": self.judge and self.judge.as_dict(),
            **{
                name: _part(getattr(self, name))
                for name in ("agreement", "reencoding", "neighbours")
            },
            "missing": self.missing,
            "protocol": PROTOCOL,
        }

    def arrays(self) -> dict[str, Array]:
        """What the pictures show, and the variance of all images.

        Of the pictured rows `image` (rows, C, H, W), `sample` (rows, n, C, H, W) and, where there
        are any, `nearest_h` and `nearest_pixels` (rows, k, C, H, W), all uint8; `variance` float32
        (rows, C, H, W); `mean_variance` (C, H, W) of all images; `levels`.
        """
        return self.pictured

    def picture(self) -> "Figure":
        """One row an image: itself, samples, their standard deviation, its neighbours; at `DPI`."""
        from matplotlib import colormaps

        arrays = self.pictured
        deviation = np.sqrt(arrays["variance"].mean(1))  # (rows, H, W)
        highest = max(float(deviation.max()), 1e-9)
        heat = colormaps["cividis"](deviation / highest, bytes=True)[..., :3]  # (rows, H, W, 3)
        originals = Group(self._colour(arrays["image"][:, None]), "image")
        drawn = self._colour(arrays["sample"][:, :PICTURED])
        if self.samples > 1:
            colours = torch.from_numpy(heat.transpose(0, 3, 1, 2).copy())[:, None]
            spread = Group(colours, "s.d.", f"0…{highest:.2f}")
            groups = [originals, Group(drawn, "samples of its h"), spread]
        else:
            groups = [originals, Group(drawn, "of its h")]
        for key, title in (("nearest_h", "by h"), ("nearest_pixels", "by pixels")):
            if key in arrays:
                images = self._colour(arrays[key][:, :PICTURED])
                groups.append(Group(images, "nearest training images", title))
        return paper_figure(groups, self.names)

    def _colour(self, images: Array) -> Tensor:
        """Images (rows, n, C, H, W) at 256 levels in three channels, as the map of colours is."""
        rows, n = images.shape[:2]
        shown = torch.from_numpy(displayable(torch.from_numpy(images).flatten(0, 1), self.levels))
        colour = shown.permute(0, 3, 1, 2).expand(-1, 3, -1, -1)
        cells: Tensor = colour.unflatten(0, (rows, n))
        return cells


def _part(part: Agreement | Reencoding | Neighbours | None) -> dict[str, Any] | None:
    """A part's numbers, those with an interval as dicts of their own."""
    if part is None:
        return None
    values = vars(part)
    return {k: v.as_dict() if isinstance(v, Number) else v for k, v in values.items()}
