"""Trainings that cannot be, and those whose numbers are not finite."""

from math import isfinite
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from repr_toolkit.runs.run import Run
from repr_toolkit.training.train import train
from toys.runs import assert_same_weights, metrics, small

DECODERS = {
    "Deconv": {"features": 4},
    "GatedPixelCNN": {"features": 4, "layers": 2},
}


@pytest.mark.parametrize("decoder", DECODERS)
def test_weights_that_diverge_in_the_last_step_are_named(tmp_path: Path, decoder: str) -> None:
    """The loss was finite in every step; validation must not stumble over the weights."""
    config = small(
        model__decoder={
            "class_path": f"repr_toolkit.decoders.{decoder}",
            "init_args": DECODERS[decoder],
        },
        training__optimizer={"class_path": "torch.optim.SGD", "init_args": {"lr": 1e38}},
        training__warmup=0,
        training__steps=1,
        training__validate_every=1,
        trainer__gradient_clip_val=1e38,
    )
    with pytest.raises(FloatingPointError, match="not finite"):
        train(config, tmp_path / "run")
    assert not Run(tmp_path / "run").checkpoints()


@pytest.mark.parametrize("setting", ["explode_at", "poison_at"])
def test_a_diverging_run_stops_with_its_last_good_checkpoint(tmp_path: Path, setting: str) -> None:
    """After more steps without a finite gradient than with one."""
    settings = {f"model__decoder__init_args__{setting}": 6}
    config = small(**settings, model__decoder__init_args__bad_steps=9)
    run = Run(tmp_path / "diverging")
    message = r"7 of the last 12 steps, up to step 12, had no finite.*step_0000008\.ckpt"
    with pytest.raises(FloatingPointError, match=message):
        train(config, run.path)
    assert not run.finished
    state = torch.load(run.checkpoints()[-1], weights_only=True)["state_dict"]
    assert all(torch.isfinite(value).all() for value in state.values())


@pytest.mark.parametrize("setting", ["explode_at", "poison_at"])
@pytest.mark.parametrize("optimizer", ["torch.optim.Adam", "repr_toolkit.training.muon.Muon"])
def test_a_step_whose_gradient_is_not_finite_is_skipped(
    tmp_path: Path, setting: str, optimizer: str
) -> None:
    """By optimizers that skip on the device, and by those that do not: as if it were not there."""
    settings: dict[str, Any] = {
        "training__optimizer": {"class_path": optimizer, "init_args": {"lr": 0.01}},
        "training__schedule": "constant",
        "training__ema_decay": 0,
    }
    if optimizer.endswith("Muon"):
        settings["training__optimizer"]["init_args"]["orthogonal"] = False

    def trained(steps: int, **more: Any) -> Run:
        lengths = {"training__steps": steps, "training__validate_every": steps}
        return train(small(**settings, **lengths, **more), tmp_path / str(steps))

    skipping = trained(4, **{f"model__decoder__init_args__{setting}": 4})
    assert_same_weights(skipping, trained(3))
    *_, last = [row for row in metrics(skipping) if row["train/loss"]]
    assert float(last["train/skipped_steps"]) == 1
    assert isfinite(float(last["train/loss"]))


def test_momentum_begins_with_the_first_step_that_is_taken(tmp_path: Path) -> None:
    """In the fused kernel, which torch calls without momenta, as in torch's other one."""
    config = small(training__steps=4, model__decoder__init_args__poison_at=1)
    runs = []
    for name, chosen in {"fused": {}, "foreach": {"foreach": True}}.items():
        init_args = {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, **chosen}
        config["training"]["optimizer"] = {"class_path": "torch.optim.SGD", "init_args": init_args}
        runs.append(load_file(train(config, tmp_path / name).weights_file))
    for key, weight in runs[0].items():
        torch.testing.assert_close(weight, runs[1][key], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trainer__devises": 2}, r"unknown key trainer\.devises.*did you mean devices\?"),
        ({"trainer__precision": "bf16-true"}, r"trainer\.precision is auto, 32-true, bf16-mixed"),
        ({"model__decoder__init_args__h_dim": 9}, "h_dim is 9, but the encoder's h_dim is 3"),
        ({"model__encoder": {"class_path": "no_such_module.X"}}, "no_such_module"),
    ],
)
def test_nothing_is_made_for_a_configuration_that_cannot_be(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, ImportError), match=message):
        train(small(**settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_encoder_whose_source_the_data_lack(tmp_path: Path) -> None:
    decoder = {"class_path": "toys.decoders.Independent"}
    encoder = {"class_path": "toys.encoders.ReadsText", "init_args": {"h_dim": 2}}
    config = small(model__encoder=encoder, model__decoder=decoder)
    with pytest.raises(ValueError, match="reads 'text', but digits has image, label"):
        train(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training__optimizer": {"class_path": "torch.optim.SparseAdam"}}, "dense gradients"),
        ({"training__optimizer__init_args__lr": -1.0}, "Invalid learning rate"),
        ({"trainer__devices": [[]]}, r"^trainer\.devices: "),
        ({"trainer__max_time_": 1}, "max_time_"),
        ({"trainer__gradient_clip_val": "much"}, r"^trainer\.gradient_clip_val"),
        ({"trainer__profiler": 3}, r"^trainer\.profiler"),
    ],
)
def test_what_cannot_train_makes_no_directory(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        train(small(**settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()
