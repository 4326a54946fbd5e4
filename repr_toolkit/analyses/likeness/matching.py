"""Do portraits keep the person? Drawn faces are embedded again and matched with the people.

A portrait that only looks like somebody of the same age and sex matches better than chance too.
What the numbers mean is therefore said by the same numbers for real faces: the person's own, that
of the most similar person the model was trained on, and that of anyone similar.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repr_toolkit.data import ImageSplit
from repr_toolkit.models.pairs import interval_over_people
from repr_toolkit.models.precision import exactly
from repr_toolkit.support.console import bar

Floats = NDArray[np.floating]
Codes = NDArray[np.int64]

RESAMPLINGS = 1000


@dataclass(frozen=True)
class Share:
    """A number in [0, 1] with its 95 % interval from resampling the people, if not too few."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Match:
    """How well faces are matched with the people they should show.

    `auc`: the probability that a face is more similar to its own person than another face is to
    another person. `rank_1`: the share of faces whose most similar person, of all, is their own;
    1/N by chance. `auc_hard`: `auc` where the other people are only the most similar ones.
    """

    auc: Share
    rank_1: Share
    auc_hard: Share
    faces: int
    people: int


def match(similarity: Floats, person: Codes, hard: NDArray[np.bool_], *, seed: int = 0) -> Match:
    """Match faces with people by their similarities, float (faces, N).

    ``person`` is each face's own person, 0…N−1; ``hard`` (N, N) says which other people are the
    hard ones for each. The intervals are 2.5 and 97.5 % of 1,000 resamplings of the people, who
    take their faces along; of too few people there are none (see `interval_over_people`).

    Raises ValueError for fewer than two people, or people without a hard one.
    """
    faces, people = similarity.shape
    if people < 2:
        raise ValueError(f"matching needs at least two people, not {people}")
    own = np.zeros(similarity.shape, dtype=bool)
    own[np.arange(faces), person] = True
    difficult = hard[person] & ~own
    if not difficult.any(1).all():
        raise ValueError("each person needs at least one other who is hard to tell from them")
    best = np.where(own, -np.inf, similarity).max(1)
    first = similarity[own] > best  # in the order of the faces; a tie is no match
    draws = np.random.default_rng(seed).integers(0, people, (RESAMPLINGS, people))
    weights = np.stack([np.bincount(draw, minlength=people) for draw in draws]).astype(np.float64)
    weights = np.concatenate([np.ones((1, people)), weights])  # as they are, then resampled

    def share(values: Floats) -> Share:
        resampled = values[1:][~np.isnan(values[1:])]
        return Share(float(values[0]), interval_over_people(resampled, people))

    of_faces = weights[:, person]  # (resamplings + 1, faces)
    return Match(
        share(_auc(similarity, own, ~own, person, weights)),
        share(of_faces @ first / of_faces.sum(1)),
        share(_auc(similarity, own, difficult, person, weights)),
        faces,
        people,
    )


def _auc(
    similarity: Floats,
    own: NDArray[np.bool_],
    other: NDArray[np.bool_],
    person: Codes,
    weights: Floats,
) -> Floats:
    """The area under the ROC curve for each row of weights of the people, ties counted half."""
    face, against = np.nonzero(other)
    order = np.argsort(similarity[other], kind="stable")
    face, against = face[order], against[order]
    negatives = similarity[other][order]
    positives = similarity[own]
    below = np.searchsorted(negatives, positives, "left")
    up_to = np.searchsorted(negatives, positives, "right")
    areas = np.empty(len(weights))
    for i, weight in enumerate(weights):
        of_pairs = weight[person[face]] * weight[against]
        total = np.concatenate([[0.0], np.cumsum(of_pairs)])
        of_own = weight[person]
        whole = of_own.sum() * total[-1]
        passed = (of_own * (total[below] + total[up_to])).sum() / 2
        areas[i] = passed / whole if whole > 0 else np.nan
    return areas


@dataclass(frozen=True)
class Sources:
    """One photograph of each of N people of a split, and one more of each: positions in it."""

    first: list[int]
    second: list[int]


def choose_people(split: ImageSplit, people: int | None = None) -> Sources:
    """The people of a split with at least two photographs, or ``people`` of them spread evenly.

    Raises ValueError where there are fewer than two of them.
    """
    from repr_toolkit.support.choose import choose_evenly

    identity = split.column("identity").numpy()
    found = [np.flatnonzero(identity == code) for code in np.unique(identity)]
    found = [members for members in found if len(members) > 1]
    if len(found) < 2:
        raise ValueError("likeness needs at least two people with two photographs each")
    chosen = [found[i] for i in choose_evenly(len(found), people or len(found))]
    return Sources([int(m[0]) for m in chosen], [int(m[1]) for m in chosen])


def embed_faces(
    embed: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> Floats:
    """Embeddings of images uint8 (N, C, H, W), at most ``batch_size`` at once: unit (N, d).

    In full precision, as those of photographs.
    """
    found = []
    with bar("embedding", len(images), shown=progress) as show, exactly():
        for start in range(0, len(images), batch_size):
            found.append(embed(images[start : start + batch_size]).float().cpu())
            show(start + len(found[-1]))
    vectors = torch.cat(found).double().numpy()
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def hardest(embedding: Floats, count: int = 10) -> NDArray[np.bool_]:
    """Of unit vectors (N, d), the ``count`` others most similar to each: bool (N, N)."""
    similarity = embedding @ embedding.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1)[:, : min(count, len(similarity) - 1)]
    hard = np.zeros(similarity.shape, dtype=bool)
    np.put_along_axis(hard, nearest, True, axis=1)
    return hard


def similar_faces(source: Floats, others: Floats, rank: Sequence[int]) -> Codes:
    """For each unit vector of ``source`` (N, d) the other of that rank in similarity, from 0."""
    order = np.argsort(-(source @ others.T), axis=1, kind="stable")
    found: Codes = order[np.arange(len(source)), np.asarray(rank)]
    return found


def nearest_images(images: Tensor, others: Tensor, levels: int = 256) -> tuple[Codes, Floats]:
    """Each image's nearest of the others in pixels, and the distance to it.

    Both are uint8 (·, C, H, W); the distance is the root mean square of the difference of
    intensities in [0, 1].
    """
    flat = others.flatten(1).float() / (levels - 1)
    index, distance = [], []
    for chunk in images.split(256):
        rows = chunk.flatten(1).float() / (levels - 1)
        index.append(torch.cdist(rows, flat).argmin(1))
        # Anew: cdist computes by products, whose rounding leaves a distance between equal images.
        distance.append((rows - flat[index[-1]]).double().square().mean(1).sqrt())
    return torch.cat(index).numpy(), torch.cat(distance).numpy()
