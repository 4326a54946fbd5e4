"""What several commands share: what they tell, and the pictures they are given."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def telling_of_engines(told: bool = True) -> Iterator[None]:
    """Show on stderr what the log says of sampling engines, each kind of message once."""
    if not told:
        yield
        return
    shown: set[str] = set()

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg not in shown:
                shown.add(record.msg)
                print(record.getMessage(), file=sys.stderr)  # the bar's own while there is one

    log = logging.getLogger("repr_toolkit.sampling")
    level = log.level
    handler = Teller()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def name_outputs(out: Path) -> None:
    """Print which files a picture was written to."""
    for path in dict.fromkeys((out, out.with_suffix(".npz"))):
        print(path)


def read_pictures(paths: Sequence[str], image_shape: tuple[int, int, int], levels: int) -> "Tensor":
    """Image files as uint8 (N, C, H, W) with values 0…levels−1.

    For a square image_shape (C, H, W) each picture's middle square is scaled to it. Raises
    ValueError, naming the file, for a damaged picture or one of another shape.
    """
    import numpy as np
    import torch

    from repr_toolkit.data.folder import read_image

    _, height, width = image_shape
    pictures = []
    for path in paths:
        picture = read_image(Path(path), height if height == width else None)
        if picture.shape != image_shape:
            raise ValueError(
                f"{path} has the shape {picture.shape} (channels, height, width), but the model "
                f"takes {image_shape}; convert it first"
            )
        pictures.append(picture.astype(np.uint16) * levels // 256)
    return torch.from_numpy(np.stack(pictures).astype(np.uint8))
