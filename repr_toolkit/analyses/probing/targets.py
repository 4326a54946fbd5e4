"""What there is to probe for: the labels and attributes that a data set holds of its images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from repr_toolkit.data import ImageData
from repr_toolkit.data.attributes import find_attribute
from repr_toolkit.data.images import SPLITS, find_column

Values = npt.NDArray[Any]  # int64 (N,) codes, or float64 (N, k)
Rows = npt.NDArray[np.int64]

NEVER = (
    *("image", "embedding", "group", "photograph"),
    *("face_box", "face_probability", "face_turned"),  # how `faces` found it
)
"""Keys of a batch that are no attribute."""
COLUMNS = 100  # attributes of one key that are probed, each by itself


@dataclass(frozen=True, eq=False)
class Target:
    """Something to read from h.

    Attributes:
        name: The batch key, with the column in brackets where a key holds several codes; or what
            names one class or attribute, whose values are then 1 where an image has it, else 0.
        values: Of each split, int64 codes (n,) or real numbers, float64 (n, k).
        rows: Of each split, the positions of these n images in it, ascending.
        dropped: Of each split, how many of the images asked for had no finite value.
    """

    name: str
    values: Mapping[str, Values]
    rows: Mapping[str, Rows]
    dropped: Mapping[str, int]

    @property
    def kind(self) -> str:
        """ "classification" of codes, "regression" of real numbers."""
        return "classification" if self.values["train"].ndim == 1 else "regression"

    @property
    def classes(self) -> int:
        """How many codes the training images have; 0 in regression."""
        return len(np.unique(self.values["train"])) if self.kind == "classification" else 0

    @property
    def unseen(self) -> int:
        """Test images whose code no training image has: each is an error of any probe."""
        if self.kind == "regression":
            return 0
        return int((~np.isin(self.values["test"], self.values["train"])).sum())


@dataclass(frozen=True)
class Skipped:
    """A key of the data that is not probed, and why."""

    name: str
    why: str


def find_targets(
    data: ImageData,
    names: Sequence[str] | None = None,
    *,
    rows: Mapping[str, Rows] | None = None,
) -> tuple[list[Target], list[Skipped]]:
    """The targets of a data set, and the keys that cannot be one.

    Every key is a target but the image and the embedding, or those of `names` alone: KEY, one
    column KEY[i] of it (see `ImageSplit.column`), or what `find_attribute` knows. Integers and
    truth values are codes to classify, each column by itself. Floating numbers are regressed, all
    that belong to an image together; images without a finite value are dropped and counted. A key
    is skipped where its training values are all the same, and codes are where no validation or no
    test image has one of training, as people of disjoint splits. `rows` gives the positions of the
    images to look at in each split (default: all). Raises ValueError for a name that the data lack.
    """
    keys = [key for key in data.arrays if key not in NEVER]
    attributes = {}
    for name in names or ():
        meant = find_column(data.arrays, name)
        try:
            if meant is None:
                attributes[name] = attribute = find_attribute(data, name)
                meant = find_column(data.arrays, attribute.key)
            if meant is None or meant[0] not in keys:
                raise ValueError(f"{data.name} has no target {name!r}")
        except ValueError as error:
            raise ValueError(f"{error}; to probe there are {', '.join(keys) or 'none'}") from error
    rows = rows or {split: np.arange(len(data.splits[split])) for split in SPLITS}
    targets: list[Target] = []
    skipped: list[Skipped] = []
    for key in dict.fromkeys(names or keys):
        columns: Mapping[str, Values] = {
            split: attributes[key].flags(data, split, chosen.tolist())
            if key in attributes
            else data.splits[split].column(key).numpy()[chosen]
            for split, chosen in rows.items()
        }
        if columns["train"].dtype.kind == "f":
            candidates = [_real(key, columns, rows)]
        elif (count := prod(columns["train"].shape[1:])) <= COLUMNS:
            candidates = _codes(key, columns, rows)
        else:
            why = f"{count:,} codes an image are too many to probe one by one ({COLUMNS} at most)"
            skipped.append(Skipped(key, why))
            continue
        for target in candidates:
            if why := _unfit(target):
                skipped.append(Skipped(target.name, why))
            elif target.name not in [t.name for t in targets]:
                targets.append(target)
    return targets, skipped


def _real(key: str, columns: Mapping[str, Values], rows: Mapping[str, Rows]) -> Target:
    flat = {s: v.reshape(len(v), -1).astype(np.float64) for s, v in columns.items()}
    finite = {s: np.isfinite(v).all(1) for s, v in flat.items()}
    return Target(
        key,
        {s: v[finite[s]] for s, v in flat.items()},
        {s: rows[s][finite[s]] for s in flat},
        {s: int((~finite[s]).sum()) for s in flat},
    )


def _codes(key: str, columns: Mapping[str, Values], rows: Mapping[str, Rows]) -> list[Target]:
    flat = {s: v.reshape(len(v), -1).astype(np.int64) for s, v in columns.items()}
    alone = columns["train"].ndim == 1
    return [
        Target(
            key if alone else f"{key}[{i}]",
            {s: v[:, i] for s, v in flat.items()},
            rows,
            dict.fromkeys(flat, 0),
        )
        for i in range(flat["train"].shape[1])
    ]


def _unfit(target: Target) -> str:
    """Why a target cannot be probed; "" if it can."""
    for split, values in target.values.items():
        if len(values) < 2:
            return f"fewer than two {split} images have a value"
    train = target.values["train"]
    if (train == train[0]).all():
        return "it is the same for every training image"
    if target.kind == "classification":
        for split in ("val", "test"):
            if not np.isin(target.values[split], train).any():
                return f"no {split} image has a value that occurs in training: the splits part them"
        return ""
    for split in ("val", "test"):
        if (target.values[split] == target.values[split][0]).all():
            return f"it is the same for every {split} image"
    return ""
