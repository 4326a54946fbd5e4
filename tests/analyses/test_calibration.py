"""Calibration: by hand, by torchmetrics, and of a decoder's softmaxes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from repr_toolkit.analyses.calibration import calibration, of_softmaxes
from repr_toolkit.data import load_data
from repr_toolkit.runs.run import load
from repr_toolkit.support.stats import mean
from toys.decoders import DECONV
from toys.runs import untrained_run


def test_by_hand_and_by_torchmetrics() -> None:
    draw = np.random.default_rng(0)
    probability = draw.uniform(0.2, 1, (400, 3))
    right = draw.random((400, 3)) < probability - 0.1
    parts = [(probability[:150], right[:150]), (probability[150:], right[150:])]
    found = calibration(parts)
    assert found.too_sure == mean((probability - right).mean(1))
    assert found.too_sure.low < 0.1 < found.too_sure.high
    scores, truth = (torch.from_numpy(part.ravel().astype(float)) for part in (probability, right))
    expected = binary_calibration_error(scores, truth.long(), n_bins=15, norm="l1")
    assert found.calibration_error == pytest.approx(float(expected), abs=1e-6)
    few = calibration(parts, (np.arange(400) % 3, "people"))
    assert few.too_sure.how == "no interval: 3 people are fewer than 10"


def test_of_softmaxes(tmp_path: Path) -> None:
    """Those of the levels, each sub-pixel given the true ones before it."""
    model = load(untrained_run(tmp_path / "run"))
    split = load_data("digits").splits["test"]
    batch = split[[3, 9]]
    with torch.no_grad():
        h = model.encode(batch)
        softmax = model.decoder.params(batch["image"], h).softmax(-1).max(-1)
    offset = softmax.values - (softmax.indices == batch["image"]).float()
    found = of_softmaxes(model, split, h, [3, 9])
    assert found is not None
    assert found.too_sure.value == pytest.approx(float(offset.mean()), abs=1e-6)
    baseline = load(untrained_run(tmp_path / "mse", decoder=DECONV))
    assert of_softmaxes(baseline, split, h, [3, 9]) is None
