"""What the samples of a run have in common, and what they have not: numbers, arrays, a picture."""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.invariance.statistics import Agreement, Neighbours, Reencoding
from repr_toolkit.analyses.judge import Judge, Share
from repr_toolkit.runs.kept import save_analysis
from repr_toolkit.support.pictures import Group, displayable, figure3
from repr_toolkit.support.tables import with_error

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
    """What was found; a part that could not be measured is None, and ``untold`` says why."""

    run: str
    data: str
    fingerprint: str
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
    untold: dict[str, str]  # what could not be measured -> why
    arrays: dict[str, Array]  # what `save` writes beside the numbers
    names: list[str]  # of the pictured rows

    def as_dict(self) -> dict[str, Any]:
        """The numbers and the protocol, ready for JSON."""
        parts = ("agreement", "reencoding", "neighbours")
        plain = ("run", "data", "fingerprint", "split", "seed", "levels", "images", "samples")
        found: dict[str, Any] = {"command": self.command}
        found |= {name: getattr(self, name) for name in (*plain, "temperature")}
        found |= {"variance": self.variance, "data_variance": self.data_variance}
        found["judge"] = self.judge and self.judge.as_dict()
        for name in parts:
            part = getattr(self, name)
            found[name] = part and asdict(part)
        return found | {"untold": self.untold, "protocol": PROTOCOL}

    @property
    def command(self) -> str:
        """The command, for a shell, that measures this again."""
        words = ["repr-toolkit", "invariance", self.run, "--split", self.split]
        words += ["--images", str(self.images), "--temperature", f"{self.temperature:.15g}"]
        words += ["--seed", str(self.seed)]
        words += ["-n", str(self.samples)] if self.samples > 1 else []
        words += ["--by", self.judge.key] if self.judge else []
        words += ["--neighbours", str(self.neighbours.k)] if self.neighbours else []
        return shlex.join(words)

    def save(self, *, keep: bool = False) -> Path | None:
        """Write invariance.json and invariance.npz into the analysis folder of the run.

        In the place of another question's only with ``keep``; see `save_analysis`. The npz holds,
        of the pictured rows, ``image``, ``sample`` (rows, n, C, H, W) and, where there are any,
        ``nearest_h`` and ``nearest_pixels`` (rows, k, C, H, W), all uint8; ``variance`` float32
        (rows, C, H, W); ``mean_variance`` (C, H, W) of all images; ``levels``.
        """
        return save_analysis(Path(self.run), "invariance", self.as_dict(), self.arrays, keep=keep)

    def picture(self) -> "Figure":
        """One row an image: itself, samples, their standard deviation, its neighbours; at `DPI`."""
        from matplotlib import colormaps

        kept = self.arrays
        deviation = np.sqrt(kept["variance"].mean(1))  # (rows, H, W)
        highest = max(float(deviation.max()), 1e-9)
        heat = colormaps["cividis"](deviation / highest, bytes=True)[..., :3]  # (rows, H, W, 3)
        own = Group(self._colour(kept["image"][:, None]), "image")
        drawn = self._colour(kept["sample"][:, :PICTURED])
        if self.samples > 1:
            colours = torch.from_numpy(heat.transpose(0, 3, 1, 2).copy())[:, None]
            spread = Group(colours, "s.d.", f"0…{highest:.2f}")
            groups = [own, Group(drawn, "samples of its h"), spread]
        else:
            groups = [own, Group(drawn, "of its h")]
        for key, title in (("nearest_h", "by h"), ("nearest_pixels", "by pixels")):
            if key in kept:
                images = self._colour(kept[key][:, :PICTURED])
                groups.append(Group(images, "nearest training images", title))
        return figure3(groups, self.names)

    def _colour(self, images: Array) -> Tensor:
        """Images (rows, n, C, H, W) at 256 levels in three channels, as the map of colours is."""
        rows, n = images.shape[:2]
        shown = torch.from_numpy(displayable(torch.from_numpy(images).flatten(0, 1), self.levels))
        colour = shown.permute(0, 3, 1, 2).expand(-1, 3, -1, -1)
        cells: Tensor = colour.unflatten(0, (rows, n))
        return cells


def table(found: Invariance) -> str:
    """The numbers as lines of at most 100 columns; shares in per cent with 95 % intervals."""
    drawn = (
        f"{found.samples} samples of each h at temperature {found.temperature:g}"
        if found.samples > 1
        else "one sample of each h: at temperature 0 they cannot differ"
    )
    lines = [
        f"{found.run}, {found.data}, {found.split}: {found.images} images",
        drawn,
        "",
        "variance of a sub-pixel, squared intensities of [0, 1]",
        f"  {'among samples of one h':46}{found.variance:.4f}",
        f"  {'among real images':46}{found.data_variance:.4f}",
    ]
    if found.judge is not None and found.agreement is not None:
        judge, of = found.judge, found.agreement
        rows = [
            (f"real {judge.split} images ({judge.test_images:,}): the ceiling",
             judge.accuracy, judge.chance),
            ("the images whose h is taken", of.originals, judge.chance),
            ("samples judged as their image is", of.with_source, of.with_source_chance),
        ]  # fmt: skip
        lines += ["", f"{judge.key}, by a judge trained on {judge.train_images:,} real images, %"]
        lines += [_line(*row) for row in rows]
        if found.samples > 1:
            lines.append(_line("pairs of samples judged alike", of.among, of.among_chance))
    if found.reencoding is not None:
        again = found.reencoding
        distance = with_error(again.relative_distance)
        lines += [
            "",
            "samples encoded again",
            f"  {'distance to the own h, of that to others’':46}{distance}",
            _line(
                f"nearest h of {again.candidates:,} is the own, %",
                again.nearest_is_own,
                again.chance,
            ),
        ]
    if found.neighbours is not None:
        near = found.neighbours
        lines += [
            "",
            f"{near.k} nearest of {near.gallery:,} training images, of {near.queries:,} "
            f"{found.split} images, %",
            _line("nearest by h that are nearest by pixels too", near.overlap, near.overlap_chance),
        ]
        if near.by_h and near.by_pixels and near.agreement_chance is not None:
            lines.append(_line(f"same {near.key}, by h", near.by_h, near.agreement_chance))
            lines.append(
                _line(f"same {near.key}, by pixels", near.by_pixels, near.agreement_chance)
            )
    lines += ["", *(f"no {part}: {why}" for part, why in found.untold.items())]
    lines += [
        "(…): 95 % intervals over images, Wilson's, one image's samples or neighbours together;",
        "±: standard error over images. Both leave out the spread between trainings.",
        "chance: the same held against other images; of real images, the most frequent code",
    ]
    return "\n".join(lines)


def _line(title: str, share: Share, chance: float) -> str:
    interval = f"({100 * share.low:.1f}–{100 * share.high:.1f})"
    return f"  {title:46}{100 * share.share:5.1f} {interval:15} chance {100 * chance:.1f}"
