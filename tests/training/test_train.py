"""Training runs, whole: what they write and say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.runs.bits import evaluate
from repr_toolkit.runs.run import Run, load
from repr_toolkit.training import train as training
from repr_toolkit.training.train import train
from toys.decoders import Independent
from toys.runs import assert_same_weights, metrics, small


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


def test_a_data_set_is_read_as_the_recipe_says_and_found_again(tmp_path: Path) -> None:
    """Whatever was done with it before: evaluating has to find what was trained on."""
    config = small(training__steps=2, training__validate_every=2, data__levels=4)
    for name, data in (
        ("digits", load_data("digits")),
        ("faces", load_data("orl_faces", size=8, fold=1)),
        ("sampled", load_data("digits", binarise="fixed")),
    ):
        config["data"]["levels"] = None if name == "sampled" else 4
        run = train(config, tmp_path / name, data=data)
        assert evaluate(run, progress=False)["levels"] == (2 if name == "sampled" else 4)
        again, expected = run.load_data(), data if name == "sampled" else data.quantised(4)
        for split, images in expected.splits.items():
            for key, values in images[:].items():
                found = again.split(split).column(key)
                if key == "identity":  # other codes of the same names
                    named = (
                        [d.name_of(key, code) for code in codes.tolist()]
                        for d, codes in ((again, found), (data, values))
                    )
                    assert next(named) == next(named)
                else:
                    assert torch.equal(found, values)


def test_pixels_sampled_at_each_step_are_not_stored_as_one_draw(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set data\.binarise to dynamic"):
        train(small(), tmp_path / "run", data=load_data("digits", binarise="dynamic"))
    assert not [*tmp_path.iterdir()]
    run = train(small(data__binarise="dynamic"), tmp_path / "run", data=load_data("digits"))
    assert run.load_data().sampled == "dynamic"


def test_no_process_waits_for_the_arrays_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Looked(Exception):
        pass

    def looked(*_: Any) -> None:
        raise Looked

    monkeypatch.setattr(training, "first_process", lambda: False)
    monkeypatch.setattr(training, "with_data", looked)
    with pytest.raises(Looked):
        train(small(), tmp_path / "run", data=np.zeros((9, 8, 8), np.uint8))
    assert load_data(tmp_path / "run.npz").image_shape == (1, 8, 8)


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
