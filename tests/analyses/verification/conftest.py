"""Faces with embeddings, and encoders that were trained on them alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repr_toolkit.config.recipe import complete
from repr_toolkit.runs.run import Run
from repr_toolkit.study import run_study
from repr_toolkit.training.train import train
from toys.data import write_faces
from toys.runs import small_metric


@pytest.fixture(scope="package")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty people, four pictures each, with an embedding that tells them apart."""
    draw = np.random.default_rng(1)
    centres = draw.normal(size=(20, 6))[np.repeat(np.arange(20), 4)]
    embedding = (centres + 0.5 * draw.normal(size=(80, 6))).astype(np.float32)
    path = tmp_path_factory.mktemp("data") / "faces.npz"
    return write_faces(path, people=20, images=4, embedding=embedding)


@pytest.fixture(scope="package")
def config(faces: Path) -> dict[str, Any]:
    """Of an encoder that is trained alone on these faces."""
    return small_metric(data__source=str(faces), data__batch_size=16, training__ema_decay=0)


@pytest.fixture(scope="package")
def run(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    data = {**config["data"], "fold": 0, "folds": 2}
    return train({**config, "data": data}, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="package")
def study(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of two folds."""
    folds = {f"fold{fold}": {"data.fold": fold, "data.folds": 2} for fold in range(2)}
    folder = tmp_path_factory.mktemp("runs") / "faces"
    run_study(complete({**config, "study": folds}), folder)
    return folder
