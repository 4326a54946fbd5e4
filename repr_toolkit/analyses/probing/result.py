"""What probing has found, and the protocol by which it was found, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from repr_toolkit.analyses.probing.classifiers import PROBES
from repr_toolkit.analyses.probing.control import Control
from repr_toolkit.analyses.probing.mdl import FIRST, INNER, STRENGTHS, OnlineCode
from repr_toolkit.analyses.probing.scores import RESAMPLES, Scored
from repr_toolkit.analyses.probing.targets import Skipped

MEASURES = {"classification": "accuracy", "regression": "R²"}


@dataclass(frozen=True)
class Baseline:
    """What is reached without h: always the most frequent code, or the mean of training."""

    name: str  # "majority" or "mean"
    score: Scored
    bits: float | None  # to send the training labels one by one by their frequencies


@dataclass(frozen=True)
class Reading:
    """What one probe finds of one target in one representation.

    ``score``, ``validation`` (the score that its settings were chosen by) and ``settings`` are of
    the probes of `PROBES`; ``code`` is of the probe "mdl", which has no others.
    """

    representation: str
    probe: str
    score: Scored | None = None
    validation: float | None = None
    settings: Mapping[str, float] | None = None
    control: Control | None = None
    code: OnlineCode | None = None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: fractions of one, R², and bits."""
        found: dict[str, Any] = {"representation": self.representation, "probe": self.probe}
        if self.score is not None:
            found |= asdict(self.score)
            found |= {"validation": self.validation, "settings": self.settings}
        if self.control is not None:
            found["control"] = asdict(self.control)
        if self.code is not None:
            code = self.code
            found |= {
                "bits": code.total,
                "interval": code.interval,
                "uniform_bits": code.uniform,
                "compression": code.compression,
                "ends": code.ends,
                "bits_of_portions": code.bits,
                "C_of_portions": code.strengths,
            }
        return found


@dataclass(frozen=True)
class TargetResult:
    """All readings of one target; counts of images are by split."""

    name: str
    kind: str  # "classification" or "regression"
    classes: int  # 0 in regression
    images: Mapping[str, int]
    dropped: Mapping[str, int]  # images without a finite value
    unseen: int  # test images of a code that no training image has, all errors
    baseline: Baseline
    readings: tuple[Reading, ...]

    @property
    def measure(self) -> str:
        """ "accuracy" or "R²"."""
        return MEASURES[self.kind]

    def reading(self, representation: str, probe: str) -> Reading | None:
        """That of a representation by a probe, if there is one."""
        for reading in self.readings:
            if (reading.representation, reading.probe) == (representation, probe):
                return reading
        return None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "measure": self.measure,
            "classes": self.classes,
            "images": dict(self.images),
            "dropped": dict(self.dropped),
            "unseen_test_images": self.unseen,
            "baseline": asdict(self.baseline),
            "readings": [reading.as_dict() for reading in self.readings],
        }


@dataclass(frozen=True)
class Probing:
    """Everything that was probed of several representations of one data set.

    ``representations`` gives each one's maker and width d, ``skipped`` the keys of the data that
    could not be probed.
    """

    data: str
    fingerprint: str
    levels: int
    representations: Mapping[str, tuple[str, int]]
    protocol: Mapping[str, Any]
    targets: tuple[TargetResult, ...]
    skipped: tuple[Skipped, ...]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "data": self.data,
            "fingerprint": self.fingerprint,
            "levels": self.levels,
            "split": "test",
            "seed": self.protocol["seed"],
            "asked": self.asked,
            "protocol": dict(self.protocol),
            "representations": [
                {"name": name, "made_by": made_by, "dim": dim}
                for name, (made_by, dim) in self.representations.items()
            ],
            "targets": [target.as_dict() for target in self.targets],
            "skipped": [asdict(skip) for skip in self.skipped],
        }

    @property
    def asked(self) -> dict[str, Any]:
        """What was chosen of all that can be: two that agree in it can be held together."""
        return {
            "targets": sorted(target.name for target in self.targets),
            "probes": sorted(self.protocol["probes"]),
            "images": self.protocol["images_a_split_at_most"],
            "seed": self.protocol["seed"],
            "control": "control" in self.protocol,
            "orders": self.protocol.get("mdl", {}).get("orders", []),
        }

    def without(self, names: Sequence[str]) -> "Probing":
        """The same but for these representations."""
        left = tuple(
            replace(
                target,
                readings=tuple(r for r in target.readings if r.representation not in names),
            )
            for target in self.targets
        )
        kept = {name: what for name, what in self.representations.items() if name not in names}
        return replace(self, representations=kept, targets=left)


def protocol(
    probes: Sequence[str], seed: int, orders: int, control: bool, images: int | None
) -> dict[str, Any]:
    """What was fixed before anything was seen, as data for the result."""
    found: dict[str, Any] = {
        "fitted_on": "train",
        "hyper_parameters_chosen_on": "val",
        "scored_on": "test",
        "images_a_split_at_most": images,
        "standardisation": "mean and standard deviation of each coordinate of h, of train alone",
        "probes": {
            name: {"grid": dict(PROBES[name].grid), "patience": PROBES[name].patience}
            for name in probes
        },
        "interval": {
            "level": 0.95,
            "accuracy": "Wilson's",
            "R²": f"percentiles of {RESAMPLES} bootstrap resamples of the test images",
            "covers": "the draw of the test images; not that of the training images, nor seeds",
        },
        "seed": seed,
    }
    if control:
        found["control"] = {
            "labels": "one for each type, drawn from the frequencies of the target's",
            "types": "identity where people recur; else an image and its copy shifted by a pixel, "
            "the first fitted, the second tested; else none, and no selectivity",
            "settings": "those chosen for the target itself",
        }
    if orders:
        found["mdl"] = {
            "code": "online: logistic regression of the labels already sent",
            "labels": "train",
            "first_portion_at_least": FIRST,
            "portions": "doubling; the first by the uniform code",
            "chosen_on": f"the last {INNER:.0%} of the labels already sent",
            "grid": {"C": STRENGTHS},
            "mixture": "weight 1/(t + 1) of the uniform distribution after t labels",
            "orders": [*range(seed, seed + orders)],
            "interval": "95 %, Student's t over the orders; leaves out the draw of the images",
        }
    return found
