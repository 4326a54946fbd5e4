"""Training runs, whole: what they write, that they resume exactly, and how they fail."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.runs.run import Run, load
from repr_toolkit.training.train import train
from toys.decoders import Independent
from toys.processes import own_environment
from toys.runs import MUON, assert_same_weights, metrics, narrow, small, two_checkpoints


@pytest.fixture(scope="module")
@two_checkpoints()
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a plug-in model, never interrupted."""
    return train(small(), tmp_path_factory.mktemp("runs") / "whole")


def test_a_run_directory_holds_everything(whole: Run) -> None:
    assert whole.finished
    assert [p.name for p in whole.checkpoints()] == ["step_0000008.ckpt", "step_0000012.ckpt"]
    pictures = sorted(p.name for p in whole.image_dir.iterdir())
    assert pictures == ["step_0000004.png", "step_0000008.png", "step_0000012.png"]
    with Image.open(whole.image_dir / pictures[0]) as picture:
        assert picture.width > picture.height  # 8 columns; originals, reconstructions, samples
    info = whole.info
    assert (info["step"], info["levels"], info["h_dim"]) == (12, 17, 3)
    assert info["image_shape"] == [1, 8, 8]
    assert info["parameters"] == {"encoder": 6, "decoder": 64 * 17 + 4 * 17}
    assert info["seconds"] > 0
    assert info["data"]["fingerprint"] == load_data("digits").fingerprint
    rows = metrics(whole)
    assert [row["step"] for row in rows] == ["4", "4", "8", "8", "12", "12"]
    bits = [float(row["val/bits_per_dim"]) for row in rows if row["val/bits_per_dim"]]
    assert bits[2] < bits[1] < bits[0]
    assert info["val_bits_per_dim"] == bits[2]
    assert "study" not in whole.config


def test_validation_is_the_exact_mean_of_the_averaged_weights(whole: Run) -> None:
    model, data = load(whole), whole.load_data()
    assert not model.training
    everything = data.splits["val"][list(range(len(data.splits["val"])))]
    assert len(data.splits["val"]) % 16  # the last batch is a smaller one
    with torch.no_grad():
        bits = model.bits_per_dim(everything).double().mean().item()
    assert whole.info["val_bits_per_dim"] == pytest.approx(bits, rel=1e-6)


def test_the_decoder_is_calibrated_on_training_images(whole: Run) -> None:
    train_images = load_data("digits").splits["train"].column("image").float()
    # All of them, as there are fewer than the final calibration would take.
    mean = load_file(whole.weights_file)["decoder.mean_intensity"].item()
    assert mean == pytest.approx(train_images.mean().item(), rel=1e-5)


def test_bfloat16_training_validates_in_float32(tmp_path: Path) -> None:
    decoder = {
        "class_path": "repr_toolkit.decoders.GatedPixelCNN",
        "init_args": {"features": 4, "layers": 2},
    }
    config = small(
        model__decoder=decoder,
        trainer__precision="bf16-mixed",
        training__steps=4,
        training__ema_decay=0,
    )
    run = train(config, tmp_path / "run")
    split = run.load_data().splits["val"]
    with torch.no_grad():
        bits = load(run).bits_per_dim(split[list(range(len(split)))]).double().mean().item()
    assert run.info["val_bits_per_dim"] == pytest.approx(bits, rel=1e-6)


def test_an_existing_directory_is_refused(whole: Run) -> None:
    before = whole.config_file.stat().st_mtime_ns
    with pytest.raises(FileExistsError, match="exists already; resume it"):
        train(small(seed=1), whole.path)
    assert whole.config_file.stat().st_mtime_ns == before


def test_a_finished_run_is_left_as_it_is(whole: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = whole.weights_file.stat().st_mtime_ns
    train(small(), whole.path, resume=True)
    assert "finished already" in capsys.readouterr().out
    assert whole.weights_file.stat().st_mtime_ns == before


@pytest.mark.parametrize(("keep", "kept"), [("checkpoint", [4]), ("weights", [])])
def test_a_finished_run_keeps_one_checkpoint_or_its_weights_alone(
    tmp_path: Path, keep: str, kept: list[int]
) -> None:
    config = small(training__steps=4, training__validate_every=2, training__keep=keep)
    run = train(config, tmp_path / "run")
    assert run.checkpoints() == [run.checkpoint(step) for step in kept]
    assert load(run).decoder is not None
    # What is kept is no reason to refuse a run.
    train({**config, "training": {**config["training"], "keep": "weights"}}, run.path, resume=True)
    if not kept:
        with pytest.raises(FileNotFoundError, match=rf"its weights alone.* --from {run.path} "):
            run.require_checkpoint()


def test_a_resume_with_other_settings_is_refused(whole: Run) -> None:
    with pytest.raises(ValueError, match=r"other settings \(seed, training\.warmup\)"):
        train(small(seed=1, training__warmup=0), whole.path, resume=True)


def test_kill_9_then_resume_gives_the_same_weights(whole: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "killed")
    script = (
        f"import torch; torch.set_num_threads({torch.get_num_threads()})\n"
        "import time; from toys.decoders import Independent; from toys.runs import small\n"
        "from repr_toolkit.training.train import train\n"
        "loss = Independent.loss\n"
        "def slow(self, x, h=None): time.sleep(0.2); return loss(self, x, h)\n"
        "Independent.loss = slow\n"
        f"train(small(), {str(run.path)!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], env=own_environment())
    deadline = time.monotonic() + 120
    while not run.checkpoints() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)  # into the next stretch of steps
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert [p.name for p in run.checkpoints()] == ["step_0000004.ckpt"]
    with pytest.raises(FileNotFoundError, match=r"still in training.*--name killed --resume"):
        load(run)
    seconds = 4 * 0.2  # spent before the kill, and kept
    train(small(), run.path, resume=True)
    assert_same_weights(run, whole)
    assert metrics(run) == metrics(whole)
    assert run.info["seconds"] > seconds


@pytest.mark.parametrize(
    "kept", [["step_0000008.ckpt"], ["step_0000008.ckpt", "step_0000012.ckpt"]]
)
@pytest.mark.parametrize("workers", [0, 1])
def test_any_checkpoint_leads_to_the_same_weights(
    whole: Run, tmp_path: Path, kept: list[str], workers: int
) -> None:
    run = cut_copy(whole, tmp_path / "cut", kept)
    train(small(data__workers=workers), run.path, resume=True)
    assert_same_weights(run, whole)
    assert metrics(run) == metrics(whole)


def test_a_resume_is_exact_with_the_settings_of_the_recipes(tmp_path: Path) -> None:
    config = small(
        model__encoder={
            "class_path": "repr_toolkit.encoders.ConvBottleneck",
            "init_args": {"h_dim": 3, "features": 4},
        },
        model__decoder={
            "class_path": "repr_toolkit.decoders.GatedPixelCNN",
            "init_args": {"features": 4, "layers": 2, "conditioning": "spatial"},
        },
        training__optimizer=MUON,
        trainer__precision="bf16-mixed",
        training__channels_last=True,
        training__steps=8,
    )
    whole = train(config, tmp_path / "whole")
    cut = Run(tmp_path / "cut")
    shutil.copytree(whole.path, cut.path)
    cut.weights_file.unlink()
    cut.checkpoint(8).unlink()
    train(config, cut.path, resume=True)
    assert_same_weights(cut, whole)


def test_the_run_states_how_batches_are_shared_whatever_the_threads(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        whole = train(small(training__optimizer=MUON), tmp_path / "whole")
        assert whole.config["training"]["micro_batch"] == 8  # of 16
        cut = cut_copy(whole, tmp_path / "cut", ["step_0000004.ckpt"])
        torch.set_num_threads(1)
        train(small(training__optimizer=MUON), cut.path, resume=True)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert_same_weights(cut, whole)
    with pytest.raises(ValueError, match=r"micro_batch is for models with a decoder"):
        train(narrow(1.0, training__micro_batch=4), tmp_path / "metric")
    assert not (tmp_path / "metric").exists()
    other = small(training__optimizer=MUON, training__micro_batch=4)
    with pytest.raises(ValueError, match=r"other settings \(training\.micro_batch\)"):
        train(other, cut.path, resume=True)


def test_a_resume_on_other_images_is_refused(whole: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "moved")
    shutil.copytree(whole.path, run.path)
    run.weights_file.unlink()
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace(load_data("digits").fingerprint, "another"))
    with pytest.raises(ValueError, match="not those that the run was trained on"):
        train(small(), run.path, resume=True)


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


def test_a_run_without_any_checkpoint_starts_again(whole: Run, tmp_path: Path) -> None:
    run = cut_copy(whole, tmp_path / "cut", [])
    train(small(), run.path, resume=True)
    assert_same_weights(run, whole)


@two_checkpoints()
def test_without_an_average_the_last_weights_are_kept(tmp_path: Path) -> None:
    run = train(small(training__ema_decay=0), tmp_path / "plain")
    checkpoint = torch.load(run.checkpoints()[-1], weights_only=True)
    weights = load_file(run.weights_file)
    assert all(torch.equal(weights[key], checkpoint["state_dict"][key]) for key in weights)
    cut = cut_copy(run, tmp_path / "cut", ["step_0000008.ckpt"])
    train(small(training__ema_decay=0), cut.path, resume=True)
    assert_same_weights(cut, run)


def test_a_checkpoint_cut_in_half_is_named(whole: Run, tmp_path: Path) -> None:
    run = cut_copy(whole, tmp_path / "cut", ["step_0000008.ckpt", "step_0000012.ckpt"])
    last = run.checkpoints()[-1]
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"step_0000012\.ckpt is damaged.*from step_0000008"):
        train(small(), run.path, resume=True)
    last.unlink()
    train(small(), run.path, resume=True)
    assert_same_weights(run, whole)


def test_a_full_disk_stops_the_run_and_keeps_the_former_checkpoint(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, save = Run(tmp_path / "full"), torch.save

    def save_until_full(state: dict[str, Any], file: Any) -> None:
        save(state, file)
        if state["global_step"] == 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", save_until_full)
    with pytest.raises(OSError, match=r"No space left.*step_0000004\.ckpt is whole"):
        train(small(), run.path)
    monkeypatch.undo()
    assert [p.name for p in run.checkpoint_dir.iterdir()] == ["step_0000004.ckpt"]
    assert not run.finished
    train(small(), run.path, resume=True)
    assert_same_weights(run, whole)


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
        ({"trainer__precision": "bf16-true"}, r"trainer\.precision is 32-true, bf16-mixed"),
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


def test_compiled_training_is_the_same_training(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"training__steps": 4, "model__decoder__init_args__dropout": 0.0}
    eager = train(small(**settings), tmp_path / "eager")
    compiled = train(small(**settings, training__compile=True), tmp_path / "compiled")
    for row, other in zip(metrics(eager), metrics(compiled), strict=True):
        for key in row:
            assert float(row[key] or 0) == pytest.approx(float(other[key] or 0), rel=1e-4)
    capsys.readouterr()
    monkeypatch.setenv("CXX", "no-such-compiler")
    without = train(small(**settings, training__compile=True), tmp_path / "without")
    assert "without torch.compile: it needs a C++ compiler" in capsys.readouterr().out
    assert_same_weights(without, eager)


def test_what_a_user_sees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(small(), tmp_path / "seen")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("training ChannelMean → h (3) → Independent, 1,162 parameters")
    assert "digits, 8×8×1, 17 levels" in lines[1]
    assert "12 steps of 16 images on 1 × CPU" in lines[2]
    assert str(tmp_path / "seen") in lines[3]
    assert "the loss draws random numbers: training.micro_batch is not used" in lines[4]
    assert [line.split()[1] for line in lines[5:8]] == ["4/12", "8/12", "12/12"]
    assert "(exact)" in lines[8]
    assert len(lines) == 9


def test_a_decoder_s_remark_is_seen_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Independent, "remark", "its bits are odd")
    train(small(), tmp_path / "seen")
    assert capsys.readouterr().out.count("its bits are odd\n") == 1
    ends = {
        "class_path": "toys.callbacks.Counting",
        "init_args": {"journal": str(tmp_path / "journal"), "stop_at": 4},
    }
    train(small(trainer__callbacks=[ends]), tmp_path / "ended")
    said = capsys.readouterr().out
    assert "a callback ended training at step 4" in said
    assert said.count("its bits are odd\n") == 1


def test_h_of_images_as_they_were_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits, draw = load_data("digits"), np.random.default_rng(0)
    embedding = draw.normal(size=(1797, 3)).astype(np.float32)
    arrays = {"image": digits.arrays["image"], "embedding": embedding}
    data = ImageData("given", arrays, {s: v.rows for s, v in digits.splits.items()}, levels=17)
    settings: dict[str, Any] = {
        "model__encoder": {
            "class_path": "repr_toolkit.encoders.Precomputed",
            "init_args": {"h_dim": 3},
        },
        "training__steps": 1,
        "training__validate_every": 1,
    }
    line = "the embedding that the encoder reads is of the images as they were"
    for flips in (True, False):
        train(small(**settings, data__flips=flips), tmp_path / f"{flips}", data=data)
        assert (line in capsys.readouterr().out) is flips


def cut_copy(run: Run, path: Path, kept: list[str]) -> Run:
    """A copy of a run as it would have been cut, with only these checkpoints."""
    subprocess.run(["cp", "-r", str(run.path), str(path)], check=True)
    copy = Run(path)
    copy.weights_file.unlink()
    copy.info_file.unlink()
    for checkpoint in copy.checkpoints():
        if checkpoint.name not in kept:
            checkpoint.unlink()
    return copy


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


def test_arrays_are_kept_beside_the_run_as_its_data(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (40, 8, 8), dtype=np.uint8), np.arange(40) % 2
    config = small(training__steps=2, training__validate_every=2, data__batch_size=4)
    del config["data"]["source"]
    run = train(config, tmp_path / "mine", data=(images, labels))
    assert run.config["data"]["source"] == str(tmp_path / "mine.npz")
    data = run.load_data()
    assert np.array_equal(data.arrays["image"][:, 0], images)
    assert run.trained_on == (data.fingerprint, 256)
    again = train(config, tmp_path / "mine", data=(images, labels), resume=True)
    assert again.finished
    with pytest.raises(FileExistsError, match=r"mine\.npz exists and holds other arrays"):
        train(config, tmp_path / "mine", data=(images[::-1], labels), resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mine.npz"]
