"""Runs made by earlier code load, give the numbers that they gave, and resume."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.bits import bits_per_dim
from repr_toolkit.runs.run import Run, load
from repr_toolkit.training.train import train

RUNS = Path(__file__).parents[1] / "old_runs"
EXPECTED: dict[str, Any] = json.loads((RUNS / "expected.json").read_text())


@pytest.fixture(autouse=True)
def data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The face net's images are found where the runs lie."""
    monkeypatch.setenv("REPR_TOOLKIT_DATA", str(RUNS))


@pytest.mark.parametrize("name", EXPECTED)
def test_an_old_run_gives_the_numbers_that_it_gave(name: str) -> None:
    run, expected = Run(RUNS / name), EXPECTED[name]
    model, split = load(run), run.load_data().splits["test"]
    batch = split[list(range(8))]
    with torch.no_grad():
        h = model.encode(batch)
    assert h is not None
    np.testing.assert_allclose(h.numpy(), expected["h"], atol=1e-5)
    if isinstance(model, EncoderDecoder):
        bits = bits_per_dim(model, split)
        np.testing.assert_allclose(bits.mean(), expected["bits"], atol=1e-5)
        np.testing.assert_allclose(bits[:8], expected["first"], atol=1e-5)
        shape = (2, *model.decoder.image_shape)
        noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        images = model.decoder.sample(h[:2], noise=noise)
        assert int(images.long().sum()) == expected["sample_sum"]


@pytest.mark.parametrize("name", EXPECTED)
def test_an_old_run_resumes(name: str, tmp_path: Path) -> None:
    """From its checkpoint of step 2 it comes to the weights of step 4 that it came to then."""
    run = Run(shutil.copytree(RUNS / name, tmp_path / name))
    then = load_file(run.weights_file)
    drawing = run.config["model"]["encoder"]["init_args"].get("augment", False)
    run.weights_file.unlink()
    run.info_file.unlink()
    train(run.config, run.path, resume=True)
    now = load_file(run.weights_file)
    assert set(now) == set(then)
    if "decoder.sigma" in then:  # its search stopped too early then
        model, train_images = load(run), run.load_data().splits["train"]
        bits = bits_per_dim(model, train_images).mean()
        model.decoder.get_buffer("sigma").copy_(then.pop("decoder.sigma"))
        assert bits < bits_per_dim(model, train_images).mean() - 1e-5
    # Its augmentation draws other numbers now: two steps of Adam may differ by twice their size.
    atol = 4 * run.config["training"]["optimizer"]["init_args"]["lr"] if drawing else 1e-6
    for key, value in then.items():
        torch.testing.assert_close(now[key], value, rtol=1e-4, atol=atol)
    assert run.info["step"] == 4
