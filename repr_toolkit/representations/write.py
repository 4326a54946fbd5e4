"""A representation as a data file like any other, which trains decoders and is probed again."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from repr_toolkit.data import ImageData
from repr_toolkit.data.images import SPLITS, Array
from repr_toolkit.representations.representation import Representation
from repr_toolkit.support.files import Rows, atomic_write, require_writable, write_npz

CHUNK_BYTES = 8 << 20


def write_embedding(
    out: Path, representation: Representation, data: ImageData, *, overwrite: bool = False
) -> None:
    """Write the data with h as their `embedding` to `out`, an .npz file.

    `repr_toolkit.data.load_data` reads from it the same images, splits and order, at the
    levels of `data`, with all their other keys and names. `encoder` states `made_by`, and
    `of` the fingerprint of `data`. Images of no split are left out. No more than some MiB are
    in memory at a time, and the same content gives the same bytes.

    Raises ValueError where h is of other data, and as `require_writable` does.
    """
    representation.require(data)
    require_writable(out, "the data file", ".npz", overwrite=overwrite)
    count = sum(len(data.splits[split]) for split in SPLITS)
    constants: dict[str, Array] = {
        "split": np.repeat(SPLITS, [len(data.splits[split]) for split in SPLITS]),
        "embedding": np.concatenate([representation.h[split] for split in SPLITS]),
        "encoder": np.array(representation.made_by),
        "of": np.array(representation.fingerprint),
        "levels": np.array(data.levels),
    }
    if data.names.get("label"):
        constants["name"] = np.array(data.names["label"])
    people = _named_identities(data)
    if people is not None:
        constants["identity"] = people
    keys = {
        key: Rows(array.dtype, (count, *array.shape[1:]), _chunks(data, key))
        for key, array in data.arrays.items()
        if key not in constants
    }
    with atomic_write(out) as file:
        write_npz(file, {**keys, **constants})


def _named_identities(data: ImageData) -> Array | None:
    """The people's names of all images; None where their codes would not come back from them."""
    names = np.array(data.names.get("identity", ()))
    if "identity" not in data.arrays or not len(names):
        return None
    codes = np.concatenate([data.splits[split].column("identity").numpy() for split in SPLITS])
    people = names[codes]
    same = np.array_equal(np.unique(people), names)
    return people if same else None


def _chunks(data: ImageData, key: str) -> Iterator[Array]:
    """One key of the splits' images, some MiB at a time."""
    array = data.arrays[key]
    step = max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
    for split in SPLITS:
        images = data.splits[split]
        for start in range(0, len(images), step):
            if key == "image":  # which may be read at fewer levels than it is stored at
                yield images[start : start + step]["image"].numpy()
            else:
                yield array[images.rows[start : start + step]]
