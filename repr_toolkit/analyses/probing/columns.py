"""The columns of a table of probes: the representations asked for, and their baselines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from repr_toolkit.analyses.probing.classifiers import Features
from repr_toolkit.analyses.probing.readings import Encode
from repr_toolkit.data import ImageData
from repr_toolkit.data.images import SPLITS
from repr_toolkit.representations import Representation, Source, options_for, represent
from repr_toolkit.representations.sources import UNTRAINED
from repr_toolkit.runs.run import Run

PIXEL_BYTES = 2**30  # of float32, above which the pixels are no baseline of themselves


@dataclass(frozen=True, eq=False)
class Column:
    """A representation in a table of probes.

    Attributes:
        h: The representation, under the column's name.
        sources: Every source that makes this h; none for one that was given as arrays.
        encode: What makes h of new images; None where that cannot be had.
    """

    h: Representation
    sources: list[str] = field(default_factory=list)
    encode: Encode | None = None


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of one table, all h of the same data.

    Attributes:
        data: The data.
        all: The columns, in the order of the table.
        runs: For each run whose own h of its own images is a column, by its source: the name of
            that column under "run", and those of its baselines under "untrained" and "pixels".
        left_out: The sources of baselines that there are none of, and why.
    """

    data: ImageData
    all: list[Column] = field(default_factory=list)
    runs: dict[str, dict[str, str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(
        self, h: Representation, source: Source | None, options: Mapping[str, Any]
    ) -> Representation:
        """A column more; one whose name is taken is named as its source."""
        if source is None:
            self.all.append(Column(h))
            return h
        if h.name in [column.h.name for column in self.all]:
            h = replace(h, name=source.text)
        encode = image_encoder(source, self.data, options)
        self.all.append(Column(h, [source.text], encode))
        return h


def gather(
    made: Sequence[str | Representation],
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
    given = [s if isinstance(s, Representation) else _parsed(s) for s in made]
    sources = [source for source in given if isinstance(source, Source)]
    texts = [source.text for source in sources]
    for text in texts:
        if texts.count(text) > 1:
            raise ValueError(f"{text} is given twice; once is enough")

    def make(source: Source, data: ImageData | None) -> tuple[Representation, ImageData]:
        tell(f"h of {source.text}")
        return represent(source.text, data, **options_for(source, sources, options))

    first: dict[str, Representation] = {}
    if data is None:
        if not texts:
            raise ValueError("h that is given as arrays says nothing of its data: give them too")
        leading = next((s for s in sources if s.kind in ("file", "run")), sources[0])
        first[leading.text], data = make(leading, None)
    columns = Columns(data)
    wanted = []
    for source in given:
        if isinstance(source, Representation):
            columns.add(source, None, {})
            continue
        h = first[source.text] if source.text in first else make(source, data)[0]
        named = replace(h, name=source.name or h.name)
        columns.add(named, source, options_for(source, sources, options))
        if source.kind == "run" or (source.kind == "network" and not h.is_random):
            wanted += [] if source.untrained else [Source(UNTRAINED + source.text)]
        elif baselines and source.kind in ("simple", "file") and source.text != "pixels":
            columns.left_out[UNTRAINED + source.text] = "it has no encoder"
    for source in [*wanted, Source("pixels")] if baselines else []:
        if source.text in texts:
            continue
        if source.text == "pixels" and _pixel_bytes(data) > PIXEL_BYTES:
            size = f"{_pixel_bytes(data) / 2**30:.1f} GiB"
            why = f"all of them take {size}; name pixels as a source to probe them all the same"
            columns.left_out["pixels"] = why
            continue
        try:
            h, _ = make(source, data)
        except ValueError as error:
            columns.left_out[source.text] = str(error)
            continue
        same = next((column for column in columns.all if column.h.made_by == h.made_by), None)
        if same is None:
            columns.add(h, source, options_for(source, sources, options))
        else:
            same.sources.append(source.text)
    for source in sources:
        whole = options_for(source, sources, options).get("layer") is None
        if source.kind == "run" and not source.untrained and whole and _is_of(source.path, data):
            columns.runs[source.text] = _roles(source, columns.all)
    return columns


def _parsed(text: str) -> Source:
    """A source whose run directory is written in one way."""
    source = Source.parse(text)
    if source.kind != "run":
        return source
    path = str(Path(source.path))
    return replace(source, text=f"{UNTRAINED}{path}" if source.untrained else path)


def _roles(run: Source, columns: Sequence[Column]) -> dict[str, str]:
    """The names of a run's column and of its baselines, by what they are to it."""
    texts = {"run": run.text, "untrained": UNTRAINED + run.text, "pixels": "pixels"}
    roles: dict[str, str] = {}
    for role, text in texts.items():
        name = next((column.h.name for column in columns if text in column.sources), None)
        if name is not None and name not in roles.values():
            roles[role] = name
    return roles


def _is_of(run: str, data: ImageData) -> bool:
    """Whether data are those that a run was trained on, at the same levels."""
    info = Run(run).info
    same: bool = (info["data"]["fingerprint"], info["levels"]) == (data.fingerprint, data.levels)
    return same


def image_encoder(source: Source, data: ImageData, options: Mapping[str, Any]) -> Encode | None:
    """What makes h of new images, uint8 (N, C, H, W), as a source does of those of `data`.

    None where h is of anything else, or was stored.
    """
    if source.kind == "file" or source.text == "labels":
        return None

    def encode(images: Tensor) -> Features:
        others = _with_images(data, images, whole=source.text == "pca")
        h, _ = represent(source.text, others, **options)
        return h.h["test"]

    try:
        encode(data.splits["train"][:1]["image"])
    except ValueError:  # h of labels, of landmarks …, which new images have not
        return None
    return encode


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


def _pixel_bytes(data: ImageData) -> int:
    images = sum(len(split) for split in data.splits.values())
    return 4 * images * int(np.prod(data.image_shape))
