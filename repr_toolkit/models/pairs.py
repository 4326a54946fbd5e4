"""Face verification as on LFW: does the cosine of two h say whether two images show one person?

G. B. Huang et al., "Labeled Faces in the Wild", 2007. h is any representation (N, d); people are
integer codes (N,). A same pair is two images of one person.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Codes = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]

MOST_PAIRS = 1_000_000  # of either kind; where there are more, so many are drawn
FALSE_ACCEPT_RATES = (1e-2, 1e-3)
FOLDS = 10


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of different images, each once: the two images' numbers, and whether of one person."""

    first: Codes
    second: Codes
    same: Flags


def auc_without(
    scores: Floats, same: Flags, first: Codes, second: Codes, people: int
) -> npt.NDArray[np.float64]:
    """The AUC without each of the people 0…G−1, whose images make the pairs: float64 (G,).

    NaN where no pair of one kind is left.
    """
    ranks = np.unique(scores, return_inverse=True)[1]
    positive, negative = ranks[same], ranks[~same]
    whose, one, other = first[same], first[~same], second[~same]
    above = below(np.sort(negative), positive)  # different pairs below each same pair
    passed = len(positive) - below(np.sort(positive), negative)  # same pairs above each other one
    # Of one person alone: the same by (person, rank), in which people do not mix.
    size = int(ranks.max()) + 1
    of_either = np.sort(np.concatenate([one, other]) * size + np.tile(negative, 2))
    starts = np.searchsorted(of_either, np.arange(people) * size)
    inside = below(of_either, whose * size + positive) - starts[whose]

    def by_person(codes: Codes, weights: Floats | None = None) -> Floats:
        sums: Floats = np.bincount(codes, weights, people).astype(np.float64)
        return sums

    couples = above.sum() - by_person(whose, above) + by_person(whose, inside)
    couples -= by_person(one, passed) + by_person(other, passed)
    left: Floats = len(positive) - by_person(whose)
    left = left * (len(negative) - by_person(one) - by_person(other))
    return np.where(left > 0, couples / np.maximum(left, 1), np.nan)


def tar_without(
    scores: Floats, same: Flags, first: Codes, second: Codes, people: int, far: float
) -> npt.NDArray[np.float64]:
    """The true accept rate without each of the people 0…G−1: float64 (G,)."""
    first_other, second_other = first[~same], second[~same]
    pairs_of = np.bincount(first_other, minlength=people)
    pairs_of += np.bincount(second_other, minlength=people)
    total, order = len(first_other), np.argsort(-scores[~same])
    # No threshold lies further down, whoever is left out.
    order = order[: int(total * far) + int(pairs_of.max()) + 2]
    others, one, other = scores[~same][order], first_other[order], second_other[order]
    matches, whose = scores[same], first[same]
    rates = [
        accepted(matches[whose != p], others[(one != p) & (other != p)], total - pairs_of[p], far)
        if total > pairs_of[p]
        else float("nan")
        for p in range(people)
    ]
    return np.array(rates)


def make_pairs(people: Codes, *, most_pairs: int = MOST_PAIRS, seed: int = 0) -> Pairs:
    """Same and different pairs of images (N,), at most `most_pairs` of either kind.

    Where there are more, `seed` draws among them. Raises ValueError without a pair of both kinds.
    """
    people = np.asarray(people)
    order = np.argsort(people, kind="stable")
    starts = np.flatnonzero(np.diff(people[order], prepend=people[order][:1] - 1))
    counts = np.diff(np.append(starts, len(people)))
    all_same = int((counts * (counts - 1) // 2).sum())
    all_different = len(people) * (len(people) - 1) // 2 - all_same
    if not all_same or not all_different:
        kind = "of one person" if not all_same else "of two people"
        raise ValueError(
            f"verification compares pairs of one person and of two, but among these {len(people)} "
            f"images of {len(counts)} people there is no pair {kind}"
        )
    generator = np.random.default_rng(seed)
    groups = np.split(order, starts[1:])
    if all_same <= most_pairs:
        within = [np.stack(np.triu_indices(len(g), 1)) for g in groups]
        same = np.concatenate([g[w] for g, w in zip(groups, within, strict=True)], axis=1)
    else:
        same = _draw_pairs(order, starts, counts, most_pairs, True, generator)
    if all_different <= most_pairs:
        later = [order[end:] for end in np.cumsum(counts)]
        blocks = [
            np.stack([np.repeat(g, len(others)), np.tile(others, len(g))])
            for g, others in zip(groups, later, strict=True)
        ]
        different = np.concatenate(blocks, axis=1)
    else:
        different = _draw_pairs(order, starts, counts, most_pairs, False, generator)
    first, second = np.concatenate([same, different], axis=1)
    return Pairs(first, second, np.arange(len(first)) < same.shape[1])


def similarities(h: Floats, pairs: Pairs) -> Floats:
    """The cosine of every pair, float64 (n,)."""
    unit = unit_vectors(h)
    result = np.empty(len(pairs.same))
    step = max(1, (1 << 23) // unit.shape[1])  # 64 MiB
    for start in range(0, len(result), step):
        part = slice(start, start + step)
        result[part] = np.einsum("nd,nd->n", unit[pairs.first[part]], unit[pairs.second[part]])
    return result


def roc_auc(scores: Floats, same: Flags) -> float:
    """The share of (same, different) couples whose same pair scores higher; a tie counts half."""
    others = np.sort(scores[~same])
    return float(below(others, scores[same]).mean() / len(others))


def below(ordered: npt.NDArray[Any], values: npt.NDArray[Any]) -> Floats:
    """How many of ascending numbers are below each value, equal ones counted half."""
    left, right = (
        np.searchsorted(ordered, values, "left"),
        np.searchsorted(ordered, values, "right"),
    )
    half: Floats = (left + right) / 2
    return half


def roc_curve(scores: Floats, same: Flags) -> tuple[Floats, Floats]:
    """False and true accept rates, each ascending from 0 to 1, at every threshold that matters."""
    from sklearn.metrics import roc_curve as curve

    false, true, _ = curve(same, scores)
    return false, true


def fold_accuracies(
    scores: Floats, pairs: Pairs, people: Codes, *, seed: int = 0
) -> tuple[Floats | None, bool]:
    """The accuracy on each of ten folds at the threshold that is best on the other nine.

    As on LFW a fold has as many different pairs as same ones, and no person is in two folds: people
    are dealt out at random, and a pair across folds is left out. Where people are too few for every
    fold to have pairs of both kinds, the pairs are dealt out instead, and the second value is
    False. The accuracies are None with fewer than ten pairs of either kind.
    """
    kinds = (pairs.same, ~pairs.same)
    if min(int(kind.sum()) for kind in kinds) < FOLDS:
        return None, False
    generator = np.random.default_rng(seed)
    codes, members = np.unique(people, return_inverse=True)
    fold_of_person = generator.permutation(len(codes)) % FOLDS
    a, b = fold_of_person[members[pairs.first]], fold_of_person[members[pairs.second]]
    fold = np.where(a == b, a, FOLDS)  # the last for pairs across folds
    disjoint = all((np.bincount(fold[k], minlength=FOLDS)[:FOLDS] > 0).all() for k in kinds)
    if not disjoint:
        for kind in kinds:
            fold[kind] = generator.permutation(int(kind.sum())) % FOLDS
    balanced = np.full(len(scores), -1)
    for number in range(FOLDS):
        both = [np.flatnonzero(kind & (fold == number)) for kind in kinds]
        for indices in both:
            balanced[generator.permutation(indices)[: min(map(len, both))]] = number
    accuracies = []
    for number in range(FOLDS):
        inside, others = balanced == number, (balanced >= 0) & (balanced != number)
        threshold = best_threshold(scores[others], pairs.same[others])
        accuracies.append(((scores[inside] >= threshold) == pairs.same[inside]).mean())
    return np.array(accuracies), disjoint


def best_threshold(scores: Floats, same: Flags) -> float:
    """The threshold t that judges most pairs rightly, where a score ≥ t means the same person.

    It lies halfway between two neighbouring scores, and is the highest of several equally good.
    """
    order = np.argsort(-scores)
    ordered, is_same = scores[order], same[order]
    right = np.concatenate([[0], np.cumsum(np.where(is_same, 1, -1))])  # + all different pairs
    cuts = np.concatenate([[True], ordered[1:] < ordered[:-1], [True]])  # between equals is none
    best = int(np.argmax(np.where(cuts, right, -len(right))))
    if best == 0:
        return float(np.nextafter(ordered[0], np.inf))
    return float(ordered[-1] if best == len(ordered) else (ordered[best - 1] + ordered[best]) / 2)


def true_accept_rate(scores: Floats, same: Flags, false_accept_rate: float) -> float | None:
    """The share of same pairs accepted where at most this share of different pairs is.

    None with fewer than 10 / false_accept_rate different pairs: fewer than ten would decide it.
    """
    others = -np.sort(-scores[~same])
    if len(others) * false_accept_rate < 10 * (1 - 1e-9):
        return None
    return accepted(scores[same], others, len(others), false_accept_rate)


def accepted(matches: Floats, others: Floats, count: int, false_accept_rate: float) -> float:
    """The share of `matches` above the threshold of `count` other scores, descending.

    Of these only the first need be there. NaN without a match.
    """
    threshold = others[int(count * false_accept_rate * (1 + 1e-9))]
    return float((matches > threshold).mean()) if len(matches) else float("nan")


def nearest_neighbour(h: Floats, people: Codes) -> tuple[Flags, Codes]:
    """Which images have one of their person's as the nearest other image, and their numbers.

    Asked are the images whose person has another image; all other images are candidates.
    """
    unit = unit_vectors(h).astype(np.float32)
    _, members, counts = np.unique(people, return_inverse=True, return_counts=True)
    queries = np.flatnonzero(counts[members] > 1)
    step = max(1, (1 << 24) // len(unit))  # 64 MiB
    hits = []
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        cosines = unit[part] @ unit.T
        cosines[np.arange(len(part)), part] = -np.inf
        hits.append(members[cosines.argmax(1)] == members[part])
    return np.concatenate(hits), queries


def spread(h: Floats) -> float:
    """One minus the mean cosine of two different rows of h: 0 where all point the same way.

    It is about 1 for a representation that uses its space, and NaN where h is not finite.
    """
    unit = unit_vectors(h)
    count = len(unit)
    # From the distance to the first row: differences of nearly equal vectors stay exact.
    offsets = unit - unit[:1]
    squares = count * (offsets**2).sum() - (offsets.sum(0) ** 2).sum()
    return float(squares / (count * (count - 1)))


def unit_vectors(h: Floats) -> Floats:
    """Rows of length 1, float64; a row of zeros stays."""
    h = np.asarray(h, np.float64)
    norms = np.linalg.norm(h, axis=1, keepdims=True)
    unit: Floats = h / np.where(norms > 0, norms, 1)
    return unit


def _draw_pairs(
    order: Codes, starts: Codes, counts: Codes, wanted: int, same: bool, draw: np.random.Generator
) -> Codes:
    """Draw `wanted` pairs of one kind without replacement, int64 (2, wanted), among far more."""
    total = len(order)
    person = np.repeat(np.arange(len(counts)), counts)  # of the images in this order
    chosen = np.empty(0, np.int64)
    while len(chosen) < wanted:
        if same:  # every ordered couple of a person's images as often as any other
            ends = np.cumsum(counts**2)
            who = np.searchsorted(ends, draw.integers(ends[-1], size=wanted), side="right")
            i = starts[who] + draw.integers(counts[who])
            j = starts[who] + draw.integers(counts[who])
        else:
            i, j = draw.integers(total, size=(2, wanted))
        taken = (i < j) & ((person[i] == person[j]) == same)
        chosen = np.unique(np.concatenate([chosen, i[taken] * total + j[taken]]))
    chosen = np.sort(draw.permutation(chosen)[:wanted])
    pairs: Codes = order[np.stack(np.divmod(chosen, total))]
    return pairs
