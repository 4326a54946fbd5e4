"""What probes read of targets from one representation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from repr_toolkit.analyses.probing.classifiers import PROBES, Features, choose
from repr_toolkit.analyses.probing.columns import Column
from repr_toolkit.analyses.probing.control import Tokens, control_task, shifted
from repr_toolkit.analyses.probing.mdl import online_code
from repr_toolkit.analyses.probing.result import Baseline, Reading, TargetResult
from repr_toolkit.analyses.probing.scores import (
    accuracy,
    missed,
    r_squared_in_short,
    scored_codes,
    scored_numbers,
    squares,
)
from repr_toolkit.analyses.probing.targets import Rows, Target
from repr_toolkit.data import ImageData
from repr_toolkit.data.images import SPLITS
from repr_toolkit.support.stats import Number


class Reader:
    """Reads targets from one representation, standardised by its training images: float32.

    `rows` are the images to look at of each split, `tell` gets a line on what is being done.
    """

    def __init__(
        self,
        column: Column,
        data: ImageData,
        rows: Mapping[str, Rows],
        seed: int,
        tell: Callable[[str], None],
    ) -> None:
        from sklearn.preprocessing import StandardScaler

        self.name, self.encode = column.h.name, column.encode
        self.data, self.rows, self.seed, self.tell = data, rows, seed, tell
        taken = {s: _take(column.h.h[s], rows[s]) for s in SPLITS}
        self.scaler = StandardScaler().fit(taken["train"])
        self.features = {s: self.scaler.transform(values) for s, values in taken.items()}

    def rows_of(self, target: Target, split: str) -> Features:
        """The rows of a target's images."""
        return _take(self.features[split], self._places(target, split))

    def read(
        self, target: Target, probes: Sequence[str], orders: int, control: bool
    ) -> Iterator[Reading]:
        """What each probe that fits a target reads of it, and the online code."""
        x = {split: self.rows_of(target, split) for split in SPLITS}
        y = target.values
        codes = target.kind == "classification"
        for name in probes:
            probe = PROBES[name]
            if target.kind not in probe.kinds:
                continue
            self.tell(f"probing {self.name} for {target.name}: {name}")
            chosen = choose(
                [partial(fits, x["train"], y["train"], self.seed) for fits in probe.series],
                (x["val"], y["val"]),
                x["test"],
                accuracy if codes else r_squared_in_short,
                probe.patience,
            )
            score = _scored(target, chosen.predicted, self.data)
            random_labels = None
            if control and codes:
                self.tell(f"probing {self.name} for {target.name}: {name}, control task")
                random_labels = control_task(
                    name,
                    chosen.settings,
                    x["train"],
                    y["train"],
                    self.tokens(target),
                    score.value,
                    seed=self.seed,
                )
            yield Reading(
                self.name,
                name,
                score=score,
                validation=chosen.validation,
                settings=dict(chosen.settings),
                control=random_labels,
                missed=missed(y["test"], chosen.predicted),
            )
        if codes and orders:
            self.tell(f"probing {self.name} for {target.name}: online code")
            seeds = range(self.seed, self.seed + orders)
            yield Reading(self.name, "mdl", code=online_code(x["train"], y["train"], seeds=seeds))

    def tokens(self, target: Target) -> Tokens:
        """What recurs: people, or else images and their shifted copies, or else nothing."""
        people = self._people(target)
        if people is not None:
            fitted, tested = people
            again = np.flatnonzero(np.isin(tested, fitted))
            groups = self.data.splits["test"].groups(target.rows["test"][again])
            again_h = self.rows_of(target, "test")[again]
            return Tokens("identity", fitted, tested[again], again_h, groups)
        types = np.arange(len(target.rows["train"]))
        groups = self.data.splits["train"].groups(target.rows["train"])
        if self._shifted is None:
            return Tokens("none", types, types, self.rows_of(target, "train"), groups)
        return Tokens(
            "view", types, types, _take(self._shifted, self._places(target, "train")), groups
        )

    @cached_property
    def _shifted(self) -> Features | None:
        """h of the training images moved by a pixel, standardised; None where it cannot be had."""
        if "image" not in self.data.arrays:
            return None
        images = self.data.splits["train"][self.rows["train"].tolist()]["image"]
        h = self.encode(shifted(images, self.seed))
        return None if h is None else self.scaler.transform(np.asarray(h, dtype=np.float32))

    def _people(self, target: Target) -> tuple[Rows, Rows] | None:
        """Who is in the training and in the test images, where some are in both."""
        if "identity" not in self.data.arrays or target.name == "identity":
            return None
        fitted, tested = (
            self.data.splits[s].column("identity").numpy()[target.rows[s]]
            for s in ("train", "test")
        )
        return (fitted, tested) if np.isin(tested, fitted).any() else None

    def _places(self, target: Target, split: str) -> Rows:
        return np.searchsorted(self.rows[split], target.rows[split])


def _scored(target: Target, predicted: npt.NDArray[Any], data: ImageData) -> Number:
    truth, groups = target.values["test"], data.splits["test"].groups(target.rows["test"])
    if target.kind == "classification":
        return scored_codes(truth, predicted, groups)
    return scored_numbers(truth, predicted, groups)


def result_of(target: Target, readings: Sequence[Reading], data: ImageData) -> TargetResult:
    """The readings of a target, beside what is reached without h."""
    train, test = target.values["train"], target.values["test"]
    if target.kind == "classification":
        classes, counts = np.unique(train, return_counts=True)
        same = np.full(len(test), classes[counts.argmax()])
        baseline = Baseline("majority", _scored(target, same, data))
    else:
        same = np.tile(train.mean(0), (len(test), 1))
        baseline = Baseline("mean", _scored(target, same, data))
    return TargetResult(
        name=target.name,
        kind=target.kind,
        classes=target.classes,
        images={split: len(rows) for split, rows in target.rows.items()},
        dropped=dict(target.dropped),
        unseen=target.unseen,
        baseline=baseline,
        readings=tuple(readings),
        groups=data.splits["test"].groups(target.rows["test"]),
        squares=None if target.kind == "classification" else squares(test),
    )


def _take(values: npt.NDArray[Any], rows: Rows) -> npt.NDArray[Any]:
    """Rows of an array; the array itself where they are all of it."""
    return values if len(rows) == len(values) else values[rows]
