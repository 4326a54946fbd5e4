"""Probes of several representations of one data set, all under one protocol."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from repr_toolkit.analyses.probing.classifiers import PROBES, Features, choose
from repr_toolkit.analyses.probing.control import Tokens, control_task, shifted
from repr_toolkit.analyses.probing.mdl import frequency_code, online_code
from repr_toolkit.analyses.probing.result import Baseline, Probing, Reading, TargetResult, protocol
from repr_toolkit.analyses.probing.scores import (
    accuracy,
    r_squared,
    scored_codes,
    scored_numbers,
)
from repr_toolkit.analyses.probing.targets import Rows, Target, find_targets
from repr_toolkit.data import ImageData
from repr_toolkit.data.images import SPLITS
from repr_toolkit.representations import Representation
from repr_toolkit.support.choose import choose_evenly
from repr_toolkit.support.stats import Number

Encode = Callable[[Tensor], Features]  # uint8 images (N, C, H, W) to h (N, d)


def probe_representations(
    representations: Sequence[Representation],
    data: ImageData,
    *,
    encoders: Mapping[str, Encode] | None = None,
    targets: Sequence[str] | None = None,
    probes: Sequence[str] | None = None,
    images: int | None = None,
    seed: int = 0,
    orders: int = 3,
    control: bool = True,
    tell: Callable[[str], None] = lambda message: None,
) -> Probing:
    """Read the labels and attributes of `data` from each of several representations of it.

    `targets` and `probes` choose among those of the data and of `PROBES` (default: all);
    `images` takes that many of each split at the most, spread evenly. Every probe is fitted to
    the training images, its hyper-parameters are chosen on the validation images, and it is scored
    on the test images. `encoders` gives, by a representation's name, what makes its h of new
    images, for control tasks on shifted images. `orders` is the number of random orders of the
    online code (0: no code). `tell` gets a line on what is being done.

    Raises ValueError for representations that are not of these data or that share a name, for
    names of targets or probes that there are not, and where no target is left.
    """
    names = [representation.name for representation in representations]
    _require_known(names, probes)
    for representation in representations:
        representation.require(data)
    rows = {
        split: np.array(choose_evenly(len(part), images or len(part)))
        for split, part in data.splits.items()
    }
    chosen_targets, skipped = find_targets(data, targets, rows=rows)
    if not chosen_targets:
        reasons = "; ".join(f"{skip.name}: {skip.why}" for skip in skipped)
        raise ValueError(f"{data.name} has no target to probe ({reasons or 'no other keys'})")
    chosen = tuple(probes or PROBES)
    _require_fitting(chosen_targets, chosen)
    readings: dict[str, list[Reading]] = {target.name: [] for target in chosen_targets}
    for representation in representations:
        prepared = _Prepared(representation, data, rows, (encoders or {}).get, seed)
        for target in chosen_targets:
            for reading in _readings(prepared, target, chosen, seed, orders, control, tell):
                readings[target.name].append(reading)
    return Probing(
        data=data.name,
        fingerprint=data.fingerprint,
        levels=data.levels,
        representations={r.name: (r.made_by, r.dim) for r in representations},
        protocol=protocol(chosen, seed, orders, control, images),
        targets=tuple(_result(t, tuple(readings[t.name]), seed) for t in chosen_targets),
        skipped=tuple(skipped),
    )


def _require_known(names: Sequence[str], probes: Sequence[str] | None) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two representations are named {name}: rename one of them")
    for probe in probes or ():
        if probe not in PROBES:
            raise ValueError(f"there is no probe {probe!r}; there are {', '.join(PROBES)}")


def _require_fitting(targets: Sequence[Target], probes: Sequence[str]) -> None:
    """Some probe fits each target, or else nothing would be said of it."""
    for target in targets:
        fitting = [name for name, probe in PROBES.items() if target.kind in probe.kinds]
        if not set(fitting) & set(probes):
            raise ValueError(
                f"{target.name} is a target of {target.kind}, for which no probe was chosen; "
                f"there are {', '.join(fitting)}"
            )


class _Prepared:
    """One representation, standardised by its training images: float32."""

    def __init__(
        self,
        representation: Representation,
        data: ImageData,
        rows: Mapping[str, Rows],
        encoder: Callable[[str], Encode | None],
        seed: int,
    ) -> None:
        from sklearn.preprocessing import StandardScaler

        self.name, self.data, self.rows, self.seed = representation.name, data, rows, seed
        self.encode = encoder(representation.name)
        taken = {s: _take(representation.h[s], rows[s]) for s in SPLITS}
        self.scaler = StandardScaler().fit(taken["train"])
        self.features = {s: self.scaler.transform(values) for s, values in taken.items()}
        self._shifted: Features | None = None

    def rows_of(self, target: Target, split: str) -> Features:
        """The rows of a target's images."""
        return _take(self.features[split], self._places(target, split))

    def tokens(self, target: Target) -> Tokens:
        """What recurs: people, or else images and their shifted copies, or else nothing."""
        people = self._people(target)
        if people is not None:
            fitted, tested = people
            again = np.flatnonzero(np.isin(tested, fitted))
            return Tokens("identity", fitted, tested[again], self.rows_of(target, "test")[again])
        types = np.arange(len(target.rows["train"]))
        if self.encode is None:
            return Tokens("none", types, types, self.rows_of(target, "train"))
        if self._shifted is None:
            images = self.data.splits["train"][self.rows["train"].tolist()]["image"]
            h = np.asarray(self.encode(shifted(images, self.seed)), dtype=np.float32)
            self._shifted = self.scaler.transform(h)
        return Tokens("view", types, types, _take(self._shifted, self._places(target, "train")))

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


def _take(values: npt.NDArray[Any], rows: Rows) -> npt.NDArray[Any]:
    """Rows of an array; the array itself where they are all of it."""
    return values if len(rows) == len(values) else values[rows]


def _readings(
    prepared: _Prepared,
    target: Target,
    probes: Sequence[str],
    seed: int,
    orders: int,
    control: bool,
    tell: Callable[[str], None],
) -> Iterator[Reading]:
    """What each probe reads of one target from one representation, and the online code."""
    x = {split: prepared.rows_of(target, split) for split in SPLITS}
    y = target.values
    codes = target.kind == "classification"
    for name in probes:
        probe = PROBES[name]
        if target.kind not in probe.kinds:
            continue
        tell(f"probing {prepared.name} for {target.name}: {name}")
        chosen = choose(
            probe.series(x["train"], y["train"], seed),
            (x["val"], y["val"]),
            x["test"],
            accuracy if codes else r_squared,
            probe.patience,
        )
        score = _scored(target, chosen.predicted, seed)
        random_labels = None
        if control and codes:
            tell(f"probing {prepared.name} for {target.name}: {name}, control task")
            random_labels = control_task(
                name,
                chosen.settings,
                x["train"],
                y["train"],
                prepared.tokens(target),
                score.value,
                seed=seed,
            )
        yield Reading(
            prepared.name,
            name,
            score=score,
            validation=chosen.validation,
            settings=dict(chosen.settings),
            control=random_labels,
        )
    if codes and orders:
        tell(f"probing {prepared.name} for {target.name}: online code")
        seeds = range(seed, seed + orders)
        code = online_code(x["train"], y["train"], seeds=seeds)
        yield Reading(prepared.name, "mdl", code=code)


def _scored(target: Target, predicted: npt.NDArray[Any], seed: int) -> Number:
    truth = target.values["test"]
    if target.kind == "classification":
        return scored_codes(truth, predicted)
    return scored_numbers(truth, predicted, seed=seed)


def _result(target: Target, readings: tuple[Reading, ...], seed: int) -> TargetResult:
    train, test = target.values["train"], target.values["test"]
    if target.kind == "classification":
        classes, counts = np.unique(train, return_counts=True)
        same = np.full(len(test), classes[counts.argmax()])
        baseline = Baseline("majority", _scored(target, same, seed), frequency_code(train))
    else:
        same = np.tile(train.mean(0), (len(test), 1))
        baseline = Baseline("mean", _scored(target, same, seed), None)
    return TargetResult(
        name=target.name,
        kind=target.kind,
        classes=target.classes,
        images={split: len(rows) for split, rows in target.rows.items()},
        dropped=dict(target.dropped),
        unseen=target.unseen,
        baseline=baseline,
        readings=readings,
    )
