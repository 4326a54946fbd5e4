"""What probes read, and the protocol that they followed, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy.typing as npt

from repr_toolkit.analyses.probing.classifiers import PROBES, STRENGTHS
from repr_toolkit.analyses.probing.control import Control
from repr_toolkit.analyses.probing.mdl import FIRST, INNER, OnlineCode
from repr_toolkit.analyses.probing.targets import Skipped
from repr_toolkit.representations.names import UNTRAINED
from repr_toolkit.runs.run import Run
from repr_toolkit.support.stats import Groups, Number, as_json

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Baseline:
    """What is reached without h: always the most frequent code, or the mean of training."""

    name: str  # "majority" or "mean"
    score: Number


@dataclass(frozen=True)
class Reading:
    """What one probe reads of one target from one representation.

    The `score` on the test images, the one on the `validation` images, the `settings` that were
    best on these, and the `control` on random labels are of a probe of `PROBES`; the `code` is of
    the probe "mdl", which has no others.
    """

    representation: str
    probe: str
    score: Number | None = None
    validation: float | None = None
    settings: Mapping[str, float] | None = None
    control: Control | None = None
    code: OnlineCode | None = None
    missed: Array | None = field(default=None, repr=False, compare=False)  # by test image

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: fractions of one, R², and bits; not what was `missed` of each image."""
        parts = {**vars(self), "missed": None}
        return {key: as_json(value) for key, value in parts.items() if value is not None}


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
    groups: Groups | None = field(default=None, repr=False, compare=False)  # of test images
    squares: Array | None = field(default=None, repr=False, compare=False)  # of test values

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON, without what `arrays` has."""
        groups = self.groups and self.groups[1]
        numbers: dict[str, Any] = as_json({**vars(self), "groups": groups, "squares": None})
        return numbers

    def arrays(self, number: int) -> dict[str, Array]:
        """By test image what each reading missed, with the target's number and the reading's."""
        arrays = {
            f"missed_{number}_{place}": reading.missed
            for place, reading in enumerate(self.readings)
            if reading.missed is not None
        }
        if self.squares is not None:
            arrays[f"squares_{number}"] = self.squares
        return arrays | ({f"group_{number}": self.groups[0]} if self.groups else {})

    def reading(self, representation: str, probe: str) -> Reading | None:
        """That of a representation by a probe, if there is one."""
        for reading in self.readings:
            if (reading.representation, reading.probe) == (representation, probe):
                return reading
        return None


class Described(NamedTuple):
    """What made a representation, its width d, its network's weights and its images' processing."""

    made_by: str
    dim: int
    weights: str = ""
    input: str = ""


@dataclass(frozen=True, repr=False)
class Probing:
    """Everything that was read from several representations of one data set.

    Attributes:
        data: The name of the data.
        fingerprint: That of the data.
        levels: The levels of the images.
        representations: What is known of each, by its name.
        protocol: What was fixed before anything was seen.
        targets: The readings, by what is read.
        skipped: The keys of the data that could not be probed.
        runs: For each run whose own h of its own images is among the representations, by its
            directory: the name of that h under "run", and those of its baselines under
            "untrained" and "pixels".
        left_out: The sources of baselines that there are none of, and why.
    """

    data: str
    fingerprint: str
    levels: int
    representations: Mapping[str, Described]
    protocol: Mapping[str, Any]
    targets: tuple[TargetResult, ...]
    skipped: tuple[Skipped, ...]
    runs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        lines = [f"Probing of {self.data}: {', '.join(self.representations)}"]
        for target in self.targets:
            for reading in target.readings:
                if (score := reading.score) is not None:
                    name = f"  {target.name}, {reading.representation}, {reading.probe}: "
                    known = score.low is not None
                    ends = f" ({score.low:.3f} to {score.high:.3f})" if known else ""
                    lines.append(f"{name}{score.value:.3f}{ends}")
        return "\n".join(lines)

    @property
    def asked(self) -> dict[str, Any]:
        """What was chosen of all that can be: two that agree in it can be held together."""
        [roles] = self.runs.values() if len(self.runs) == 1 else [{}]
        return {
            "split": "test",
            "targets": sorted(target.name for target in self.targets),
            "probes": sorted(self.protocol["probes"]),
            "images": self.protocol["images_a_split_at_most"],
            "seed": self.protocol["seed"],
            "control": "control" in self.protocol,
            "orders": self.protocol.get("mdl", {}).get("orders", []),
            "beside": sorted({*roles} - {"run"}),
        }

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        representations = [
            {"name": name, **{key: value for key, value in known._asdict().items() if value != ""}}
            for name, known in self.representations.items()
        ]
        numbers = {**vars(self), "split": "test", "representations": representations}
        return {key: as_json(value) for key, value in numbers.items()}

    def arrays(self) -> dict[str, Any]:
        """What every reading missed of each test image, for paired comparisons."""
        return {
            key: array
            for number, target in enumerate(self.targets)
            for key, array in target.arrays(number).items()
        }

    def of_run(self, run: Run) -> "Probing":
        """The h of a run and its baselines alone, which is what is kept with the run."""
        source = str(run.path)
        roles = self.runs[source]
        names = set(roles.values())
        targets = tuple(
            replace(t, readings=tuple(r for r in t.readings if r.representation in names))
            for t in self.targets
        )
        return replace(
            self,
            representations={n: made for n, made in self.representations.items() if n in names},
            targets=targets,
            runs={source: roles},
            left_out={
                baseline: why
                for baseline, why in self.left_out.items()
                if baseline in ("pixels", UNTRAINED + source)
            },
        )


def protocol(
    probes: Sequence[str], seed: int, orders: int, control: bool, images: int | None
) -> dict[str, Any]:
    """What was fixed before anything was seen, as data for the result."""
    stated: dict[str, Any] = {
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
            "covers": "the draw of the test images; not that of the training images, nor seeds",
        },
        "seed": seed,
    }
    if control:
        stated["control"] = {
            "labels": "one for each type, drawn from the frequencies of the target's",
            "types": "identity where people recur; else an image and its copy shifted by a pixel, "
            "the first fitted, the second tested; else none, and no selectivity",
            "settings": "those chosen for the target itself",
        }
    if orders:
        stated["mdl"] = {
            "code": "online: logistic regression of the labels already sent",
            "labels": "train",
            "first_portion_at_least": FIRST,
            "portions": "doubling; the first by the uniform code",
            "chosen_on": f"the last {INNER:.0%} of the labels already sent",
            "grid": {"C": STRENGTHS},
            "mixture": "weight 1/(t + 1) of the uniform distribution after t labels",
            "null": "the same with an intercept alone, in the same portions and orders",
            "orders": [*range(seed, seed + orders)],
            "interval": "leaves out the draw of the images",
        }
    return stated
