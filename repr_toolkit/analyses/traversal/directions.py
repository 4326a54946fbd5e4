"""Directions in a space of vectors, and moves along them.

The vectors are float (N, d); statistics are those of training images. They may be an encoder's h or
a flow's z: nothing here knows what made them or what decodes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.probing.classifiers import (
    STRENGTHS,
    Features,
    ends,
    one_thread,
    regressions,
)
from repr_toolkit.data.attributes import Flags

WIDE = 1000  # numbers in a vector, above which the first principal directions are sought alone
DEVIATIONS, DIFFERENCE = "standard deviations", "of the difference of means"


@dataclass(frozen=True, eq=False)
class Direction:
    """A direction with a name, and what α counts along it.

    Attributes:
        name: Such as "principal 0".
        vector: (d,), of length 1.
        scale: How far α = 1 goes.
        unit: What α counts: `DEVIATIONS` of the training vectors along the direction, or parts
            of the `DIFFERENCE` between the mean with an attribute and the mean without it.
        at_end: Its settings that were chosen at an end of what was tried, as texts.
    """

    name: str
    vector: npt.NDArray[np.float64]
    scale: float
    unit: str = DEVIATIONS
    at_end: tuple[str, ...] = ()

    @property
    def span(self) -> float:
        """How far a traversal goes to either side by default, in α."""
        return 1.0 if self.unit == DIFFERENCE else 3.0


def move(h: Tensor, direction: Direction, alpha: float, *, keep_length: bool = False) -> Tensor:
    """h + α · scale · vector, for h (…, d) of any dtype and device; h itself for α = 0.

    With `keep_length` each vector is scaled back to its length, so that face embeddings stay on
    their sphere. Raises ValueError for h of another dimension.
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


def even_steps(span: float, steps: int) -> list[float]:
    """`steps` values of α, equally spaced from −span to span; the middle of an odd number is 0.

    Raises ValueError for fewer than two, and unless the span is finite and above 0.
    """
    if steps < 2 or not (span > 0 and isfinite(span)):
        raise ValueError(
            f"a traversal has at least 2 steps and a finite span above 0, not {steps}, {span}"
        )
    return [span * (2 * step - (steps - 1)) / (steps - 1) for step in range(steps)]


def of_one_length(h: Features) -> bool:
    """Whether all rows lie on a sphere: the same length, to one part in a thousand.

    One-hot vectors do not count: the way between two corners of a simplex is straight.
    """
    lengths = np.linalg.norm(h.astype(np.float64), axis=1)
    corners = (np.count_nonzero(h, axis=1) <= 1).all()
    return bool(np.ptp(lengths) < 1e-3 * lengths.mean() and not corners)


def coordinate(h: Features, number: int) -> Direction:
    """Coordinate `number` of h. Raises ValueError where h has no such coordinate."""
    dimension = h.shape[1]
    if not 0 <= number < dimension:
        raise ValueError(f"h has the coordinates 0…{dimension - 1}, not {number}")
    return _in_deviations(f"coordinate {number}", np.eye(dimension)[number], h)


def principal(h: Features, numbers: Sequence[int]) -> list[Direction]:
    """The principal directions of h of some numbers, 0 that of the greatest variance, by one fit.

    The sign of each makes its largest entry positive. Raises ValueError for a number beyond the
    dimensions of h or the number of vectors.
    """
    from sklearn.decomposition import PCA

    most = min(h.shape[1], len(h) - 1)
    for number in numbers:
        if not 0 <= number < most:
            raise ValueError(f"h has the principal directions 0…{most - 1}, not {number}")
    last = max(numbers)
    # Few of very many, as of a flow's z, need not all eigenvectors: seconds instead of minutes.
    few = h.shape[1] > WIDE and last < WIDE // 10
    solver = "arpack" if few else "covariance_eigh"
    axes = PCA(last + 1, svd_solver=solver, random_state=0).fit(h.astype(np.float64)).components_
    axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1))
    return [_in_deviations(f"principal {number}", axes[number], h) for number in numbers]


@one_thread()
def probe(h: Features, positive: Flags, name: str, checked: tuple[Features, Flags]) -> Direction:
    """The direction in which a logistic regression's odds of an attribute rise the fastest.

    The regression is fitted to standardised h, and its weights are brought back to the scale of h.
    The inverse L2 strength C is the one of `STRENGTHS` with the least log loss on `checked`,
    validation vectors and their flags (the smallest among equals). Raises ValueError where all
    vectors have the attribute, or none.
    """
    from sklearn.metrics import log_loss
    from sklearn.preprocessing import StandardScaler

    _require_both(positive, name)
    scaler = StandardScaler().fit(h.astype(np.float64))
    inputs, seen = (scaler.transform(v.astype(np.float64)) for v in (h, checked[0]))
    least = np.inf
    for strength, fitted in regressions(inputs, positive, STRENGTHS):
        loss = log_loss(checked[1], fitted.predict_proba(seen), labels=[False, True])
        if loss < least:
            least, chosen, weights = loss, strength, fitted.coef_[0] / scaler.scale_
    at_end = tuple(ends({"C": chosen}, {"C": STRENGTHS}))
    return replace(_in_deviations(f"probe {name}", weights, h), at_end=at_end)


def mean_difference(h: Features, positive: Flags, name: str) -> Direction:
    """From the mean of the vectors without an attribute to the mean of those with it.

    α = 1 goes the whole way, z_pos − z_neg of arXiv:1807.03039, §6. Raises ValueError where all
    vectors have the attribute, or none, or the two means are the same.
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


def alpha_text(alpha: float) -> str:
    """α with its sign, to three digits, without trailing zeros.

    >>> alpha_text(-0.75), alpha_text(0.0), alpha_text(0.005), alpha_text(15 / 7)
    ('−0.75', '0', '0.005', '2.14')
    """
    return f"{alpha:.{3 if abs(alpha) < 1000 else 17}g}".replace("-", "−")
