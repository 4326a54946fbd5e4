"""The columns of a table of probes: the representations asked for, and their baselines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from repr_toolkit.analyses.probing.classifiers import Features
from repr_toolkit.data import ImageData
from repr_toolkit.data.images import SPLITS
from repr_toolkit.representations import Representation, Source, options_for, part_of, represent
from repr_toolkit.representations.names import UNTRAINED
from repr_toolkit.runs.run import Run
from repr_toolkit.support.console import say

Made = str | Path | Run | Representation | Mapping[str, npt.NDArray[Any]]
"""What makes h, or h itself."""

Encode = Callable[[Tensor], Features | None]  # uint8 images (N, C, H, W) to h (N, d)

PIXEL_BYTES = 2**30  # of float32, above which the pixels are no baseline of themselves


@dataclass(frozen=True, eq=False)
class Column:
    """A representation in a table of probes.

    Attributes:
        h: The representation, under the column's name.
        sources: Every source that makes this h; none for one that was given as arrays.
        encode: Makes h of new images; gives None for images whose h it cannot make.
    """

    h: Representation
    sources: list[str] = field(default_factory=list)
    encode: Encode = lambda images: None


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of one table, all h of the same data.

    Attributes:
        data: The data.
        sources: The sources that were asked for, but for arrays.
        options: Those of `represent`, for all of them.
        all: The columns, in the order of the table.
        left_out: The sources of baselines that there are none of, and why.
    """

    data: ImageData
    sources: Sequence[Source]
    options: Mapping[str, Any]
    all: list[Column] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    known: dict[str, Representation] = field(default_factory=dict)  # all of h, by its source
    tell: Callable[[str], None] = say

    def options_of(self, source: Source) -> dict[str, Any]:
        """Those that a source gets."""
        return options_for(source, self.sources, self.options)

    def represent(self, source: Source) -> Representation:
        """h of the data by a source, of which parts are made of one h."""
        if source.whole not in self.known:
            how = {**self.options_of(source), "parts": parts_of(source.whole, self.sources)}
            self.known[source.whole] = represent(source.whole, self.data, tell=self.tell, **how)[0]
        whole = self.known[source.whole]
        return part_of(whole, source.part) if source.part else whole

    def add(self, h: Representation, source: Source) -> None:
        """Add a column; one whose name is taken is named as its source."""
        if h.name in [column.h.name for column in self.all]:
            h = replace(h, name=source.text)
        encode = partial(encode_images, source, self.data, self.options_of(source))
        self.all.append(Column(h, [source.text], encode))

    def add_baseline(self, source: Source) -> None:
        """Add what the others have to beat, unless it is there, or cannot be had."""
        try:
            size = 4 * sum(map(len, self.data.splits.values())) * prod(self.data.image_shape)
            if source.text == "pixels" and size > PIXEL_BYTES:
                raise ValueError(
                    f"all of them take {size / 2**30:.1f} GiB; name pixels as a source to probe "
                    f"them all the same"
                )
            h = self.represent(source)
        except ValueError as error:
            self.left_out[source.text] = str(error)
            return
        same = [column for column in self.all if column.h.made_by == h.made_by]
        if same:
            same[0].sources.append(source.text)
        else:
            self.add(h, source)

    @property
    def runs(self) -> dict[str, dict[str, str]]:
        """The columns of runs and their baselines, as `Probing.runs` has them."""
        runs: dict[str, dict[str, str]] = {}
        for source in self.sources:
            whole = self.options_of(source).get("layer") is None and not source.part
            trained = source.kind == "run" and not source.untrained
            of_data = (self.data.fingerprint, self.data.levels)
            if not (whole and trained and Run(source.path).trained_on == of_data):
                continue
            run, roles = source.text, runs.setdefault(source.text, {})
            for role, text in ("run", run), ("untrained", UNTRAINED + run), ("pixels", "pixels"):
                for column in self.all:
                    if text in column.sources and column.h.name not in roles.values():
                        roles[role] = column.h.name
        return runs


def parts_of(whole: str, sources: Sequence[Source]) -> list[str]:
    """The parts of one h that some sources mean."""
    return [source.part for source in sources if source.part and source.whole == whole]


def gather(
    made: Sequence[Made],
    data: ImageData | None = None,
    *,
    baselines: bool = True,
    tell: Callable[[str], None] = lambda message: None,
    **options: Any,
) -> Columns:
    """h of one data set by each source, and by what they have to beat.

    A source may be named by NAME=SOURCE; of equal names, those after the first become their
    source's. Without `data` they are those that the first run or .npz file among the sources
    brings. `options` are those of `represent`, see `options_for`. With `baselines` the pixels and
    each run's encoder before training, and each trained network with random weights, stand beside
    them, one that is equal to another only once. Raises ValueError for a source that is given
    twice, and as `represent` does.
    """
    given = [_parsed(one, data) for one in made]
    sources = [source for source in given if isinstance(source, Source)]
    texts = [source.text for source in sources]
    for text in texts:
        if texts.count(text) > 1:
            raise ValueError(f"{text} is given twice; once is enough")
    known: dict[str, Representation] = {}
    if data is None:
        if not sources:
            raise ValueError("a representation does not hold its data: give them too")
        leading = next((s for s in sources if s.kind in ("file", "run")), sources[0])
        tell(f"h of {leading.text}")
        parts = parts_of(leading.whole, sources)
        how = {**options_for(leading, sources, options), "parts": parts}
        known[leading.whole], data = represent(leading.whole, None, tell=tell, **how)
    columns = Columns(data, sources, options, known=known, tell=tell)
    wanted = []
    for source in given:
        if isinstance(source, Representation):
            columns.all.append(Column(source))
            continue
        if source.whole not in known:
            tell(f"h of {source.text}")
        h = columns.represent(source)
        columns.add(replace(h, name=source.name or h.name), source)
        untrained = replace(source.with_path(source.path, untrained=True), name=None)
        if source.kind == "file" or source.whole in ("pca", "labels"):
            if baselines:
                columns.left_out[untrained.text] = "it has no encoder"
        elif source.kind == "run" or (source.kind == "network" and not h.is_random):
            wanted += [] if source.untrained else [untrained]
    for source in [*wanted, Source("pixels")] if baselines else []:
        if source.text not in texts:
            tell(f"h of {source.text}")
            columns.add_baseline(source)
    return columns


def _parsed(made: Made, data: ImageData | None) -> Source | Representation:
    """A source, whose run directory is written in one way; arrays as a representation."""
    if isinstance(made, Representation):
        return made
    if isinstance(made, Mapping):
        if data is None:
            raise ValueError("arrays of h need the data that they are of")
        h = {split: np.asarray(values, np.float32) for split, values in made.items()}
        return Representation("h", "arrays", data.fingerprint, data.levels, h)
    path = str(made.path if isinstance(made, Run) else made)
    source = Source.parse(path) if isinstance(made, str) else Source(path)
    return source if source.kind != "run" else source.with_path(str(Path(source.path)))


def encode_images(
    source: Source, data: ImageData, options: Mapping[str, Any], images: Tensor
) -> Features | None:
    """h of new images, uint8 (N, C, H, W), as a source makes it of those of `data`: (N, d).

    None where h is of anything else, or was stored.
    """
    if source.kind == "file" or source.whole == "labels":
        return None
    others = _with_images(data, images, whole=source.fitted)
    try:
        return represent(source.text, others, tell=lambda line: None, **options)[0].h["test"]
    except ValueError:  # h of labels, of landmarks …, which new images have not
        return None


def _with_images(data: ImageData, images: Tensor, *, whole: bool) -> ImageData:
    """Data whose test images are these and whose training images are those of `data`.

    Their first alone but for `whole`, which is for what is fitted to them.
    """
    train = data.splits["train"]
    parts = [
        train[: len(train) if whole else 1]["image"].numpy(),
        data.splits["val"][:1]["image"].numpy(),
        images.numpy(),
    ]
    ends = np.cumsum([0, *map(len, parts)])
    rows = {split: np.arange(ends[i], ends[i + 1]) for i, split in enumerate(SPLITS)}
    return ImageData(
        f"{data.name}, other images",
        {"image": np.concatenate(parts)},
        rows,
        levels=data.levels,
        fingerprint=f"other images of {data.fingerprint}",
    )
