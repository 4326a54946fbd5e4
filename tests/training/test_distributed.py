"""Two processes train what one process trains, given the same global batches."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from repr_toolkit.encoders import LayerActivations
from repr_toolkit.runs.run import Run
from repr_toolkit.training.resuming import Devices
from repr_toolkit.training.train import train
from toys.processes import own_environment
from toys.runs import MUON, assert_same_weights, narrow, prepared, small, two_checkpoints

# The MSE baseline, whose σ is calibrated; a loss that is of pairs in different processes; and a
# decoder that its first batch initialises.
CONFIGS = {
    "mse": small(
        model__decoder={
            "class_path": "repr_toolkit.decoders.Deconv",
            "init_args": {"features": 4},
        },
        training__optimizer=MUON,
    ),
    "metric": narrow(1.0),
    "pixelcnnpp": small(
        model__decoder={
            "class_path": "repr_toolkit.decoders.PixelCNNpp",
            "init_args": {"features": 2, "blocks": 1, "scales": 2, "mixtures": 2, "dropout": 0.0},
        },
        training__optimizer={"class_path": "torch.optim.SGD", "init_args": {"lr": 0.05}},
    ),
    # Training images that are changed, and validations that get worse and end it.
    "best": small(
        model__decoder__init_args__dropout=0.0,
        training__optimizer__init_args__lr=3.0,
        training__schedule="constant",
        training__weights="best",
        training__patience=1,
        data__flips=True,
        data__shifts=2,
        data__crops=0.8,
    ),
}

# Measures without a threshold that one pair of images may cross.
SMOOTH = ("train/loss", "learning_rate", "train/bits_per_dim", "val/bits_per_dim")
SMOOTH += ("val/auc", "val/one_nn", "val/spread")

# Starting processes takes longer than training: one pair of them trains everything.
SCRIPT = """
import json, os, shutil, signal, sys
from pathlib import Path
import torch
from repr_toolkit.runs.run import Run
from repr_toolkit.support.signals import Stopped
from repr_toolkit.training.monitor import LossMonitor
from repr_toolkit.training.train import train
from toys.runs import two_checkpoints
if __name__ == "__main__":
    configs, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    for name, config in configs.items():
        with two_checkpoints():
            train(config, folder / name)
    resumed = Run(folder / "resumed")
    if torch.distributed.get_rank() == 0:
        shutil.copytree(folder / "mse", resumed.path)
        resumed.weights_file.unlink()
        resumed.checkpoints()[-1].unlink()
    torch.distributed.barrier()
    train(configs["mse"], resumed.path, resume=True)

    train(configs["mse"], folder / "began_with_one", resume=True)

    # A signal that only the second process gets; the two ask each other every third step.
    often = {**configs["mse"]["trainer"], "log_every_n_steps": 3}
    stopped = {**configs["mse"], "trainer": often}
    former = LossMonitor.on_train_batch_end
    def signalled(self, trainer, *arguments):
        former(self, trainer, *arguments)
        if trainer.global_step == 5 and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
    LossMonitor.on_train_batch_end = signalled
    try:
        train(stopped, folder / "stopped")
    except Stopped as stop:
        rank = os.environ.get("LOCAL_RANK", "0")
        (folder / f"status-{rank}").write_text(str(stop.code))
    LossMonitor.on_train_batch_end = former
    train(stopped, folder / "stopped", resume=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes trained, and `said`, what they printed."""
    folder = tmp_path_factory.mktemp("two")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    with two_checkpoints():
        began = train(CONFIGS["mse"], folder / "began_with_one")
    began.weights_file.unlink()
    began.checkpoints()[-1].unlink()
    two: dict[str, Any] = {"devices": 2, "strategy": "ddp"}
    every = {**CONFIGS, "prepared": prepared(folder / "journal")}
    configs = {k: {**c, "trainer": {**c["trainer"], **two}} for k, c in every.items()}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), json.dumps(configs), str(folder)],
        env=own_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout)
    return folder


def test_what_one_process_prepares_both_train_and_average(folder: Path) -> None:
    """To the last bit: the learning rate is 0, so the averaged weights are what was prepared."""
    journal = [line.split() for line in (folder / "journal").read_text().splitlines()]
    assert journal[0] == ["prepare", "0"]
    (_, _, first, seen), (_, _, second, also_seen) = sorted(journal[1:])
    assert [line[:2] for line in sorted(journal[1:])] == [["loss", "0"], ["loss", "1"]]
    assert (first, seen) == (second, also_seen)
    weights = load_file(Run(folder / "prepared").weights_file)
    assert weights["decoder.start"].item().hex() == first
    assert int(weights["decoder.seen"]) == int(seen) == 1024


def rows(run: Run) -> list[dict[str, str]]:
    with run.metrics_file.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_give_the_result_of_one(name: str, folder: Path, tmp_path: Path) -> None:
    one, two = train(CONFIGS[name], tmp_path / "one"), Run(folder / name)
    weights = load_file(two.weights_file)
    for key, value in load_file(one.weights_file).items():
        torch.testing.assert_close(weights[key], value, rtol=1e-3, atol=1e-5)
    assert two.info.get("weights") == one.info.get("weights")
    assert (one.info["step"], two.info["step"]) == ((8, 8) if name == "best" else (12, 12))
    rel = {"mse": 1e-4, "metric": 1e-3, "pixelcnnpp": 1e-4, "best": 1e-4}[name]
    for row, other in zip(rows(one), rows(two), strict=True):
        assert row.keys() == other.keys()
        for key in ("step", *row.keys() & {*SMOOTH}):
            assert float(row[key] or 0) == pytest.approx(float(other[key] or 0), rel=rel), key
    pictures = [sorted(path.name for path in run.image_dir.iterdir()) for run in (one, two)]
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("name", ["resumed", "stopped"])
def test_two_processes_resume_exactly(name: str, folder: Path) -> None:
    assert_same_weights(Run(folder / name), Run(folder / "mse"))


def test_two_processes_stop_at_the_same_step(folder: Path) -> None:
    assert [(folder / f"status-{rank}").read_text() for rank in (0, 1)] == ["143", "0"]
    assert "resuming at step 6:" in (folder / "said").read_text()


def test_the_first_process_speaks_alone(folder: Path) -> None:
    said = (folder / "said").read_text()
    assert said.count("training ChannelMean → h (3) → Deconv") == 2
    assert "on 2 × CPU" in said


def test_a_run_goes_on_on_another_number_of_devices(folder: Path) -> None:
    """To the same weights but for rounding, which is said."""
    weights = load_file(Run(folder / "mse").weights_file)
    for key, value in load_file(Run(folder / "began_with_one").weights_file).items():
        torch.testing.assert_close(weights[key], value, rtol=1e-3, atol=1e-5)
    said = (folder / "said").read_text()
    assert said.count("the checkpoint is of 1 × CPU, this is 2 × CPU: sums round otherwise") == 1


NORMALISED = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2))


@pytest.mark.parametrize(
    ("part", "then", "told"),
    [
        (torch.nn.BatchNorm2d(3), {"count": 1, "kind": "CPU"}, "0 normalises by each device's"),
        (torch.nn.BatchNorm2d(3), {"count": 2, "kind": "GPU"}, ""),
        (torch.nn.Conv2d(3, 3, 1), {"count": 1, "kind": "CPU"}, ""),
        (torch.nn.BatchNorm2d(3), None, ""),
        (torch.nn.BatchNorm2d(3).eval(), {"count": 1, "kind": "CPU"}, ""),
        (torch.nn.SyncBatchNorm(3), {"count": 1, "kind": "CPU"}, ""),
        (LayerActivations(NORMALISED, image_shape=(3, 8, 8)), {"count": 1, "kind": "CPU"}, ""),
    ],
)
def test_what_another_number_of_devices_changes(
    part: torch.nn.Module, then: dict[str, Any] | None, told: str
) -> None:
    trainer: Any = SimpleNamespace(
        world_size=2, strategy=SimpleNamespace(root_device=torch.device("cpu"))
    )
    model: Any = torch.nn.Sequential(part)
    arguments = trainer, model, {"devices": then}
    if told:
        with pytest.raises(ValueError, match=told):
            Devices().on_load_checkpoint(*arguments)
    else:
        Devices().on_load_checkpoint(*arguments)
    Devices(synchronised=True).on_load_checkpoint(*arguments)
