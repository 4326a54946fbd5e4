"""What differs among samples of one h, and so what h leaves open; what is alike, h has fixed.

Measures of images uint8 (N, n, C, H, W), n samples of each of N images' h, with values 0…levels−1,
and of h itself, float (N, d). Nothing here knows a model.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.probing.linear import Labels
from repr_toolkit.support.stats import Groups, Number, mean, share

Floats = npt.NDArray[np.float32]


def variance_maps(samples: Tensor, levels: int = 256) -> Floats:
    """The variance of every sub-pixel among an image's samples: float32 (N, C, H, W).

    In squared intensities of [0, 1]; unbiased, with n − 1 below the sum of squares. It is 0 of one
    sample, which is all that is drawn where samples cannot differ.
    """
    freedom = min(1, samples.shape[1] - 1)
    # An image at a time, so that memory holds its samples alone as floats.
    maps = [(row.double() / (levels - 1)).var(0, correction=freedom).float() for row in samples]
    stacked: Floats = torch.stack(maps).numpy()
    return stacked


@dataclass(frozen=True)
class Agreement:
    """What a judge says of samples, and of the images that their h was made of."""

    with_source: Number  # samples judged to be what their image truly is
    with_source_chance: float  # the same, each sample held against another image's truth
    among: Number  # pairs of samples of one h that are judged alike
    among_chance: float  # the same of samples of different images' h
    originals: Number  # the images themselves, judged to be what they are


def agreement(
    judged: Labels, originals: Labels, truth: Labels, groups: Groups | None = None
) -> Agreement:
    """From codes: of the samples (N, n), of the images as judged (N,), and in truth (N,).

    Intervals treat the samples of one image, or of the images of a group, as the cluster that they
    are (`share`).
    Raises ValueError for fewer than two images.
    """
    images, draws = judged.shape
    if images < 2:
        raise ValueError("agreement is held against other images': it needs at least two")
    codes = np.unique(np.concatenate([judged.ravel(), truth]))
    counts = (judged[:, :, None] == codes).sum(1)  # (N, K)
    total, true_total = counts.sum(0), (truth[:, None] == codes).sum(0)
    hits = judged == truth[:, None]
    pairs = draws * (draws - 1)
    alike = (counts * (counts - 1)).sum(1) / pairs if pairs else np.ones(images)
    others = images * (images - 1)
    return Agreement(
        with_source=share(hits.mean(1), groups, each=draws),
        with_source_chance=float((total * true_total).sum() - hits.sum()) / (draws * others),
        among=share(alike, groups, each=max(1, draws - 1)),
        among_chance=float((total**2).sum() - (counts**2).sum()) / (draws**2 * others),
        originals=share(originals == truth, groups),
    )


@dataclass(frozen=True)
class Reencoding:
    """Where the encoder puts samples of an image's h, beside that h and those of other images."""

    relative_distance: Number  # to the own h, in units of the mean distance to others' h
    nearest_is_own: Number  # samples whose nearest h is that of their own image
    chance: float
    candidates: int  # images among whose h the nearest is looked for, the own included


def reencoding(
    again: Tensor, own: Tensor, candidates: Tensor, groups: Groups | None = None
) -> Reencoding:
    """From h' of the samples, float (N, n, d), and the h of M candidate images, float (M, d).

    `own` (int64 (N,)) says which candidate each image is. Distances are Euclidean, in h's own
    scale. Candidates at the same distance share a hit, so that an h which is the same for all
    images is found at chance. Raises ValueError for fewer than two candidates or images.
    """
    if len(candidates) < 2 or len(again) < 2:
        raise ValueError("re-encoding is held against other images' h: it needs at least two")
    relative, hits = [], []
    for encoded, index in zip(again.double(), own.tolist(), strict=True):
        # Without the shortcut by products, which cannot tell a small distance from none.
        distances = torch.cdist(
            encoded, candidates.double(), compute_mode="donot_use_mm_for_euclid_dist"
        )  # (n, M)
        mine = distances[:, index]
        others = (distances.sum(1) - mine) / (len(candidates) - 1)
        nearest = distances.min(1, keepdim=True).values
        at_nearest = distances == nearest
        hits.append(float((at_nearest[:, index].double() / at_nearest.sum(1)).mean()))
        relative.append(float(mine.mean() / others.mean()) if others.mean() > 0 else 1.0)
    return Reencoding(
        mean(np.array(relative), groups),
        share(np.array(hits), groups, each=again.shape[1]),
        1 / len(candidates),
        len(candidates),
    )


@dataclass(frozen=True)
class Neighbours:
    """The k nearest images by h and by pixels; the last four without a key to agree on are None."""

    k: int
    gallery: int  # images that they are looked for among
    queries: int
    overlap: Number  # of the k nearest by h, those that are of the k nearest by pixels
    overlap_chance: float
    key: str | None = None
    by_h: Number | None = None  # neighbours that have the query's code
    by_pixels: Number | None = None
    agreement_chance: float | None = None  # of any image of the gallery


def nearest(queries: Floats, gallery: Floats, k: int) -> Labels:
    """The k rows of `gallery` (M, d) nearest to each of `queries` (N, d): int64 (N, k).

    By Euclidean distance, the nearest first.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(gallery)
    indices: Labels = search.kneighbors(queries, return_distance=False)
    return indices


def neighbours(
    by_h: Labels,
    by_pixels: Labels,
    gallery: int,
    *,
    key: str | None = None,
    codes: Labels | None = None,
    gallery_codes: Labels | None = None,
    groups: Groups | None = None,
) -> Neighbours:
    """From the indices (N, k) of the nearest of `gallery` images, and the codes of a key."""
    queries, k = by_h.shape
    common = (by_h[:, :, None] == by_pixels[:, None]).any(2).mean(1)
    shared: dict[str, Any] = {}
    if codes is not None and gallery_codes is not None:
        same = [(gallery_codes[near] == codes[:, None]).mean(1) for near in (by_h, by_pixels)]
        shared["key"] = key
        shared["by_h"], shared["by_pixels"] = (share(one, groups, each=k) for one in same)
        unique, counts = np.unique(gallery_codes, return_counts=True)
        frequency = dict(zip(unique.tolist(), (counts / len(gallery_codes)).tolist(), strict=True))
        shared["agreement_chance"] = float(np.mean([frequency.get(c, 0) for c in codes.tolist()]))
    return Neighbours(k, gallery, queries, share(common, groups, each=k), k / gallery, **shared)
