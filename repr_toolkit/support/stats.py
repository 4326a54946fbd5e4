"""Numbers with what is known of their error: means, shares and their intervals."""

import math
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Estimate:
    """A mean over ``count`` images with its standard error, sd/√count."""

    mean: float
    standard_error: float
    count: int

    @classmethod
    def of(cls, values: npt.NDArray[np.floating[Any]]) -> "Estimate":
        """Estimate from one value per image; ValueError for fewer than two values."""
        if len(values) < 2:
            raise ValueError(f"a standard error needs at least two images, not {len(values)}")
        values = values.astype(np.float64)
        error = values.std(ddof=1) / sqrt(len(values))
        return cls(float(values.mean()), float(error), len(values))


NORMAL_95 = 1.959963984540054


def normal_interval(estimate: Estimate) -> tuple[float, float]:
    """The 95 % interval of a mean over many images, mean ± 1.96 standard errors."""
    half = NORMAL_95 * estimate.standard_error
    return estimate.mean - half, estimate.mean + half


def wilson_interval(correct: int, count: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval for a share ``correct / count`` (95 % by default).

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    Unlike mean ± z·sd it stays within [0, 1] and keeps a width at 0 and 1. Raises ValueError unless
    0 ≤ correct ≤ count and count ≥ 1.
    """
    if count < 1 or not 0 <= correct <= count:
        raise ValueError(f"{correct} of {count} is not a share")
    share = correct / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    half = spread * z / (1 + z * z / count)
    return max(0.0, centre - half), min(1.0, centre + half)
