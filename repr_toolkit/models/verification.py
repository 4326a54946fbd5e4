"""Face verification as on LFW: how well a representation tells people apart, with intervals.

The pairs of images and what is counted of them are in `repr_toolkit.models.pairs`.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from repr_toolkit.models.pairs import (
    FALSE_ACCEPT_RATES,
    FOLDS,
    MOST_PAIRS,
    Codes,
    Floats,
    Pairs,
    auc_without,
    fold_accuracies,
    make_pairs,
    nearest_neighbour,
    roc_auc,
    roc_curve,
    similarities,
    tar_without,
    true_accept_rate,
)
from repr_toolkit.support.stats import Jackknife, Number, Units, mean, share


@dataclass(frozen=True, eq=False)
class Verification:
    """How well a representation tells people apart, on people and images it was not fitted on."""

    images: int
    people: int
    same_pairs: int
    different_pairs: int
    auc: Jackknife  # by person
    accuracy: Number | None  # the mean over ten folds; None where the pairs are too few for them
    accuracy_people_disjoint: bool  # whether no person is in two of the folds
    tar: dict[float, Number | None]  # by false accept rate; None where the pairs are too few
    one_nn: Number  # of images of people with two or more: the nearest other is of the same person
    curve: tuple[Floats, Floats] = field(repr=False)  # the ROC: false and true accept rates

    def as_dict(self) -> dict[str, Any]:
        """All but the curve, ready for JSON."""
        counts = ("images", "people", "same_pairs", "different_pairs", "accuracy_people_disjoint")
        return {
            **{key: getattr(self, key) for key in counts},
            "auc": self.auc.number.as_dict(),
            "accuracy": self.accuracy and self.accuracy.as_dict(),
            "tar": {f"{far:g}": rate and rate.as_dict() for far, rate in self.tar.items()},
            "one_nn": self.one_nn.as_dict(),
        }

    def flat_numbers(self) -> dict[str, Any]:
        """Every number under a name of its own, the ends of intervals too.

        The names are the same whatever could be measured; None stands for what could not.
        """
        return {
            "images": self.images,
            "people": self.people,
            "same_pairs": self.same_pairs,
            "different_pairs": self.different_pairs,
            **_flat("auc", self.auc.number),
            "accuracy": self.accuracy and self.accuracy.value,
            "accuracy_error": self.accuracy and self.accuracy.error,
            "accuracy_people_disjoint": self.accuracy_people_disjoint,
            **{
                key: value
                for far, rate in self.tar.items()
                for key, value in _flat(f"tar_at_{far:g}", rate).items()
            },
            **_flat("one_nn", self.one_nn),
            "one_nn_people": self.one_nn.count,
        }


def _flat(name: str, number: Number | None) -> dict[str, Any]:
    known = number or Number(float("nan"))
    value = None if number is None else number.value
    return {name: value, f"{name}_interval_low": known.low, f"{name}_interval_high": known.high}


def verify(
    h: Floats, people: Codes, *, most_pairs: int = MOST_PAIRS, seed: int = 0
) -> Verification:
    """The verification protocol on representations (N, d) of people, whose codes are (N,).

    All same and all different pairs are compared, but at most `most_pairs` of either kind, drawn
    by `seed`. Raises ValueError without a pair of both kinds, and for an h that is not finite.
    """
    compared = compare(h, people, most_pairs=most_pairs, seed=seed)
    same, (accuracy, disjoint) = compared.pairs.same, compared.accuracy(seed)
    return Verification(
        images=len(h),
        people=compared.units.count,
        same_pairs=int(same.sum()),
        different_pairs=int((~same).sum()),
        auc=compared.auc(),
        accuracy=accuracy,
        accuracy_people_disjoint=disjoint,
        tar={far: compared.tar(far) for far in FALSE_ACCEPT_RATES},
        one_nn=one_nn(h, people),
        curve=roc_curve(compared.scores, same),
    )


@dataclass(frozen=True, eq=False)
class Compared:
    """Pairs of images, how alike the two of each are, (n,), and by whom the numbers vary.

    A person counts by the pairs of their images; without any they are a stranger to others.
    """

    people: Codes
    members: Codes  # the person of each image, 0…G−1
    pairs: Pairs
    scores: Floats
    units: Units

    @property
    def whose(self) -> tuple[Codes, Codes]:
        """The person, 0…G−1, of each pair's first image, and of its second."""
        return self.members[self.pairs.first], self.members[self.pairs.second]

    def auc(self) -> Jackknife:
        """The share of couples of pairs that are in order, by person."""
        same = self.pairs.same
        without = auc_without(self.scores, same, *self.whose, self.units.count)
        return Jackknife(roc_auc(self.scores, same), without, self.units)

    def tar(self, far: float) -> Number | None:
        """The true accept rate, by person; None where the pairs are too few."""
        same = self.pairs.same
        value = true_accept_rate(self.scores, same, far)
        if value is None:
            return None
        without = tar_without(self.scores, same, *self.whose, self.units.count, far)
        return Jackknife(value, without, self.units).number

    def accuracy(self, seed: int = 0) -> tuple[Number | None, bool]:
        """The mean over ten folds, and whether no person is in two of them.

        None where the pairs are too few for folds; without an interval where people are.
        """
        found, disjoint = fold_accuracies(self.scores, self.pairs, self.people, seed=seed)
        if found is None:
            return None, disjoint
        if not disjoint:
            how = "no interval: people are too few for folds that share none"
            return Number(float(found.mean()), how=how, count=FOLDS), disjoint
        return mean(found, over="folds by person"), disjoint


def compare(h: Floats, people: Codes, *, most_pairs: int = MOST_PAIRS, seed: int = 0) -> Compared:
    """All pairs, or at most `most_pairs` of either kind, by the cosine of h; raises as `verify`."""
    if len(h) != len(people):
        raise ValueError(f"{len(h)} representations, but {len(people)} people's codes")
    if not np.isfinite(h).all():
        raise ValueError("a representation is not finite")
    pairs = make_pairs(people, most_pairs=most_pairs, seed=seed)
    _, members, images = np.unique(people, return_inverse=True, return_counts=True)
    units = Units(len(h), "images", images * (images - 1) / 2.0, members, "people")
    return Compared(people, members, pairs, similarities(h, pairs), units)


def one_nn(h: Floats, people: Codes) -> Number:
    """Of the images of people with two or more, the share whose nearest other is of the same."""
    hits, queries = nearest_neighbour(h, people)
    return share(hits, (people[queries], "people"))
