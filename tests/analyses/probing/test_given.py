"""Arrays and torch data sets, given to `probe` as they are."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from repr_toolkit.analyses.probing import probe
from repr_toolkit.data import load_data

DRAW = np.random.default_rng(0)
LABELS = np.arange(120) % 3
H = (np.eye(3)[LABELS] + 0.01 * DRAW.normal(size=(120, 3))).astype(np.float32)
IMAGES = DRAW.integers(0, 256, (120, 1, 4, 4), dtype=np.uint8)
QUICK: dict[str, Any] = {"probes": ["knn"], "orders": 0}


@pytest.mark.parametrize(
    "given",
    [
        (H, LABELS),
        (torch.from_numpy(H), torch.from_numpy(LABELS)),
        ((H, LABELS),),
        ({"embedding": H, "label": LABELS},),
        ({"features": H, "y": LABELS},),
        (TensorDataset(torch.from_numpy(H), torch.from_numpy(LABELS)),),
        (H, (IMAGES, LABELS)),
        (H, load_data((IMAGES, LABELS))),
        (H, LABELS.astype(float)),
        (H, [f"class {label}" for label in LABELS]),
        (
            {
                "train": (H[:96], LABELS[:96]),
                "valid": (H[96:108], LABELS[96:108]),
                "test": (H[108:], LABELS[108:]),
            },
        ),
    ],
)
def test_embeddings_and_labels_are_all_that_it_takes(given: tuple[Any, ...]) -> None:
    result = probe(*given, **QUICK)
    [label] = result.targets
    reading = label.reading("h", "knn")
    assert reading is not None
    assert reading.score is not None
    assert reading.control is not None
    assert reading.score.value == 1
    assert (label.images["train"], label.images["test"]) == (96, 12)
    assert reading.control.types == "none"  # of embeddings there is no second view
    if result.data == "arrays" and "pixels" not in result.representations:
        assert "have no images, only embedding, label" in result.left_out["pixels"]


def test_real_numbers_beside_h_are_regressed() -> None:
    result = probe(H, H[:, 0] + 0.5, control=False, probes=["ridge"], orders=0)
    assert [(target.name, target.kind) for target in result.targets] == [("target", "regression")]


def test_images_in_memory_are_data() -> None:
    result = probe("pixels", (IMAGES, LABELS), control=False, **QUICK)
    assert [*result.representations] == ["pixels"]


def test_what_has_nothing_to_probe() -> None:
    for given, told in (
        ((H,), "give their labels beside them"),
        (((IMAGES, LABELS),), "images are no h: name what makes it of them"),
        ((np.tile(H, (2, 1)), (IMAGES, LABELS)), "240 rows of h, and 120 images of arrays"),
        ((H[:60], (IMAGES, LABELS)), "60 rows of h, and 120 images of arrays"),
        ((np.where(H > 0.9, np.nan, H), LABELS), "h of the train images is not finite in"),
    ):
        with pytest.raises(ValueError, match=told):
            probe(*given, **QUICK)
