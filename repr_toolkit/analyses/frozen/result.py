"""What a study of frozen representations says, as numbers and arrays."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from repr_toolkit.analyses.information.bounds import Bound
from repr_toolkit.analyses.information.code_lengths import Floats, Maps
from repr_toolkit.analyses.information.controls import OfOneNetwork
from repr_toolkit.analyses.information.usable import Usable
from repr_toolkit.data import ImageData

STATEMENT = (
    "bits saved: the mean over held-out images of log₂ q(x|h) − log₂ q(x), the two by decoders of "
    "one kind, trained on the same images for as many steps, the null's given h = 0 for every "
    "image. It estimates CE(x) − CE(x|h) = I(x; h) + KL(p(x) ‖ q) − E KL(p(x|h) ‖ q(·|h)): the "
    "information in h that is *usable* by this decoder family and budget (Xu et al. 2020, "
    "arXiv:2002.10689), **not the mutual information, nor a bound of it**. For a deterministic "
    "encoder I(x; h) = H(h), which says nothing of what h is good for. Rankings rank usable bits."
)


@dataclass(frozen=True, eq=False)
class BitsOfSource:
    """What a fresh decoder says of one frozen representation.

    Attributes:
        name: That of the source in the study.
        made_by: The identity of what made h.
        dim: The numbers in h.
        bits_of_seeds: Bits that an image needs given own h, by seed.
        usable: Bits that h saves an image, to no h.
        shuffled: Bits that an image costs more given another image's h.
        bound: Of the mutual information, by the first seed.
        saved_map: `usable` by sub-pixel, the mean over images and seeds, (C, H, W); None, as the
            next three, where the decoder has no likelihood of sub-pixels.
        saved_error: Its standard error over images, (C, H, W).
        shown: The first seed's map of single images, (s, C, H, W).
        cumulative: Its sum up to each pixel in the order of generation, (H·W,).
        one_network: What a decoder with random coordinates hidden says, where there is one.
    """

    name: str
    made_by: str
    dim: int
    bits_of_seeds: list[float]
    usable: Usable
    shuffled: Usable
    bound: Bound
    saved_map: Floats | None
    saved_error: Floats | None
    shown: Maps | None
    cumulative: Floats | None
    one_network: OfOneNetwork | None

    def minus(self, other: "BitsOfSource") -> Usable:
        """Bits that this h saves more than another, paired by image."""
        return Usable(self.usable.saved - other.usable.saved)


@dataclass(frozen=True, eq=False)
class FrozenStudy:
    """All sources of a study, most usable bits first, and how they were measured."""

    asked: dict[str, Any]
    sources: list[BitsOfSource]
    null_bits: Floats  # of images without h, by seed, (S, N)
    images: npt.NDArray[np.uint8]  # (s, C, H, W), those of the maps
    data: ImageData
    seeds: list[int]
    steps: int
    likelihood: str

    def as_dict(self) -> dict[str, Any]:
        """All numbers and the whole protocol, ready for JSON."""
        return {
            "data": self.data.name,
            "fingerprint": self.data.fingerprint,
            "levels": self.data.levels,
            "split": self.asked["split"],
            "images": self.null_bits.shape[1],
            "seeds": self.seeds,
            "steps": self.steps,
            "likelihood": self.likelihood,
            "what": STATEMENT,
            "null": "the same decoder given h = 0 for every image",
            "h": "standardised by training images",
            "null_bits": float(self.null_bits.mean()),
            "null_bits_of_seeds": [float(mean) for mean in self.null_bits.mean(1)],
            "dims": prod(self.data.image_shape),
            "sources": [self._of_source(source) for source in self.sources],
        }

    def _of_source(self, source: BitsOfSource) -> dict[str, Any]:
        best = self.sources[0]
        others = [other for other in self.sources if other is not source]
        minus = {other.name: source.minus(other).as_dict() for other in others}
        return {
            "name": source.name,
            "made_by": source.made_by,
            "dim": source.dim,
            "bits": float(np.mean(source.bits_of_seeds)),
            "bits_of_seeds": source.bits_of_seeds,
            "usable": source.usable.as_dict(),
            "minus_best": None if source is best else minus[best.name],
            "minus": minus,
            "shuffled_costs": source.shuffled.as_dict(),
            "lower_bound": source.bound.as_dict(),
            "masked": source.one_network and source.one_network.as_dict(),
            "cumulative": None if source.cumulative is None else source.cumulative.tolist(),
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The names of the K sources, the bits of every image, and maps where there are any.

        `names` (K,) and, of S seeds, float64 `null_bits` (S, N) without h, `saved_bits` (K, S, N),
        and `other_h_costs` (K, S, N), more than own h; `saved_map` and `saved_error` float32 (K,
        C, H, W), and of the images `image` uint8 (s, C, H, W), of `levels` levels, `shown` (K, s,
        C, H, W).
        """
        arrays = {
            "names": np.array([source.name for source in self.sources]),
            "null_bits": self.null_bits,
            "saved_bits": np.stack([source.usable.saved for source in self.sources]),
            "other_h_costs": np.stack([source.shuffled.saved for source in self.sources]),
        }
        if self.sources[0].saved_map is None:  # a decoder has one for all sources, or for none
            return arrays
        return arrays | {
            "saved_map": np.stack([np.float32(source.saved_map) for source in self.sources]),
            "saved_error": np.stack([np.float32(source.saved_error) for source in self.sources]),
            "shown": np.stack([np.float32(source.shown) for source in self.sources]),
            "image": self.images,
            "levels": np.array(self.data.levels),
        }
