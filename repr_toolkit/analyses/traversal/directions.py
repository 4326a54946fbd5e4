"""Directions in a space of vectors, and moves along them.

The space may be that of an encoder's h or of a flow's z: nothing here knows what made the vectors
or what decodes them. They are float (N, d), those of training images where statistics are taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.probing.linear import STRENGTHS, Features

Flags = npt.NDArray[np.bool_]  # (N,), true for the images that have it
DEVIATIONS, DIFFERENCE = "standard deviations", "of the difference of means"


@dataclass(frozen=True, eq=False)
class Direction:
    """A unit vector with a name, and how far α = 1 goes along it.

    ``unit`` says what α counts: standard deviations of the training vectors along the direction,
    or the way from the mean of those without an attribute to the mean of those with it.
    """

    name: str
    vector: npt.NDArray[np.float64]  # (d,), of length 1
    scale: float
    unit: str = DEVIATIONS

    @property
    def span(self) -> float:
        """How far a traversal goes to either side, where nothing else is asked for: in α."""
        return 1.0 if self.unit == DIFFERENCE else 3.0


def move(h: Tensor, direction: Direction, alpha: float, *, keep_length: bool = False) -> Tensor:
    """h + α · scale · vector, for h (…, d) of any dtype and device; with α = 0 h itself.

    With ``keep_length`` each vector is then scaled to the length that it had, so that what is on
    a sphere, such as a face embedding, stays on it. Raises ValueError for h of another dimension.
    """
    if h.shape[-1] != len(direction.vector):
        raise ValueError(
            f"{direction.name} is a direction in {len(direction.vector)} dimensions, but h has "
            f"{h.shape[-1]}"
        )
    if alpha == 0:
        return h
    step = torch.from_numpy(alpha * direction.scale * direction.vector).to(h)
    moved = h + step
    if keep_length:
        moved = moved * (h.norm(dim=-1, keepdim=True) / moved.norm(dim=-1, keepdim=True))
    return moved


def moves(
    h: Tensor, direction: Direction, alphas: Sequence[float], *, keep_length: bool = False
) -> Tensor:
    """Where each row of h (N, d) is for every α: (N, S, d)."""
    return torch.stack(
        [move(h, direction, alpha, keep_length=keep_length) for alpha in alphas], dim=1
    )


def even_steps(span: float, steps: int) -> list[float]:
    """``steps`` equal steps from −span to span; where they are odd the middle is 0 exactly.

    Raises ValueError for fewer than two, and unless the span is finite and above 0.
    """
    if steps < 2 or not (span > 0 and isfinite(span)):
        raise ValueError(
            f"a traversal has at least 2 steps and a finite span above 0, not {steps}, {span}"
        )
    return [span * (2 * step - (steps - 1)) / (steps - 1) for step in range(steps)]


def of_one_length(h: Features) -> bool:
    """Whether all rows have the same length, to one part in a thousand: h is on a sphere.

    One-hot vectors are not: they are the corners of a simplex, and the way between two is straight.
    """
    lengths = np.linalg.norm(h.astype(np.float64), axis=1)
    corners = (np.count_nonzero(h, axis=1) <= 1).all()
    return bool(np.ptp(lengths) < 1e-3 * lengths.mean() and not corners)


def coordinate(h: Features, number: int) -> Direction:
    """One coordinate of h. Raises ValueError for one that it lacks."""
    dimension = h.shape[1]
    if not 0 <= number < dimension:
        raise ValueError(f"h has the coordinates 0…{dimension - 1}, not {number}")
    return _in_deviations(f"coordinate {number}", np.eye(dimension)[number], h)


def principal(h: Features, number: int) -> Direction:
    """A principal direction of h, 0 being that of the greatest variance.

    Its sign is that which makes its largest entry positive. Raises ValueError for one beyond
    the dimensions, or the vectors, that there are.
    """
    from sklearn.decomposition import PCA

    most = min(h.shape[1], len(h) - 1)
    if not 0 <= number < most:
        raise ValueError(f"h has the principal directions 0…{most - 1}, not {number}")
    found = PCA(number + 1, svd_solver="covariance_eigh").fit(h.astype(np.float64))
    vector = found.components_[number]
    vector = vector * np.sign(vector[np.abs(vector).argmax()])
    return _in_deviations(f"principal {number}", vector, h)


def probe(
    h: Features,
    positive: Flags,
    name: str,
    *,
    checked: tuple[Features, Flags] | None = None,
    strengths: Sequence[float] = STRENGTHS,
) -> Direction:
    """The direction in which a logistic regression's odds of an attribute rise the fastest.

    It is fitted to standardised h, and its weights are brought back to h's own scale. The inverse
    L2 strength C is the one of ``strengths`` with the least log loss on ``checked``, vectors of
    validation images and their flags (the smallest among equals); without any, 1. Raises
    ValueError where all have the attribute, or none.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.preprocessing import StandardScaler

    _require_both(positive, name)
    scaler = StandardScaler().fit(h.astype(np.float64))
    inputs = scaler.transform(h.astype(np.float64))
    best, weights = np.inf, np.zeros(h.shape[1])
    for strength in sorted(strengths) if checked else (1.0,):
        fitted = LogisticRegression(C=strength, max_iter=10_000).fit(inputs, positive)
        loss = 0.0
        if checked:
            seen = scaler.transform(checked[0].astype(np.float64))
            loss = float(log_loss(checked[1], fitted.predict_proba(seen), labels=[False, True]))
        if loss < best:
            best, weights = loss, fitted.coef_[0] / scaler.scale_
    return _in_deviations(f"probe {name}", weights, h)


def mean_difference(h: Features, positive: Flags, name: str) -> Direction:
    """From the mean of the vectors without an attribute to that of those with it, z_pos − z_neg.

    α = 1 goes the whole way (1807.03039, §6). Raises ValueError where all have the attribute, or
    none, or the two means are the same.
    """
    _require_both(positive, name)
    values = h.astype(np.float64)
    difference = values[positive].mean(0) - values[~positive].mean(0)
    length = float(np.linalg.norm(difference))
    if length == 0:
        raise ValueError(f"the mean h with {name} is the same as without: there is no direction")
    return Direction(f"mean {name}", difference / length, length, DIFFERENCE)


def _in_deviations(name: str, vector: npt.NDArray[np.float64], h: Features) -> Direction:
    length = float(np.linalg.norm(vector))
    if length == 0:
        raise ValueError(f"{name} has no direction: its vector is zero")
    vector = vector / length
    return Direction(name, vector, float((h.astype(np.float64) @ vector).std()))


def _require_both(positive: Flags, name: str) -> None:
    if positive.all() or not positive.any():
        having = "every" if positive.all() else "no"
        raise ValueError(f"{having} training image has {name}: there is nothing to tell apart")
