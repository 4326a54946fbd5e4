"""The fixed splits of data that come without them, or without all of them."""

import logging
from collections.abc import Mapping

import numpy as np

from repr_toolkit.data.images import SPLITS, Array

logger = logging.getLogger(__name__)

# Enough to measure bits/dim to three decimals; a tenth of ImageNet would only cost time.
LARGEST_VALIDATION = 10_000


def hold_out(rows: Array, wanted: int, groups: Array | None = None) -> tuple[Array, Array]:
    """Splits row numbers into (kept, held out), both ascending; the same ones every time.

    ``wanted`` rows are held out, drawn by ``numpy.random.default_rng(0)``. With ``groups``, a code
    for every row of the data such as a person's, whole groups are drawn until there are at least
    ``wanted`` rows, so that no group is on both sides.

    Raises ValueError where nothing would be left on one side.
    """
    codes = rows if groups is None else groups[rows]
    unique, members, counts = np.unique(codes, return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(unique))
    drawn = 1 + int(np.searchsorted(np.cumsum(counts[order]), wanted))
    if drawn >= len(unique):
        what = "images" if groups is None else "identities"
        raise ValueError(f"{len(unique)} {what} are too few to hold out {wanted} of their images")
    held = np.zeros(len(unique), dtype=bool)
    held[order[:drawn]] = True
    return rows[~held[members]], rows[held[members]]


def complete_splits(
    name: str, rows: Mapping[str, Array], groups: Array | None = None
) -> dict[str, Array]:
    """Train, val and test from those that the data set ``name`` brings, by fixed rules.

    - all three: as they are;
    - train and test: a tenth of train, at most 10,000 images, becomes val;
    - train and val: the val that came is the one that results are reported on (as for ImageNet),
      so it becomes test, and val is cut from train as above;
    - train alone: a tenth becomes test, a tenth val.

    What is cut off is drawn by :func:`hold_out`, by ``groups`` (a code a row) where given.

    Raises ValueError, naming the data set, for other splits, an empty one, or too few images.
    """
    if "train" not in rows or not set(rows) <= set(SPLITS):
        found = ", ".join(rows) or "none"
        raise ValueError(f"{name}: the splits must be train, val and test, got {found}")
    for split, members in rows.items():
        if len(members) == 0:
            raise ValueError(f"{name}: the split {split!r} is empty")
    if set(rows) == set(SPLITS):
        return dict(rows)
    train = rows["train"]
    tenth = max(1, round(len(train) / 10))
    try:
        if set(rows) == {"train"}:
            train, test = hold_out(train, tenth, groups)
        else:
            test = rows["test"] if "test" in rows else rows["val"]
            tenth = min(tenth, LARGEST_VALIDATION)
        train, val = hold_out(train, tenth, groups)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    logger.info("%s: %d train, %d val, %d test images", name, len(train), len(val), len(test))
    return {"train": train, "val": val, "test": test}
