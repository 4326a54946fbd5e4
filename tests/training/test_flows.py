"""Flows in training: prepared, resumed bit for bit, skipping nothing, their round trip logged."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from repr_toolkit.data import ImageData
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.run import Run, load
from repr_toolkit.training.train import train
from toys.encoders import CONV
from toys.runs import assert_same_weights, metrics, small, two_checkpoints

GLOW = {"scales": 2, "steps": 2, "features": 6}
CASES: dict[str, tuple[int, int, str, dict[str, Any], dict[str, Any]]] = {
    "grey, 8 bits": (1, 256, "Glow", GLOW, {"model__encoder": None}),
    "RGB, 5 bits, given h": (3, 32, "Glow", {**GLOW, "permutation": "plain"}, {
        "model__encoder": CONV}),
    "bf16": (3, 256, "Glow", {**GLOW, "dequantisation": "variational"}, {
        "model__encoder": CONV, "trainer__precision": "bf16-mixed"}),
    "inverted": (1, 32, "RealNVP", {"features": 4, "blocks": 1, "memory": "invert"}, {}),
    "NICE": (3, 256, "NICE", {"features": 8, "hidden": 1}, {"model__encoder": None}),
}  # fmt: skip


def smooth_images(channels: int, levels: int) -> ImageData:
    """120 random gradients of 8×8, of these levels."""
    draw = np.random.default_rng(0)
    slopes = draw.normal(size=(2, 120, channels, 1, 1))
    rows, columns = np.mgrid[:8, :8] / 8 - 0.5
    values = 0.5 + 0.4 * np.tanh(slopes[0] * rows + slopes[1] * columns)
    image = (values * 256).astype(np.uint8)
    parts = np.split(np.arange(120), [80, 100])
    rows_of = dict(zip(("train", "val", "test"), parts, strict=True))
    data = ImageData("gradients", {"image": image}, rows_of)
    return data if levels == 256 else data.quantised(levels)


@pytest.mark.parametrize(
    ("channels", "levels", "name", "init_args", "settings"), CASES.values(), ids=CASES
)
@two_checkpoints()
def test_a_flow_trains_and_resumes_bit_for_bit(
    tmp_path: Path,
    channels: int,
    levels: int,
    name: str,
    init_args: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    decoder = {"class_path": f"repr_toolkit.decoders.{name}", "init_args": init_args}
    settings |= {"training__optimizer__init_args__lr": 0.003}
    config = small(model__decoder=decoder, **settings)
    data = smooth_images(channels, levels)
    run = train(config, tmp_path / "run", data=data)
    weights = load_file(run.weights_file)
    flags = [value for key, value in weights.items() if key.endswith(".prepared")]
    assert all(flags)
    assert bool(flags) == (name != "NICE")
    errors = [row["val/round_trip_error"] for row in metrics(run) if row["val/round_trip_error"]]
    assert len(errors) == 3
    assert all(0 <= float(error) < 1e-5 for error in errors)
    assert run.info["likelihood"] == "upper bound, dequantised"

    cut = Run(tmp_path / "cut")
    shutil.copytree(run.path, cut.path)
    cut.weights_file.unlink()
    cut.checkpoints()[-1].unlink()
    train(config, cut.path, resume=True, data=data)
    assert_same_weights(cut, run)
    assert metrics(cut) == metrics(run)

    model = load(run)
    assert isinstance(model, EncoderDecoder)
    test = data.splits["test"][:]
    assert model.decoder.levels == levels
    h = model.encode(test)
    images, _ = model.decoder.reconstruct(test["image"], h)
    assert torch.equal(images, test["image"])
