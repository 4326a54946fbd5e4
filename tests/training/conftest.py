"""A training that several files look at."""

import pytest

from repr_toolkit.runs.run import Run
from repr_toolkit.training.train import train
from toys.runs import small, two_checkpoints


@pytest.fixture(scope="module")
@two_checkpoints()
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a plug-in model, never interrupted."""
    return train(small(), tmp_path_factory.mktemp("runs") / "whole")
