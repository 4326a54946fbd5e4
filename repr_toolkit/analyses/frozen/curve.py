"""Learning curves: the bits that h saves on validation images, over the steps of training."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from repr_toolkit.runs.metrics import read_metrics
from repr_toolkit.runs.run import Run

LAST = 0.25
"""The part of training whose rise is told."""
RISING = 0.01
"""The rise over it, as a part of what is saved in the end, from which a curve is said to rise."""


def learning_curve(pairs: Sequence[tuple[Run, Run]], dims: int) -> dict[str, Any] | None:
    """The curve of trainings on an h, each with its null, (null, own), of one pair a seed.

    `steps` are those of the validations, `of_seeds` the bits saved at each, an image of `dims`
    sub-pixels, a list a seed. `rise` is what the mean over seeds gained over the last quarter, and
    `rising` whether all seeds gained and it is more than a hundredth of what is saved; both None
    where no validation stands so early. None where no training has kept its measurements.
    """
    metric = "val/bits_per_dim"
    curves = [[read_metrics(r.metrics_file).get(metric, {}) for r in pair] for pair in pairs]
    steps = sorted(set.intersection(*(set(curve) for pair in curves for curve in pair)))
    if not steps:
        return None
    saved = dims * np.array([[null[step] - own[step] for step in steps] for null, own in curves])
    rise = rising = None
    if before := [i for i, step in enumerate(steps) if step <= (1 - LAST) * steps[-1]]:
        gained = saved[:, -1] - saved[:, before[-1]]
        rise = float(gained.mean())
        rising = bool((gained > 0).all() and rise > RISING * abs(saved[:, -1].mean()))
    return {"steps": steps, "of_seeds": saved.tolist(), "rise": rise, "rising": rising}
