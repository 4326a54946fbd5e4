"""What is given to `probe` in Python, as sources and data: arrays and torch data sets among it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from repr_toolkit.analyses.probing.columns import Made
from repr_toolkit.data import ImageData, load_data
from repr_toolkit.data.arrays import Arrays, by_split
from repr_toolkit.data.images import SPLITS, first_key
from repr_toolkit.representations import Representation
from repr_toolkit.runs.run import Run


def as_given(
    source: Made | Arrays | Iterable[Made], data: str | Path | ImageData | Arrays | None
) -> tuple[list[Made], ImageData | None]:
    """The sources and the data of what `probe` is given.

    Raises ValueError for embeddings without labels or with more or fewer rows than the data, and as
    `load_data` does.
    """
    alone = isinstance(source, np.ndarray | Tensor)
    if alone and isinstance(data, np.ndarray | Tensor | list) and np.ndim(cast(Any, data)) == 1:
        source, data = (source, data), None
    pair = isinstance(source, tuple) and len(source) == 2
    by_key = isinstance(source, Mapping) and (
        not by_split(source)
        or any(isinstance(part, tuple | Mapping | Dataset) for part in source.values())
    )
    if data is None and (
        isinstance(source, Dataset)
        or by_key
        or (pair and isinstance(cast(Any, source)[0], np.ndarray | Tensor))
    ):
        loaded = load_data(cast(Arrays, source))
        return [_stored(loaded)], loaded
    if alone and data is None:
        raise ValueError("embeddings alone have nothing to probe: give their labels beside them")
    images = None if data is None else load_data(data)
    if alone:
        known = cast(ImageData, images)
        count = len(known.arrays[first_key(known.arrays)])
        values = np.asarray(source.detach().cpu() if isinstance(source, Tensor) else source)
        if len(values) != count:
            raise ValueError(
                f"there are {len(values):,} rows of h, and {count:,} images of {known.name}: h has "
                f"a row for each image, in their order"
            )
        return [{split: values[known.rows[split]] for split in SPLITS}], images
    single = isinstance(source, str | Path | Run | Representation | Mapping)
    return [cast(Made, source)] if single else [*cast("Iterable[Made]", source)], images


def _stored(data: ImageData) -> Representation:
    """The embeddings of arrays; ValueError for images without any."""
    if "embedding" not in data.arrays:
        raise ValueError("images are no h: name what makes it of them, such as 'pixels'")
    h = {split: data.split(split).column("embedding").numpy() for split in SPLITS}
    made_by = f"embeddings {data.fingerprint[:12]}"
    return Representation("h", made_by, data.fingerprint, data.levels, h)
