"""Images in no order, and a run on them."""

from pathlib import Path

import numpy as np
import pytest

from repr_toolkit.data import ImageData
from repr_toolkit.runs.run import Run
from toys.runs import run_of


@pytest.fixture
def data() -> ImageData:
    """Thirty images in splits whose rows are in no order, one of them in none."""
    generator = np.random.default_rng(0)
    order = generator.permutation(30)
    arrays = {
        "image": generator.integers(0, 17, (30, 1, 8, 8), dtype=np.uint8),
        "label": generator.permutation(np.arange(30) % 3),
        "identity": generator.permutation(np.arange(30) % 7),
        "depth": generator.normal(size=(30, 2)),
    }
    rows = {"train": order[:20], "val": order[20:24], "test": order[24:29]}
    names = {"label": ("c", "a", "b"), "identity": tuple("stuvwxy")}
    return ImageData("mine", arrays, rows, levels=17, names=names)


@pytest.fixture
def run(tmp_path: Path, data: ImageData) -> Run:
    """A finished run on these data, whose encoder has weights of another seed than its start."""
    return run_of(tmp_path / "run", data, encoder="ConvBottleneck", h_dim=3, features=4)
