"""What the verification protocol finds of a run or of stored embeddings, beside its baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from repr_toolkit.analyses.verification.baselines import PIXELS, WHITENED, baselines
from repr_toolkit.data import ImageData
from repr_toolkit.data.identity_batches import identity_key, people_trained_on
from repr_toolkit.models.encode import encode_split
from repr_toolkit.models.pairs import (
    LEAST_PEOPLE,
    Floats,
    Verification,
    interval_over_people,
    verify,
)
from repr_toolkit.runs.run import Run, load
from repr_toolkit.support.processes import fastest_device
from repr_toolkit.support.roc import Line
from repr_toolkit.support.tables import aligned, notes_text


@dataclass(frozen=True, eq=False)
class Report:
    """Verification on one split: of a representation, first, and of what it has to beat."""

    of: str
    data: str
    split: str
    methods: Mapping[str, Verification]
    trained_on: int = 0
    """How many of the people are among those of the training images too."""

    @property
    def own(self) -> Verification:
        """That of the representation itself."""
        return next(iter(self.methods.values()))

    def gain(self, over: str = PIXELS) -> tuple[float, tuple[float, float] | None]:
        """How much higher its AUC is than another method's, with a 95 % interval over people.

        None in place of the interval where the people are too few for one.
        """
        own, other = self.own, self.methods[over]
        interval = interval_over_people(own.replicates - other.replicates, own.people)
        return own.auc - other.auc, interval

    def numbers(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        difference, interval = self.gain()
        return {
            "of": self.of,
            "data": self.data,
            "split": self.split,
            "people_trained_on": self.trained_on,
            "similarity": "cosine",
            "methods": {name: method.numbers() for name, method in self.methods.items()},
            "auc_above_pixels": difference,
            "auc_above_pixels_interval": interval,
        }


def report_run(
    run: Run, split: str = "test", *, seed: int = 0, batch_size: int = 256, progress: bool = False
) -> Report:
    """Verification by a finished run's h on a split of its data.

    Raises ValueError for a run without an encoder, or whose encoder reads who is in the image
    instead of the image, for data that do not say who that is, and as `verify` does.
    """
    model = load(run).to(fastest_device())
    if model.encoder is None:
        raise ValueError(
            f"{run.path} has no encoder, so there is no h that could tell people apart"
        )
    data = run.load_data()
    people = identity_key(data)  # before the work
    if model.encoder.source == people:
        raise ValueError(
            f"the encoder of {run.path} reads {people!r}, which is the answer itself: there is "
            f"nothing to verify; give a run whose encoder reads images or embeddings"
        )
    images = data.split(split)
    h = encode_split(model, images, batch_size=batch_size, progress=progress)
    assert h is not None
    name = f"{type(model.encoder).__name__}, h ({h.shape[1]})"
    return _report(str(run.path), name, h.numpy(), data, split, seed)


def report_stored(data: ImageData, split: str = "test", *, seed: int = 0) -> Report:
    """Verification by the embeddings that are stored with the data.

    Raises ValueError for data without any, or that do not say who is in an image, and as `verify`
    does.
    """
    identity_key(data)
    images = data.split(split)
    if "embedding" not in images.keys:
        raise ValueError(
            f"{data.name} has no stored embedding to measure, only {', '.join(images.keys)}; give "
            f"a run, or make embeddings with: repr-toolkit faces"
        )
    h = images.column("embedding").numpy()
    return _report(data.name, f"embedding ({h.shape[1]})", h, data, split, seed)


def table(report: Report) -> str:
    """One row a method, for a terminal; all but the AUC in per cent."""
    columns = [
        ["", *report.methods],
        ["AUC (95 %)"],
        ["accuracy"],
        ["TAR@1e−2"],
        ["@1e−3"],
        ["1-NN (95 %)"],
    ]
    for result in report.methods.values():
        columns[1].append(with_interval(result.auc, result.auc_interval, 3))
        columns[2].append(
            "–"
            if result.accuracy is None or result.accuracy_error is None
            else f"{100 * result.accuracy:.1f} ± {100 * result.accuracy_error:.1f}"
        )
        for column, rate in zip(columns[3:5], result.tar.values(), strict=True):
            column.append("–" if rate is None else f"{100 * rate:.1f}")
        low, high = result.one_nn_interval
        columns[5].append(with_interval(100 * result.one_nn, (100 * low, 100 * high), 1))
    return aligned(columns)


def notes(reports: Sequence[Report], before: Sequence[str] = (), also: str = "") -> str:
    """What a reader of the numbers has to know, as a Markdown list that begins with `before`.

    `also` says where accuracy and TAR stand, if not in the table.
    """
    own = [report.own for report in reports]
    lines = [*before]
    if any(report.trained_on for report in reports):
        lines.append(
            "Some of these people are in the training images too, which flatters what was fitted "
            "to those."
        )
    lines += [
        "Pairs of images, by the cosine of what stands in the row. AUC: with a 95 % interval by a "
        "bootstrap over people, since the pairs of one person depend on each other. All else is "
        "in per cent.",
    ]
    if any(result.auc_interval is None for result in own):
        lines.append(
            f"(–): fewer than {LEAST_PEOPLE} people, too few to say by a bootstrap over them how "
            "much other people might differ."
        )
    lines += [
        f"1-NN: the nearest of all other images is of the same person, for the "
        f"{own[0].one_nn_images:,} images of people with two or more, with Wilson's 95 % interval.",
    ]
    if all(result.accuracy is not None for result in own):
        folds = (
            "no person is in two of them"
            if all(result.accuracy_people_disjoint for result in own)
            else "folds of pairs, since the people are too few to be apart in ten"
        )
        lines.append(
            f"accuracy{also}: on ten folds, each at the threshold that is best on the other nine, "
            f"with the standard error over the folds; {folds}."
        )
    lines += [
        f"TAR{also}: share of same pairs accepted where a share of 1e−2 or 1e−3 of the different "
        "ones is; missing with fewer than ten times as many different pairs as that takes.",
        f"{PIXELS}: less the training images' mean. {WHITENED}: principal components, scaled so "
        "that each person of the training images varies equally in all; both know the training "
        "images alone.",
    ]
    return notes_text(lines)


def roc_lines(reports: Sequence[Report]) -> list[Line]:
    """The curves of every method, one for each report."""
    lines = []
    for name in dict.fromkeys(name for report in reports for name in report.methods):
        results = [report.methods[name] for report in reports if name in report.methods]
        auc = np.mean([result.auc for result in results])
        mean = "mean AUC" if len(results) > 1 else "AUC"
        lines.append(Line(f"{name}, {mean} {auc:.3f}", [result.curve for result in results]))
    return lines


def with_interval(value: float, interval: tuple[float, float] | None, digits: int) -> str:
    """A number and its interval, or a dash in its place.

    >>> with_interval(0.98765, (0.9, 1.0), 3), with_interval(0.98765, None, 3)
    ('0.988 (0.900–1.000)', '0.988 (–)')
    """
    if interval is None:
        return f"{value:.{digits}f} (–)".replace("-", "−")
    low, high = interval
    to = " to " if low < 0 else "–"
    return f"{value:.{digits}f} ({low:.{digits}f}{to}{high:.{digits}f})".replace("-", "−")


def _report(of: str, name: str, h: Floats, data: ImageData, split: str, seed: int) -> Report:
    people = data.splits[split].column(identity_key(data)).numpy()
    own = verify(h, people, seed=seed)
    methods = {name: own, **baselines(data, split, seed=seed)}
    return Report(of, data.name, split, methods, people_trained_on(data, split))
