"""The columns of a table of probes: the representations asked for, and their baselines."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from repr_toolkit.analyses.probing.classifiers import Features
from repr_toolkit.analyses.probing.measure import Encode
from repr_toolkit.data import ImageData
from repr_toolkit.data.images import SPLITS
from repr_toolkit.representations import UNTRAINED, Representation, is_random
from repr_toolkit.runs.run import Run

Represent = Callable[[str, ImageData | None], tuple[Representation, ImageData]]

SIMPLE = ("pixels", "pca", "labels")  # that have no encoder
PIXEL_BYTES = 2**30  # of float32, above which the pixels are no baseline of themselves


@dataclass(frozen=True, eq=False)
class Columns:
    """Representations of one data set, in the order of the table.

    ``encoders`` gives, by name, what makes h of new images, where that can be had; ``runs`` the
    folders of those that are a run's; ``left_out`` what baseline there is none of, and why.
    """

    data: ImageData
    representations: list[Representation]
    encoders: dict[str, Encode] = field(default_factory=dict)
    runs: dict[str, Path] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [representation.name for representation in self.representations]


def gather(
    sources: Sequence[str],
    represent: Represent,
    *,
    baselines: bool = True,
    tell: Callable[[str], None] = lambda message: None,
) -> Columns:
    """h of one data set by each source, and by what they have to beat.

    ``represent(source, data)`` makes it; the data, None at first, are those that the first run or
    .npz file among the sources brings. With ``baselines`` the pixels and each run's encoder before
    training, and each trained network with random weights, stand beside them, an equal one once.
    A source is named by NAME=SOURCE; of equal
    names, those after the first become their source's. Raises ValueError for a source that is given
    twice.
    """
    names = {source: name for name, source in map(named, sources)}
    given = [str(Path(source)) if _is_run(source) else source for _, source in map(named, sources)]
    for source in given:
        if given.count(source) > 1:
            raise ValueError(f"{source} is given twice; once is enough")
    sources = [*names]
    leading = next((source for source in sources if _brings_data(source)), sources[0])
    tell(f"h of {leading}")
    first, data = represent(leading, None)
    found = Columns(data, [])
    for source in sources:
        if source != leading:
            tell(f"h of {source}")
        made = first if source == leading else represent(source, data)[0]
        _add(found, source, replace(made, name=names[source] or made.name), represent)
    if not baselines:
        return found
    without = _without_encoder(sources)
    if without:
        found.left_out.append(f"untrained encoder: there is none of {without}")
    networks = [
        source
        for source, made in zip(sources, found.representations, strict=True)
        if _is_network(source) and not is_random(made)
    ]
    for source in [*(UNTRAINED + s for s in sources if _is_run(s) or s in networks), "pixels"]:
        if source in sources:
            continue
        if source == "pixels" and _pixel_bytes(data) > PIXEL_BYTES:
            found.left_out.append(
                f"pixels: all of them take {_pixel_bytes(data) / 2**30:.1f} GiB; name pixels as a "
                "source to probe them all the same"
            )
            continue
        tell(f"h of {source}")
        try:
            made, _ = represent(source, data)
        except ValueError as error:
            found.left_out.append(f"{source}: {error}")
            continue
        if made.made_by not in [r.made_by for r in found.representations]:
            _add(found, source, made, represent)
    return found


def named(source: str) -> tuple[str | None, str]:
    """The name and the source of NAME=SOURCE; of a source alone no name.

    >>> named("small=runs/a"), named("runs/a=b")
    (('small', 'runs/a'), (None, 'runs/a=b'))
    """
    match = re.fullmatch(r"(\w[\w.-]*)=(.+)", source)
    return (match[1], match[2]) if match else (None, source)


def _add(found: Columns, source: str, made: Representation, represent: Represent) -> None:
    if made.name in found.names:
        made = replace(made, name=source)
    encode = image_encoder(source, found.data, represent)
    if encode is not None:
        found.encoders[made.name] = encode
    if _is_run(source):
        found.runs[made.name] = Path(source)
    found.representations.append(made)


def image_encoder(source: str, data: ImageData, represent: Represent) -> Encode | None:
    """What makes h of new images, uint8 (N, C, H, W), as ``source`` does of those of ``data``.

    None where h is of anything else, or was stored.
    """
    if source.endswith(".npz") or source == "labels":
        return None

    def encode(images: Tensor) -> Features:
        made, _ = represent(source, _with_images(data, images, whole=source == "pca"))
        return made.h["test"]

    try:
        encode(data.splits["train"][:1]["image"])
    except ValueError:  # h of labels, of landmarks …, which new images have not
        return None
    return encode


def _with_images(data: ImageData, images: Tensor, *, whole: bool) -> ImageData:
    """Data whose test images are these and whose training images are those of ``data``.

    Their first alone but for ``whole``, which is for what is fitted to them.
    """
    kept: Any = {
        split: data.splits[split][: len(data.splits[split]) if whole else 1]
        for split in (
            "train",
            "val",
        )
    }
    parts = [kept["train"]["image"].numpy(), kept["val"]["image"].numpy()[:1], images.numpy()]
    ends = np.cumsum([0, *map(len, parts)])
    rows = {split: np.arange(ends[i], ends[i + 1]) for i, split in enumerate(SPLITS)}
    return ImageData(
        f"{data.name}, other images",
        {"image": np.concatenate(parts)},
        rows,
        levels=data.levels,
        fingerprint=f"other images of {data.fingerprint}",
    )


def _without_encoder(sources: Sequence[str]) -> str:
    """The sources that could not be untrained, in words."""
    told = [f"{source} (h of a file)" for source in sources if source.endswith(".npz")]
    return ", ".join([*told, *(source for source in sources if source in ("pca", "labels"))])


def _is_network(source: str) -> bool:
    simple = source in SIMPLE or source.endswith(".npz") or source.startswith(UNTRAINED)
    return not (simple or _is_run(source))


def _is_run(source: str) -> bool:
    return Run(source).config_file.is_file()


def _brings_data(source: str) -> bool:
    return source.endswith(".npz") or _is_run(source.removeprefix(UNTRAINED))


def _pixel_bytes(data: ImageData) -> int:
    images = sum(len(split) for split in data.splits.values())
    return 4 * images * int(np.prod(data.image_shape))
