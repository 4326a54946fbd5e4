"""The 48 photographs through the whole pipeline, against what was stored for them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from repr_toolkit.encoders import FaceNet
from repr_toolkit.faces import Detector, FaceJob
from toys.processes import SHARED_DATA

PHOTOGRAPHS = SHARED_DATA / "face_photos"

pytestmark = pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the shared data are not here")


def auc(embedding: Any, identity: Any) -> float:
    """How well the cosine of two embeddings tells the same person from two, over all pairs."""
    rows, columns = np.triu_indices(len(embedding), 1)
    same = identity[rows] == identity[columns]
    return float(roc_auc_score(same, (embedding @ embedding.T)[rows, columns]))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("real") / "faces.npz"
    facenet = FaceNet(str(SHARED_DATA / "facenet_casia_webface_512.safetensors"))
    report = FaceJob(PHOTOGRAPHS, out).run(Detector(), facenet)
    assert (report.faces, report.people, report.skipped) == (48, 12, [])
    return dict(np.load(out))


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return dict(np.load(SHARED_DATA / "lfw_faces_32.npz"))


def test_photographs_give_the_stored_embeddings_again(
    real: dict[str, Any], stored: dict[str, Any]
) -> None:
    index = {photo: i for i, photo in enumerate(stored["photo"])}
    rows = [index[Path(photo).name] for photo in real["photo"]]
    assert (stored["identity"][rows] == real["identity"]).all()
    cosine = (stored["embedding"][rows] * real["embedding"]).sum(1)
    assert cosine.min() >= 0.999
    assert real["encoder"] == "FaceNet 20e079139501"


def test_embeddings_tell_people_apart(real: dict[str, Any], stored: dict[str, Any]) -> None:
    assert auc(real["embedding"], real["identity"]) >= 0.99
    held_out = stored["split"] == "test"
    assert auc(stored["embedding"][held_out], stored["identity"][held_out]) >= 0.99


def test_faces_lie_in_the_image_as_in_the_stored_ones(
    real: dict[str, Any], stored: dict[str, Any]
) -> None:
    difference = real["landmarks"].mean(0) - np.nanmean(stored["landmarks"], axis=0)
    assert np.abs(difference).max() < 0.8  # of 32 pixels
