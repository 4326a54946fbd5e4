"""Whether predicted probabilities are as high as predictions are right."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from repr_toolkit.data import ImageSplit
from repr_toolkit.decoders import AutoregressiveDecoder
from repr_toolkit.models.encode import batches
from repr_toolkit.models.precision import exactly
from repr_toolkit.models.side_by_side import side_by_side
from repr_toolkit.page.blocks import Cell, Row
from repr_toolkit.page.cells import share_of
from repr_toolkit.support.stats import Groups, Number, mean
from repr_toolkit.support.tables import per_cent

if TYPE_CHECKING:
    from repr_toolkit.models.autoencoder import EncoderDecoder

BINS = 15
"""The bins of the confidence, of equal width."""

BATCH = 16  # images at a time


@dataclass(frozen=True)
class Calibration:
    """How the highest probabilities that were predicted compare to how often they were right.

    Attributes:
        too_sure: The mean highest probability less the share that is right: 0 is calibrated.
        calibration_error: The mean absolute difference of both within bins of the probability (Guo
            et al. 2017, arXiv:1706.04599), above 0 also by chance.
    """

    too_sure: Number
    calibration_error: float


def calibration(
    parts: Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]], groups: Groups | None = None
) -> Calibration:
    """From parts, each the highest probabilities of n images, (n, …), and whether right, (n, …)."""
    offsets, sums, count = [], np.zeros(BINS), 0
    for probability, right in parts:
        offset = probability.astype(np.float64) - right
        offsets.append(offset.reshape(len(offset), -1).mean(1))
        bins = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
        sums += np.bincount(bins.ravel(), offset.ravel(), BINS)
        count += offset.size
    return Calibration(mean(np.concatenate(offsets), groups), float(np.abs(sums).sum() / count))


def calibration_rows(
    each: Iterable[Mapping[str, Any] | None],
    of: str = "",
    about: tuple[str, str] = ("", ""),
    group: str = "",
) -> list[Row]:
    """Two rows of what `Calibration` has, as JSON or None; `of` is before their labels."""
    known = [calibration or {} for calibration in each]
    errors = [calibration.get("calibration_error") for calibration in known]
    return [
        Row(
            f"{of}too sure, points",
            [share_of(calibration.get("too_sure")) for calibration in known],
            about[0],
            group,
        ),
        Row(
            "calibration error, points",
            [Cell() if error is None else Cell(per_cent(error)) for error in errors],
            about[1],
            group,
        ),
    ]


def of_softmaxes(
    model: "EncoderDecoder", split: ImageSplit, h: Tensor | None, indices: Sequence[int]
) -> Calibration | None:
    """That of the softmaxes of a decoder's levels on some images; None for another likelihood.

    `h` is that of these images, (n, h_dim), or None. A softmax has a parameter for each level.
    """
    decoder = model.decoder
    if not isinstance(decoder, AutoregressiveDecoder) or decoder.likelihood.coupled:
        return None
    if decoder.likelihood.size != decoder.levels:
        return None

    def best(part: tuple[dict[str, Tensor], int]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        batch, start = part
        x = model.laid_out(batch["image"])
        of_batch = None if h is None else h[start : start + len(x)].to(model.device)
        highest = decoder.params(x, of_batch).float().softmax(-1).max(-1)
        return highest.values.cpu().numpy(), (highest.indices == x).cpu().numpy()

    read = batches(split, indices, BATCH, model.device)
    parts = zip(read, range(0, len(indices), BATCH), strict=True)
    with exactly():
        return calibration(side_by_side(best, parts, model.device), split.groups(indices))
