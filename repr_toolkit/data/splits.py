"""The fixed splits of data that come without them, or without all of them."""

import logging
from collections.abc import Mapping

import numpy as np

from repr_toolkit.data.images import SPLITS, Array

logger = logging.getLogger(__name__)

# Images: enough for bits/dim to three decimals; a tenth of ImageNet would only cost time.
LARGEST_VALIDATION = 10_000


def consecutive(counts: Mapping[str, int]) -> dict[str, Array]:
    """The row numbers of splits that lie one after another, from how many rows each has.

    >>> consecutive({"train": 3, "test": 2})
    {'train': array([0, 1, 2]), 'test': array([3, 4])}
    """
    ends = np.cumsum([*counts.values()])
    return dict(zip(counts, np.split(np.arange(ends[-1]), ends[:-1]), strict=True))


def hold_out(
    rows: Array, count: int, groups: tuple[Array, str] | None = None
) -> tuple[Array, Array]:
    """Split row numbers into (the rest, held out), both ascending; the same ones every time.

    `count` rows are held out, drawn by `numpy.random.default_rng(0)`. With `groups`, a code for
    every row of the data such as a person's, and what the codes are of, whole groups are drawn
    until they have at least `count` rows, so that no group is on both sides.

    Raises ValueError if one side would be empty.
    """
    codes, what = (rows, "images") if groups is None else (groups[0][rows], groups[1])
    unique, members, counts = np.unique(codes, return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(unique))
    number = 1 + int(np.searchsorted(np.cumsum(counts[order]), count))
    if number >= len(unique):
        raise ValueError(f"{len(unique)} {what} are too few to hold out {count} of their images")
    held = np.isin(members, order[:number])
    return rows[~held], rows[held]


def complete_splits(
    name: str, rows: Mapping[str, Array], groups: tuple[Array, str] | None = None
) -> dict[str, Array]:
    """Train, val and test from the splits that the data set `name` brings, by fixed rules.

    - all three: as they are;
    - train and test: a tenth of train, at most 10,000 images, becomes val;
    - train and val: results are reported on such a val (as for ImageNet), so it becomes test, and
      val is cut from train as above;
    - train alone: a tenth becomes test, a tenth val.

    `hold_out` draws what is cut off, by `groups` if given.

    Raises ValueError, which names the data set, for other splits, an empty one, or too few images.
    """
    if "train" not in rows or not set(rows) <= set(SPLITS):
        names = ", ".join(rows) or "none"
        raise ValueError(f"{name}: the splits must be train, val and test, got {names}")
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
