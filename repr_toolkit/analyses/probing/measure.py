"""Probes of whatever makes h: what simple classifiers read from it."""

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from repr_toolkit.analyses.probing.classifiers import PROBES
from repr_toolkit.analyses.probing.columns import Made, gather
from repr_toolkit.analyses.probing.given import as_given
from repr_toolkit.analyses.probing.readings import Reader, result_of
from repr_toolkit.analyses.probing.result import Described, Probing, Reading, protocol
from repr_toolkit.analyses.probing.targets import Target, find_targets
from repr_toolkit.data import ImageData
from repr_toolkit.data.arrays import Arrays
from repr_toolkit.runs.run import Run
from repr_toolkit.support.choose import choose_evenly
from repr_toolkit.support.console import say


def probe(
    source: Made | Arrays | Iterable[Made],
    data: str | Path | ImageData | Arrays | None = None,
    *,
    targets: Iterable[str] | None = None,
    probes: Iterable[str] | None = None,
    images: int | None = None,
    seed: int = 0,
    orders: int = 3,
    baselines: bool = True,
    control: bool = True,
    tell: Callable[[str], None] = lambda message: None,
    **options: Any,
) -> Probing:
    """Say what h knows: read every label and attribute of the data from it, by several probes.

    Each probe is fitted to standardised h of the training images, its hyper-parameters are chosen
    on the validation images, and it is scored once on the test images.

    >>> from repr_toolkit.data import load_data
    >>> result = probe("pixels", load_data("digits"), probes=["knn"], orders=0, control=False)
    >>> [digit] = result.targets
    >>> score = digit.reading("pixels", "knn").score
    >>> f"{100 * score.value:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"
    '98.3 % (95.2 to 99.4)'

    Args:
        source: A run (its directory, or a `Run`); `untrained:RUN`; an .npz with embeddings;
            `pixels`, `pca` or `labels`; the import path of an encoder or network; a
            `Representation`; or arrays of h, float (N, d) for train, val and test, in the order of
            `data.splits`. Several of them share a table; NAME=SOURCE names one. Or embeddings
            alone: an array (N, d) beside its labels as `data`, both as a pair, by the keys of a
            data file, or a torch data set of them, as `load_data` takes these.
        data: The images that h is of, or whatever `load_data` makes them of; by default those of
            the run or the .npz.
        targets: Keys of the data, or KEY[i] for a column of one; by default all there are.
        probes: Names in `PROBES`: logistic, ridge, knn, mlp; by default all.
        images: The most images of each split, spread evenly; by default all.
        seed: Of whatever is random.
        orders: Random orders of the online code, which counts the bits of the labels given h; 0
            leaves it out.
        baselines: Whether pixels and encoders before their training stand beside the sources.
        control: Whether the probes are fitted to random labels as well, for their selectivity.
        tell: Gets a line on what is being done.
        **options: Of `repr_toolkit.representations.represent`, such as `layer` or `weights`.

    Returns:
        Readings of each target by representation and probe, with 95 % intervals over the test
        images, and the protocol; `as_dict()` gives all of it for JSON.

    Raises:
        ValueError: For names of targets or probes that there are not, data without anything to
            probe, h of other data, and two that share a name; and as `represent` does.
    """
    chosen = [*PROBES] if probes is None else [*probes]
    for name in chosen:
        if name not in PROBES:
            raise ValueError(f"there is no probe {name!r}; there are {', '.join(PROBES)}")
    given, images_of = as_given(source, data)
    columns = gather(given, images_of, baselines=baselines, tell=tell, **options)
    data = columns.data
    names = [column.h.name for column in columns.all]
    for column in columns.all:
        if names.count(column.h.name) > 1:
            raise ValueError(f"two representations are named {column.h.name}: rename one of them")
        column.h.require(data)
    rows = {
        split: np.array(choose_evenly(len(part), images or len(part)))
        for split, part in data.splits.items()
    }
    wanted, skipped = find_targets(data, None if targets is None else [*targets], rows=rows)
    if not wanted:
        reasons = "; ".join(f"{skip.name}: {skip.why}" for skip in skipped)
        raise ValueError(f"{data.name} has no target to probe ({reasons or 'no other keys'})")
    _require_fitting(wanted, chosen)
    readings: dict[str, list[Reading]] = {target.name: [] for target in wanted}
    fits = len(columns.all) * sum(_fits(target, chosen, orders, control) for target in wanted)
    numbers = count(1)

    def tell_number(message: str) -> None:
        tell(f"[{next(numbers)}/{fits}] {message}")

    for column in columns.all:
        reader = Reader(column, data, rows, seed, tell_number)
        for target in wanted:
            readings[target.name] += reader.read(target, chosen, orders, control)
    return Probing(
        data=data.name,
        fingerprint=data.fingerprint,
        levels=data.levels,
        representations={
            h.name: Described(h.made_by, h.dim, h.weights, h.input)
            for h in (column.h for column in columns.all)
        },
        protocol=protocol(chosen, seed, orders, control, images),
        targets=tuple(result_of(target, readings[target.name], data) for target in wanted),
        skipped=tuple(skipped),
        runs=columns.runs,
        left_out=columns.left_out,
    )


def _fits(target: Target, probes: Sequence[str], orders: int, control: bool) -> int:
    """How often `Reader.read` tells what it does for a target."""
    fitting = sum(target.kind in PROBES[name].kinds for name in probes)
    if target.kind != "classification":
        return fitting
    return fitting * (1 + control) + (orders > 0)


def _require_fitting(targets: Sequence[Target], probes: Sequence[str]) -> None:
    """Some probe fits each target, or else nothing would be said of it."""
    for target in targets:
        fitting = [name for name, probe in PROBES.items() if target.kind in probe.kinds]
        if not set(fitting) & set(probes):
            raise ValueError(
                f"{target.name} is a target of {target.kind}, for which no probe was chosen; "
                f"there are {', '.join(fitting)}"
            )


def measure(run: Run, split: str = "test") -> Probing:
    """What a run's own h knows, beside its encoder before training and the pixels.

    Raises ValueError for another split than the test images, which all probes are scored on.
    """
    if split != "test":
        raise ValueError(f"probes are scored on the test images, not on those of {split}")
    return probe(run, tell=say).of_run(run)
