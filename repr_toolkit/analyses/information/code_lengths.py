"""Bits of every image, and of every sub-pixel, under several readings of the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit import decoders
from repr_toolkit.data import ImageSplit
from repr_toolkit.models.encode import batches
from repr_toolkit.models.precision import exactly
from repr_toolkit.models.side_by_side import side_by_side
from repr_toolkit.runs.bits import likelihood_batch, log_likelihoods, require_finite

if TYPE_CHECKING:
    from repr_toolkit.models.autoencoder import EncoderDecoder

Floats = npt.NDArray[np.float64]

FOLDED = 64  # batches whose maps are kept on the device before they are added up, in float64


class Reading(NamedTuple):
    """A model, and the h that it is given of each image that is read: (n, h_dim), or None."""

    model: "EncoderDecoder"
    h: Tensor | None


@dataclass(frozen=True, eq=False)
class SavedMaps:
    """What each of K readings saves to the reference, in bits of each sub-pixel.

    Positive where the reading needs fewer bits. A sub-pixel is coded given those before it in the
    reference's order. Maps have one channel where the likelihood couples them.
    """

    mean: Floats  # over images, (K, C, H, W)
    error: (
        Floats  # its standard error, by groups of images where some belong together, (K, C, H, W)
    )
    shown: npt.NDArray[np.float32]  # of the images that were asked for, (K, s, C, H, W)
    reference: Floats  # the mean bits of each sub-pixel under the reference, (C, H, W)


@dataclass(frozen=True, eq=False)
class CodeLengths:
    """−log₂ p(x|h) of n images under K readings, the first of which is the reference.

    Attributes:
        bits: Of each image, float64 (K, n).
        order: The reference's order of generation, int64 (C·H·W,).
        maps: The savings by sub-pixel; None where a decoder has no likelihood of sub-pixels.
    """

    bits: Floats
    order: Tensor
    maps: SavedMaps | None = None

    def saved(self, reading: int) -> Floats:
        """Bits of each image that a reading saves to the reference, (n,)."""
        saved: Floats = self.bits[0] - self.bits[reading]
        return saved


def cumulative(saved_map: Floats, order: Tensor) -> Floats:
    """Bits saved up to each pixel in the order of generation, (H·W,), of a map (C, H, W).

    A pixel's channels are taken together; the map has one where the likelihood couples them.
    """
    pixels, places = saved_map[0].size, order.numpy()
    if len(places) == saved_map.size:
        steps = saved_map.flatten()[places].reshape(pixels, -1).sum(1)
    else:
        steps = saved_map.flatten()[places.reshape(pixels, -1)[:, 0] % pixels]
    total: Floats = np.cumsum(steps)
    return total


def code_lengths(
    readings: Sequence[Reading],
    split: ImageSplit,
    *,
    shown: Sequence[int] = (),
    batch_size: int = 256,
    progress: bool = False,
) -> CodeLengths:
    """Code the images of a split, in order, once under every reading.

    `shown` are the images whose own maps are kept, ascending. The likelihoods are computed in
    float32, without autocast, on each model's device; they are exact unless a model's
    `decoder.is_bound`. Raises ValueError without readings, for a reading that has not one h an
    image, and where a likelihood is not finite.
    """
    if not readings:
        raise ValueError("there is no reading to code the images by")
    for number, (_, h) in enumerate(readings):
        if h is not None and len(h) != len(split):
            raise ValueError(
                f"reading {number} has h of {len(h)} images, but {len(split)} are read"
            )
    reference = readings[0].model
    if isinstance(reference.decoder, decoders.AutoregressiveDecoder):
        order = reference.decoder.order.cpu()
    else:
        order = decoders.raster(reference.decoder.image_shape)
    if not all(model.decoder.has_subpixel_log_prob for model, _ in readings):
        bits = [
            image_bits(model, split, [h], batch_size=batch_size, progress=progress)
            for model, h in readings
        ]
        return CodeLengths(np.concatenate(bits), order)
    size = min(likelihood_batch(model, batch_size) for model, _ in readings)
    nats: list[Tensor] = []  # (K, b) of each batch
    # (2·K + 1, C, H, W), a batch each: of the savings, their squares, and what the reference gives
    sums: list[Tensor] = []
    total: Floats | float = 0.0  # of earlier batches
    groups = split.groups()
    grouped = None if groups is None else _Grouped(groups[0])
    single: list[Tensor] = []  # (K, s, C, H, W): the savings of the images shown, a batch each
    device = reference.device

    def measured(
        part: tuple[dict[str, Tensor], int],
    ) -> tuple[Tensor, Tensor, Tensor, _GroupSums | None]:
        batch, start = part
        stop = start + len(batch["image"])
        terms = []  # log p of each sub-pixel, (b, C, H, W)
        for model, every in readings:
            x = model.laid_out(batch["image"].to(model.device))
            h = None if every is None else every[start:stop].to(model.device)
            terms.append(model.decoder.subpixel_log_prob(x, h).to(device))
        stacked = torch.stack(terms)  # (K, b, C, H, W)
        savings = stacked - stacked[0]
        summed = torch.cat([savings.sum(1), savings.square().sum(1), stacked[:1].sum(1)])
        of_shown = savings[:, [i - start for i in shown if start <= i < stop]]
        of_groups = None if grouped is None else grouped.sums_of(savings, start)
        return stacked.flatten(2).sum(2), summed, of_shown, of_groups

    with exactly():
        read = batches(split, None, size, device, "bits", progress)
        parts = zip(read, range(0, len(split), size), strict=True)
        for of_batch, summed, of_shown, of_groups in side_by_side(measured, parts, device):
            nats.append(of_batch)
            sums.append(summed)
            single.append(of_shown)
            if grouped is not None and of_groups is not None:
                grouped.add(of_groups)
            if len(sums) == FOLDED:
                total, sums = total + _doubled(torch.stack(sums)).sum(0), []
    log_prob = torch.cat(nats, 1).cpu().double()
    require_finite(log_prob, range(len(split)))
    rest = _doubled(torch.stack(sums)).sum(0) if sums else 0.0
    every_mean = np.asarray(total + rest) / len(split)
    first, second = every_mean[:-1].reshape(2, len(readings), *every_mean.shape[1:])
    # In nats so far. The variance of a sub-pixel whose savings are all equal may round below 0.
    variance = np.maximum(second - first**2, 0) / max(len(split) - 1, 1)
    error = np.sqrt(variance) if grouped is None else grouped.error(first)
    of_images = (torch.cat(single, 1).cpu().float() / log(2)).numpy()
    error, reference = error / log(2), -every_mean[-1] / log(2)
    maps = SavedMaps(first / log(2), error, of_images, reference)
    return CodeLengths(-log_prob.numpy() / log(2), order, maps)


class _GroupSums(NamedTuple):
    """The groups of a batch's images, how many images each has, and the sums of their savings."""

    codes: npt.NDArray[Any]
    counts: npt.NDArray[np.intp]
    sums: Tensor  # (K, groups, C, H, W)


class _Grouped:
    """What the standard error of a mean takes of groups: sums over them, of sums over their images.

    A group's sum is held only until the last of its images has come.
    """

    def __init__(self, codes: npt.NDArray[Any]) -> None:
        self.codes, self.sizes = np.unique(codes, return_inverse=True, return_counts=True)[1:]
        self.left = self.sizes.copy()
        self.sums: dict[int, Floats] = {}  # (K, C, H, W), of groups that lack images
        self.squares: Floats | float = 0.0  # Σ s²
        self.weighted: Floats | float = 0.0  # Σ n·s

    def sums_of(self, savings: Tensor, start: int) -> "_GroupSums":
        """Those of images' savings, (K, b, C, H, W), of which the first is number `start`."""
        codes, places, counts = np.unique(
            self.codes[start : start + savings.shape[1]], return_inverse=True, return_counts=True
        )
        sums = savings.new_zeros(len(savings), len(codes), *savings.shape[2:])
        sums.index_add_(1, torch.from_numpy(places).to(savings.device), savings)
        return _GroupSums(codes, counts, sums)

    def add(self, batch: "_GroupSums") -> None:
        """Take the sums of a batch, in any order of them."""
        sums = _doubled(batch.sums).swapaxes(0, 1)
        for code, count, part in zip(batch.codes, batch.counts, sums, strict=True):
            total = self.sums.pop(code, 0.0) + part
            self.left[code] -= count
            if self.left[code]:
                self.sums[code] = total
            else:
                self.squares = self.squares + total**2
                self.weighted = self.weighted + self.sizes[code] * total

    def error(self, mean: Floats) -> Floats:
        """The standard error of the mean (K, C, H, W) over all images; NaN of a single group."""
        count, images = len(self.sizes), self.sizes.sum()
        if count < 2:
            return np.full_like(mean, np.nan)
        squares = self.squares - 2 * mean * self.weighted + mean**2 * (self.sizes**2).sum()
        error: Floats = np.sqrt(np.maximum(squares, 0) * count / (count - 1)) / images
        return error


def image_bits(
    model: "EncoderDecoder", split: ImageSplit, tables: Sequence[Tensor | None], **options: Any
) -> Floats:
    """−log₂ p(x|h) of each of n images by each of K tables of h, (K, n); see `log_likelihoods`."""
    bits: Floats = -log_likelihoods(model, split, tables, **options).numpy() / log(2)
    return bits


def _doubled(values: Tensor) -> Floats:
    doubled: Floats = values.cpu().double().numpy()
    return doubled
