"""Cross-validation by identity: every person is tested once, by a model that never saw them."""

import hashlib
from copy import copy

import numpy as np

from repr_toolkit.data.identity_batches import identity_key
from repr_toolkit.data.images import Array, ImageData

LEAST_PEOPLE = 2  # people in a split, which compares at least two


def fold_people(people: Array, fold: int, folds: int, inner: int | None = None) -> dict[str, Array]:
    """The codes of the people of train, val and test, ascending; the same ones every time.

    In a random order that never changes (`numpy.random.default_rng(0)`) the people are cut into
    `folds` groups of nearly equal size. Group `fold` is test. Of the other people the first tenth
    of that order, at least two, are val, and the rest train. With `inner` they are instead cut in
    the same way, into the splits of that fold: what is chosen by it knows nothing of whom `fold`
    tests.

    Raises ValueError for a fold outside 0…folds−1, and if a split would have fewer than two people.
    """
    for name, number in {"fold": fold, "inner": 0 if inner is None else inner}.items():
        if not 0 <= number < folds:
            raise ValueError(f"data.{name} is 0…{folds - 1} for data.folds {folds}, not {number}")
    order = np.random.default_rng(0).permutation(np.unique(people))
    groups = np.array_split(order, folds)  # the first is a largest, the last a smallest
    rest = len(order) - len(groups[0])
    if min(len(groups[-1]), rest - _held(rest)) < LEAST_PEOPLE:
        raise ValueError(
            f"{len(order)} people are too few for {folds} folds: train, val and test each need "
            f"{LEAST_PEOPLE} or more; set data.folds to 2, or take data of more people"
        )
    others = np.concatenate([group for number, group in enumerate(groups) if number != fold])
    held = _held(len(others))
    splits = {"train": others[held:], "val": others[:held], "test": groups[fold]}
    if inner is not None:
        return fold_people(others, inner, folds)
    return {split: np.sort(codes) for split, codes in splits.items()}


def _held(people: int) -> int:
    """How many of the people outside test are val."""
    return max(LEAST_PEOPLE, round(people / 10))


def choose_fold(data: ImageData, fold: int, folds: int, inner: int | None = None) -> ImageData:
    """The same data with the splits of `fold_people` in place of their own.

    `identity_key` names the key that identifies people. The fingerprint covers the new splits.
    Raises ValueError, which names the data, as those two do.
    """
    codes = data.arrays[identity_key(data)]
    rows = np.sort(np.concatenate([*data.rows.values()]))  # without the images in no split
    try:
        people = fold_people(codes[rows], fold, folds, inner)
    except ValueError as error:
        raise ValueError(f"{data.name}: {error}") from error
    folded = copy(data)
    folded.name = f"{data.name}, fold {fold}" + ("" if inner is None else f".{inner}")
    folded.rows = {split: rows[np.isin(codes[rows], members)] for split, members in people.items()}
    digest = hashlib.sha256(data.fingerprint.encode())
    for split, members in folded.rows.items():
        digest.update(f" {split} ".encode() + members.tobytes())
    folded.fingerprint = digest.hexdigest()
    return folded.quantised(data.levels)
