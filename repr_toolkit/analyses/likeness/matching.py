"""Matching faces with people by their embeddings, and the real faces to match beside portraits.

A portrait of anybody of the same age and sex matches better than chance, too. So the same is
measured of real faces: the person's own, the most similar face that the model was trained on, and
that of anyone similar.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repr_toolkit.data import ImageSplit
from repr_toolkit.models.pairs import unit_vectors
from repr_toolkit.models.precision import exactly
from repr_toolkit.support.choose import choose_evenly
from repr_toolkit.support.console import bar
from repr_toolkit.support.stats import Jackknife, Number, Units, share

Floats = NDArray[np.floating]
Codes = NDArray[np.int64]

OTHER, SAME = "another photograph", "the same photograph"  # than h came from: the galleries
LOOKALIKE = "the most similar training face"
PIXELS = "whitened pixels"  # the embedder that is the second unless another is named


@dataclass(frozen=True)
class Match:
    """How well faces are matched with the people they should show.

    Attributes:
        auc: The probability that a face is more similar to its own person than another face is to
            another person.
        rank_1: The share of faces whose most similar person, of all, is their own; 1/N by chance.
        auc_hard: `auc` where the other people are only the most similar ones.
    """

    auc: Number
    rank_1: Number
    auc_hard: Number
    faces: int
    people: int


def match(similarity: Floats, person: Codes, hard: NDArray[np.bool_]) -> Match:
    """Match faces with people by their similarities, float (faces, N).

    `person` is each face's own person, 0…N−1; `hard` (N, N) says which other people are the hard
    ones for each. The intervals are over people, who take their faces along. Raises ValueError for
    fewer than two people, or people without a hard one.
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
    weights = np.concatenate([np.ones((1, people)), 1 - np.eye(people)])  # all, then without each
    units = Units.of(faces, (person, "people"), "faces")

    def auc(others: NDArray[np.bool_]) -> Number:
        value, *left_out = _auc(similarity, own, others, person, weights)
        return Jackknife(float(value), np.array(left_out), units).number

    return Match(
        auc(~own),
        share(first, (person, "people"), "faces"),
        auc(difficult),
        faces,
        people,
    )


def closeness(similarity: Floats, person: Codes) -> Floats:
    """For each person, the share of other people whom their faces are less like than themselves.

    Arguments as for `match`; float (N,), the mean over a person's faces, ties counted half. Unlike
    a similarity itself it can be compared between faces that are drawn and faces that are real.
    """
    faces, people = similarity.shape
    own = similarity[np.arange(faces), person][:, None]
    below = ((similarity < own).sum(1) + ((similarity == own).sum(1) - 1) / 2) / (people - 1)
    sums = np.bincount(person, weights=below, minlength=people)
    shares: Floats = sums / np.bincount(person, minlength=people)
    return shares


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
        pairs = weight[person[face]] * weight[against]
        total = np.concatenate([[0.0], np.cumsum(pairs)])
        matches = weight[person]
        whole = matches.sum() * total[-1]
        passed = (matches * (total[below] + total[up_to])).sum() / 2
        areas[i] = passed / whole if whole > 0 else np.nan
    return areas


def choose_people(split: ImageSplit, people: int | None = None) -> tuple[list[int], list[int]]:
    """Two photographs of each of N people: their positions in a split.

    They are all people with at least two photographs, or `people` of them spread evenly. Raises
    ValueError where fewer than two have as many.
    """
    identity = split.column("identity").numpy()
    members = [np.flatnonzero(identity == code) for code in np.unique(identity)]
    members = [photographs for photographs in members if len(photographs) > 1]
    if len(members) < 2:
        raise ValueError("likeness needs at least two people with two photographs each")
    chosen = [members[i] for i in choose_evenly(len(members), people or len(members))]
    return [int(m[0]) for m in chosen], [int(m[1]) for m in chosen]


def embed_faces(
    embed: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> Floats:
    """Embeddings of images uint8 (N, C, H, W), unit vectors float64 (N, d), in full precision.

    At most `batch_size` images are embedded at a time.
    """
    parts = []
    with bar("embedding", len(images), shown=progress) as show, exactly():
        for batch in images.split(batch_size):
            parts.append(embed(batch).float().cpu())
            show(sum(map(len, parts)))
    return unit_vectors(torch.cat(parts).numpy())


def hardest(embedding: Floats, count: int = 10) -> NDArray[np.bool_]:
    """The `count` other unit vectors (N, d) most similar to each: bool (N, N)."""
    similarity = embedding @ embedding.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1)[:, : min(count, len(similarity) - 1)]
    hard = np.zeros(similarity.shape, dtype=bool)
    np.put_along_axis(hard, nearest, True, axis=1)
    return hard


def similar_faces(source: Floats, others: Floats, rank: Sequence[int]) -> Codes:
    """For each unit vector of `source` (N, d) the other one of this rank in similarity, from 0."""
    order = np.argsort(-(source @ others.T), axis=1, kind="stable")
    ranked: Codes = order[np.arange(len(source)), np.asarray(rank)]
    return ranked


def nearest_images(images: Tensor, others: Tensor, levels: int = 256) -> tuple[Codes, Floats]:
    """Which of `others` is nearest to each image in pixels, and how far it is.

    Both are uint8 (·, C, H, W). A distance is the root mean square difference of intensities in
    [0, 1].
    """
    flat = others.flatten(1).float() / (levels - 1)
    index, distance = [], []
    for chunk in images.split(256):
        rows = chunk.flatten(1).float() / (levels - 1)
        index.append(torch.cdist(rows, flat).argmin(1))
        # Anew: cdist computes by products, whose rounding leaves a distance between equal images.
        distance.append((rows - flat[index[-1]]).double().square().mean(1).sqrt())
    return torch.cat(index).numpy(), torch.cat(distance).numpy()
