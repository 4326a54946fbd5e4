"""MDL probing: how many bits it takes to send the labels to somebody who has h.

E. Voita and I. Titov, "Information-theoretic probing with minimum description length",
arXiv:2003.12298, §3.2: the online (prequential) code. Unlike accuracy it counts how many labels it
takes to learn to read h, and how sure the reader becomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log2
from typing import Any

import numpy as np
import numpy.typing as npt

from repr_toolkit.analyses.probing.classifiers import (
    STRENGTHS,
    Features,
    Fits,
    improvements,
    one_thread,
    regressions,
)
from repr_toolkit.support.stats import Number, mean

Codes = npt.NDArray[np.int64]  # (N,)
Floats = npt.NDArray[np.float64]

FIRST = 32  # labels that the first portion has at the least
INNER = 0.2  # share of the labels sent that choose C


@dataclass(frozen=True)
class OnlineCode:
    """The code's length in bits, in one random order of the images for each seed.

    Attributes:
        classes: K, the codes that the labels have.
        ends: t₁ < t₂ < … < n, how many labels have been sent after each portion.
        bits: Of each order, the bits of each portion; the first is sent by the uniform code.
        null_bits: The same of the same portions and orders, by a probe with an intercept alone.
        strengths: Of each order, the C that was chosen for each portion but the first; None where
            the labels sent were all the same, which no regression can be fitted to.
    """

    classes: int
    ends: tuple[int, ...]
    bits: tuple[tuple[float, ...], ...]
    null_bits: tuple[tuple[float, ...], ...]
    strengths: tuple[tuple[float | None, ...], ...]

    @property
    def uniform(self) -> float:
        """n·log₂ K bits: what the labels cost somebody who knows nothing."""
        return self.ends[-1] * log2(self.classes)

    @property
    def total(self) -> Number:
        """The code's length in bits, the mean over the orders; without interval for one order.

        The interval tells how much the order matters, and not what other images would give.
        """
        return over_orders([sum(order) for order in self.bits])

    @property
    def null(self) -> Number:
        """The length of the code of somebody who learns the labels' frequencies, without any h."""
        return over_orders([sum(order) for order in self.null_bits])

    @property
    def saved(self) -> Number:
        """The bits that h saves that somebody, order by order: about 0 where h tells nothing.

        Below 0 where it misleads more than it tells.
        """
        pairs = zip(self.null_bits, self.bits, strict=True)
        return over_orders([sum(null) - sum(order) for null, order in pairs])

    @property
    def against_uniform(self) -> float:
        """The uniform code's length over this one's; above 1 also by unequal classes alone."""
        return self.uniform / self.total.value

    def as_dict(self) -> dict[str, Any]:
        """The lengths in bits, ready for JSON."""
        return {
            "bits": self.total.as_dict(),
            "null_bits": self.null.as_dict(),
            "bits_saved": self.saved.as_dict(),
            "uniform_bits": self.uniform,
            "compression_against_uniform": self.against_uniform,
            "ends": self.ends,
            "bits_of_portions": self.bits,
            "null_bits_of_portions": self.null_bits,
            "C_of_portions": self.strengths,
        }


def over_orders(lengths: Sequence[float]) -> Number:
    """The mean of lengths in bits, one an order, with Student's t interval over the orders."""
    if len(lengths) < 2:
        return Number(lengths[0], how="no interval: one order", count=1)
    return replace(mean(np.array(lengths), over="orders", least=2), error=None)


@one_thread()
def online_code(
    features: Features,
    labels: Codes,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    strengths: Sequence[float] = STRENGTHS,
    first: int = FIRST,
) -> OnlineCode:
    """The online code of labels (n,) for somebody who has features (n, d), standardised.

    The images come in a random order for each seed, in portions that double. The labels of the
    first are sent by the uniform code over the K classes, those of every other with −log₂ q(y|h),
    where q is a logistic regression of all labels sent before. Its C is the one of `strengths`
    that would have sent the last fifth of these in the fewest bits, when fitted to the rest (tried
    upwards, as `improvements` does). q is mixed with the uniform distribution, of weight
    1/(t + 1) after t labels, so that no label costs more than log₂ K(t + 1) bits, a class that has
    not been seen included. The null is the same with a regression that has no features, whose
    intercepts are the frequencies of the labels sent. Raises ValueError for fewer than two classes
    or images of another number than labels.
    """
    if len(features) != len(labels):
        raise ValueError(f"there are {len(features)} rows of features and {len(labels)} labels")
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError("the labels are all the same, so there is nothing to send")
    ends = portions(len(labels), first)
    bits, null_bits, chosen = [], [], []
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(labels))
        lengths = [ends[0] * log2(len(classes))]
        null = lengths.copy()
        strength: list[float | None] = []
        for start, end in pairwise(ends):
            sent, following = order[:start], order[start:end]
            best = choose_strength(features, codes, sent, len(classes), strengths)
            q = probabilities(features, codes, sent, following, len(classes), best)
            lengths.append(_bits(q, codes[following]))
            strength.append(best)
            frequencies = np.tile(mixed_frequencies(codes[sent], len(classes)), (end - start, 1))
            null.append(_bits(frequencies, codes[following]))
        null_bits.append(tuple(null))
        bits.append(tuple(lengths))
        chosen.append(tuple(strength))
    return OnlineCode(len(classes), tuple(ends), tuple(bits), tuple(null_bits), tuple(chosen))


def portions(count: int, first: int = FIRST) -> list[int]:
    """The ends of portions that double up to `count`; the first has at least `first` labels.

    >>> portions(1000, 100)
    [125, 250, 500, 1000]
    """
    ends = [count]
    while -(-ends[0] // 2) >= max(1, first) and ends[0] > 1:
        ends.insert(0, -(-ends[0] // 2))
    return ends


def choose_strength(
    features: Features, codes: Codes, sent: Codes, classes: int, strengths: Sequence[float]
) -> float | None:
    """The C that codes the last fifth of the labels sent best; None where these are all the same.

    `sent` are the row numbers in their order; nothing else is looked at.
    """
    if len(np.unique(codes[sent])) < 2:
        return None
    cut = len(sent) - max(1, round(INNER * len(sent)))
    inner, held = sent[:cut], sent[cut:]
    if len(strengths) == 1 or len(np.unique(codes[inner])) < 2:
        return min(strengths)
    fits = mixed_regressions(features[inner], codes[inner], classes, strengths)
    known = (features[held], codes[held])
    *_, (settings, _, _) = improvements(fits, known, lambda truth, q: -_bits(q, truth))
    return settings["C"]


def probabilities(
    features: Features,
    codes: Codes,
    sent: Codes,
    following: Codes,
    classes: int,
    strength: float | None,
) -> Floats:
    """q(y|h) of the rows `following`, float64 (m, K), learnt from the rows `sent` alone."""
    if strength is None:  # one class only
        return np.tile(mixed_frequencies(codes[sent], classes), (len(following), 1))
    [(_, predict)] = mixed_regressions(features[sent], codes[sent], classes, (strength,))
    return predict(features[following])


def mixed_regressions(x: Features, y: Codes, classes: int, strengths: Sequence[float]) -> Fits:
    """`regressions` that predict q(y|h), (m, K), mixed with the uniform distribution over all K."""
    for strength, regression in regressions(x, y, strengths):

        def predict(features: Features, regression: Any = regression) -> Floats:
            q = np.zeros((len(features), classes))
            q[:, regression.classes_] = regression.predict_proba(features.astype(np.float64))
            return _mixed(q, len(y))

        yield {"C": strength}, predict


def mixed_frequencies(sent: Codes, classes: int) -> Floats:
    """The frequencies of the labels sent, (K,), mixed with the uniform distribution."""
    return _mixed(np.bincount(sent, minlength=classes) / len(sent), len(sent))


def _mixed(q: Floats, sent: int) -> Floats:
    """q (…, K), mixed with the uniform distribution of weight 1/(t + 1) after t labels."""
    weight = 1 / (sent + 1)
    blend: Floats = (1 - weight) * q + weight / q.shape[-1]
    return blend


def _bits(q: Floats, codes: Codes) -> float:
    return float(-np.log2(q[np.arange(len(codes)), codes]).sum())
