"""h that was computed before and lies in a data file, as `embed` and `faces` write it."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.data.images import require_finite
from repr_toolkit.data.names import find
from repr_toolkit.data.npz import read_members, texts
from repr_toolkit.representations.representation import Representation
from repr_toolkit.support.speech import either


def stored(
    source: str, data: ImageData | None, data_settings: Mapping[str, Any]
) -> tuple[Representation, ImageData]:
    """The embedding in an .npz file, and the data that it is h of.

    A file of `embed` states in its array `of` the fingerprint of the data that h was made of.
    Without `data` and without a source in the settings the file's own images are the data, and
    they get that fingerprint, so that h in several files of the same data can be compared.

    Raises ValueError for a file without embeddings, and where data or levels are others than those
    that h was made of.
    """
    embedded = load_data(source, root=data_settings.get("root"))
    if "embedding" not in embedded.arrays:
        raise ValueError(
            f"{source} has no 'embedding', only {', '.join(embedded.arrays)}: name what makes h of "
            f"its images, such as "
            + either(f"pixels --data.source {source}", f"'pixels' with load_data({source!r})")
        )
    file = find(source, data_settings.get("root"))
    assert file is not None  # it was read above
    members = read_members(file)
    original = next(iter(texts(members, "of", 0)), None)
    holder = embedded
    if data is None and "source" in data_settings:
        data = load_data(**data_settings)
    if data is None:
        holder = load_data(source, **data_settings)
        data = copy(holder)
        if "fold" not in data_settings and original is not None:
            data.fingerprint = original
    elif data.fingerprint not in (original, embedded.fingerprint):
        raise ValueError(
            f"{source} holds h of other data than {data.name}: of those with the fingerprint "
            f"{original or embedded.fingerprint}, not {data.fingerprint}; embed {data.name} anew"
        )
    if original is not None and embedded.levels != data.levels:
        raise ValueError(
            f"{source} holds h of images of {embedded.levels} levels, but {data.name} is read at "
            f"{data.levels}; set {either('--data.levels ', 'levels=')}"
            f"{embedded.levels}, or embed at {data.levels}"
        )
    require_finite(embedded.arrays["embedding"], f"{source}: 'embedding'")
    h = {split: holder.splits[split].column("embedding").numpy() for split in data.splits}
    made_by = embedded.encoder or f"embedding of {embedded.name} {embedded.fingerprint[:12]}"
    return Representation(Path(source).stem, made_by, data.fingerprint, data.levels, h), data
