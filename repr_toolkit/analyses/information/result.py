"""What a run's own decoder says of its h, as numbers, arrays and a picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from repr_toolkit.analyses.information.picture import Row, overlays

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {
    "without": ("a decoder without h", "bits that own h saves to it: usable information"),
    "hidden": ("all of h hidden", "bits that own h saves to the same decoder"),
    "shuffled": ("h of another image", "bits that it costs more than own h"),
    "mean_h": ("the mean of all h", "bits that it costs more than own h"),
}
"""What own h is held against: its key in `Information.numbers`, its name, and what is counted."""


@dataclass(frozen=True, eq=False)
class Information:
    """What one decoder says of its h.

    Attributes:
        asked: The options that the numbers depend on.
        numbers: All numbers and the protocol, ready for JSON.
        maps: See `arrays`.
    """

    asked: dict[str, Any]
    numbers: dict[str, Any]
    maps: dict[str, npt.NDArray[Any]]

    def as_dict(self) -> dict[str, Any]:
        """The numbers and the whole protocol, ready for JSON."""
        return self.numbers

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Bits of every image, and maps of them.

        The bits are float64 (N,): `bits_own` and `bits_K` for each kind K of `KINDS` that was
        measured. Where the decoder has a likelihood of sub-pixels there are `saved_K` float32 (C,
        H, W) too, the mean bits that own h saves at each of them to that kind, `error_K`, its
        standard error, and `shown_K` (s, C, H, W), those of the images `image` uint8 (s, C, H, W)
        of `levels` levels.
        """
        return self.maps

    def picture(self) -> "Figure":
        """The maps of every kind over some images; see `overlays`.

        Raises ValueError where the decoder has no likelihood of sub-pixels, and so no maps.
        """
        maps = self.maps
        if "image" not in maps:
            raise ValueError("this decoder has no likelihood of sub-pixels, so there are no maps")
        rows = [
            Row(
                f"to {name}",
                maps[f"saved_{kind}"],
                maps[f"shown_{kind}"],
                self.numbers["saves"][kind]["cumulative"],
            )
            for kind, (name, _) in KINDS.items()
            if kind in self.numbers["saves"]
        ]
        return overlays(rows, maps["image"], levels=int(maps["levels"]))
