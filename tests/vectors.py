"""Vectors whose statistics are known."""

import numpy as np


def cloud(count: int = 400, seed: int = 0) -> np.ndarray:
    """Vectors of four dimensions with standard deviations 3, 1, 2, 0.5, off the origin."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(count, 4)) * [3, 1, 2, 0.5] + [5, 0, -1, 2]
    return values.astype(np.float32)
