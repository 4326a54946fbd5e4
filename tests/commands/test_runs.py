"""The commands on a study and on runs that were really trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from torch import Tensor

from repr_toolkit.cli import main
from repr_toolkit.config.recipe import load_recipe
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.runs.run import Run
from toys.processes import started
from toys.runs import TINY, assert_same_weights, untrained_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny recipe."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    assert main(["train", str(folder / "tiny.yaml"), "--runs-dir", str(folder / "runs")]) == 0
    return folder / "runs" / "tiny"


def is_png(path: str) -> bool:
    with Image.open(path) as picture:
        return picture.format == "PNG"


def test_a_study_is_trained_compared_and_reused(
    user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decoder = {
        "class_path": "repr_toolkit.decoders.Deconv",
        "init_args": {"features": 4},
    }
    study = {"mse": {"model.decoder": decoder}, "pixelcnn": {}}
    (user_folder / "both.yaml").write_text(yaml.safe_dump({**TINY, "study": study}))
    argv = ["study", "both.yaml", "--name", "mine"]
    assert main([*argv, "--training.warmup", "1"]) == 0
    said = capsys.readouterr().out
    table = (user_folder / "runs/mine/comparison.md").read_text("utf-8")
    assert table in said
    for file in ("figure6.png", "comparison.csv", "comparison.md"):
        assert f"runs/mine/{file}" in said
        assert (user_folder / "runs/mine" / file).stat().st_size > 0
    weights = user_folder / "runs/mine/pixelcnn/model.safetensors"
    written = weights.stat().st_mtime_ns
    assert main([*argv, "--training.warmup", "1"]) == 0
    assert weights.stat().st_mtime_ns == written
    assert main(argv) == 1
    assert "training.warmup" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "study"])
def test_all_that_can_be_set_is_printed_and_nothing_done(
    command: str,
    user_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before any data are read, even those that are not there."""
    monkeypatch.setenv("REPR_TOOLKIT_CACHE", str(user_folder / "cache"))
    study = {"study": {"one": {"data.source": "nothing.npz"}}} if command == "study" else {}
    Path("mine.yaml").write_text(yaml.safe_dump({**TINY, **study}))
    argv = [command, "mine.yaml", "--print_config", "--seed", "3", "--training.warmup", "1"]
    assert main([*argv, "--data.source", "nowhere.npz"]) == 0
    printed = capsys.readouterr().out
    assert [path.name for path in user_folder.iterdir()] == ["mine.yaml"]
    Path("all.yaml").write_text(printed)
    config = load_recipe("all.yaml")
    assert (config["seed"], config["training"]["warmup"]) == (3, 1)
    assert config["model"]["decoder"]["init_args"]["kernel_size"] == 3
    assert config["trainer"]["accumulate_grad_batches"] == 1
    assert config.get("study", {}) == study.get("study", {})


def test_a_recipe_that_was_printed_trains_the_same(
    user_folder: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(trained.parent.parent / "tiny.yaml"), "--print_config"]) == 0
    Path("all.yaml").write_text(capsys.readouterr().out)
    assert main(["train", "all.yaml"]) == 0
    assert_same_weights(Run("runs/all"), Run(trained))
    capsys.readouterr()
    argv = ["train", "all.yaml", "--name", "tiny", "--runs-dir", str(trained.parent), "--resume"]
    assert main(argv) == 0  # a default that is written out is no other setting
    assert "finished already" in capsys.readouterr().out


def test_an_existing_run_is_named_and_kept(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = (trained / "model.safetensors").read_bytes()
    argv = ["train", str(trained / "config.yaml"), "--runs-dir", str(trained.parent)]
    assert main([*argv, "--name", "tiny"]) == 1
    error = capsys.readouterr().err
    for word in (str(trained), "--resume", "--name"):
        assert word in error
    assert (trained / "model.safetensors").read_bytes() == weights


# A finished run


def test_evaluate(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(trained), "--split", "val", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    bits = result["bits_per_dim"]
    assert result["split"] == "val"
    assert bits["count"] == result["images"]
    assert 0 < bits["value"] < 2 * np.log2(17)
    assert main(["evaluate", str(trained), "--split", "val"]) == 0
    assert f"{bits['value']:.4f} ± {bits['error']:.4f}" in capsys.readouterr().out
    [kept] = trained.glob("analysis/evaluate.*.json")
    assert json.loads(kept.read_text())["numbers"] == result


def test_sample_is_what_its_seed_says(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(trained), "-n", "4", "--split", "val"]
    for seed, out in (("0", "a.png"), ("0", "b.png"), ("1", "c.png")):
        assert main(["sample", *arguments, "--seed", seed, "--out", out]) == 0
    a, b, c = (np.load(f"{name}.npz")["image"] for name in "abc")
    assert a.shape == (4, 1, 8, 8)
    assert a.dtype == np.uint8
    assert a.max() <= 16
    assert (a == b).all()
    assert (a != c).any()
    assert is_png("a.png")
    assert main(["sample", *arguments, "--engine", "warp", "--out", "d.png"]) == 1
    assert "no engine 'warp'" in capsys.readouterr().err
    assert not list(Path().glob("d.*"))


@pytest.mark.parametrize("command", ["sample", "reconstruct"])
def test_the_engine_is_told_once(
    trained: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    chunks = ["--chunk-size", "2"] if command == "sample" else []
    assert main([command, str(trained), "-n", "9", *chunks, "--out", "a.npz"]) == 0
    error = capsys.readouterr().err
    assert error.count("GatedPixelCNN samples by ") == 1
    argv = [command, str(trained), "-n", "9", *chunks, "--engine", "fixed_point"]
    assert main([*argv, "--out", "b.npz"]) == 0
    assert capsys.readouterr().err.count("fixed point after ") == 1


def test_more_samples_than_images_take_each_in_turn(trained: Path) -> None:
    argv = ["sample", str(trained), "-n", "500", "--chunk-size", "150", "--out", "a.npz"]
    assert main(argv) == 0
    held_out = len(Run(trained).load_data().splits["test"])
    with np.load("a.npz") as file:
        assert file["image"].shape == (500, 1, 8, 8)
        assert (file["index"] == np.arange(500) % held_out).all()
    assert sorted(path.name for path in Path().iterdir()) == ["a.npz"]


def test_a_sample_that_was_cut_goes_on(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["sample", str(trained), "-n", "30", "--engine", "naive", "--chunk-size", "3"]
    assert main([*argv, "--out", "whole.png"]) == 0
    sample = GatedPixelCNN.sample

    def interrupted(model: GatedPixelCNN, *arguments: Any, **more: Any) -> Tensor:
        if Path("a.parts/part_000001.npz").exists():
            raise KeyboardInterrupt
        return sample(model, *arguments, **more)

    monkeypatch.setattr(GatedPixelCNN, "sample", interrupted)
    assert main([*argv, "--out", "a.png"]) == 130
    assert "--out a.png --resume" in capsys.readouterr().err
    monkeypatch.setattr(GatedPixelCNN, "sample", sample)
    assert not Path("a.npz").exists()
    assert main([*argv, "--out", "a.png"]) == 1
    assert "--resume" in capsys.readouterr().err
    assert main([*argv, "--out", "a.png", "--seed", "4", "--resume"]) == 1
    assert "seed: 0 there, 4 now" in capsys.readouterr().err
    assert main([*argv, "--out", "a.png", "--resume"]) == 0
    for suffix in (".png", ".npz"):
        assert Path(f"a{suffix}").read_bytes() == Path(f"whole{suffix}").read_bytes()
    names = ["a.npz", "a.png", "whole.npz", "whole.png"]
    assert sorted(path.name for path in Path().iterdir()) == names


def test_processes_share_a_sample(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ["sample", str(trained), "-n", "10", "--chunk-size", "3"]
    assert main([*argv, "--out", "one.npz"]) == 0
    argv += ["--out", "two.npz"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with started(*argv, cwd=Path()) as process:
        monkeypatch.setenv("RANK", "0")
        assert main(argv) == 0
        assert process.wait(60) == 0
    assert Path("two.npz").read_bytes() == Path("one.npz").read_bytes()


def test_pictures_are_not_overwritten_unasked(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.png").write_bytes(b"mine")
    assert main(["sample", str(trained), "-n", "1", "--out", "a.png"]) == 1
    assert "a.png" in capsys.readouterr().err
    assert Path("a.png").read_bytes() == b"mine"
    assert main(["sample", str(trained), "-n", "1", "--out", "a.png", "--overwrite"]) == 0
    assert is_png("a.png")


def test_labels_need_an_encoder_of_labels(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", str(trained), "--labels", "1", "2"]) == 1
    assert "not labels" in capsys.readouterr().err


def test_a_class_conditional_model_samples_its_labels(user_folder: Path) -> None:
    encoder = {"class_path": "repr_toolkit.encoders.OneHot", "init_args": {"num_classes": 10}}
    tiny = {**TINY, "model": {**TINY["model"], "encoder": encoder}}
    (user_folder / "classes.yaml").write_text(yaml.safe_dump(tiny))
    assert main(["train", "classes.yaml"]) == 0
    assert main(["sample", "runs/classes", "--labels", "3", "7", "-n", "5"]) == 0
    assert np.load("sample.npz")["image"].shape == (10, 1, 8, 8)


def test_an_unconditional_model_samples(user_folder: Path) -> None:
    tiny = {**TINY, "model": {**TINY["model"], "encoder": None}}
    (user_folder / "images.yaml").write_text(yaml.safe_dump(tiny))
    assert main(["train", "images.yaml"]) == 0
    assert main(["sample", "runs/images", "-n", "3"]) == 0
    assert np.load("sample.npz")["image"].shape == (3, 1, 8, 8)
    assert main(["reconstruct", "runs/images"]) == 1


def test_reconstruct_pictures(trained: Path) -> None:
    grey = np.arange(32, dtype=np.uint8)[None].repeat(32, 0) * 8  # scaled 32 → 8 by means of 4×4
    Image.fromarray(grey).save("ramp.png")
    argv = ["reconstruct", str(trained), "ramp.png", "ramp.png", "-n", "3", "--out", "out.png"]
    assert main(argv) == 0
    images = np.load("out.npz")["image"].reshape(2, 4, 1, 8, 8)
    means = grey.reshape(8, 4, 8, 4).mean((1, 3))
    assert (images[:, 0] == means.astype(np.uint8).astype(int) * 17 // 256).all()
    assert (images[0] == images[1]).all()  # the same picture by the same noise
    assert (images[:, 1] != images[:, 2]).any()


@pytest.mark.parametrize("how", ["fixed", "threshold"])
def test_pictures_of_two_levels_are_said_to_be_cut(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the run's own images were sampled, and by every command that takes pictures."""
    run = untrained_run(tmp_path / "two", binarise=how)
    Image.new("L", (8, 8), 100).save("grey.png")
    for command, *words in (
        ("reconstruct", "grey.png"),
        ("complete", "grey.png"),
        ("interpolate", "grey.png", "grey.png"),
        ("traverse", "grey.png", "--along", "coordinate:0", "--measure", "0"),
        ("edit", "grey.png", "--along", "coordinate:0"),
    ):
        assert main([command, str(run.path), *words]) == 0, command
        said = capsys.readouterr()
        assert ("cut at half" in said.out + said.err) == (how == "fixed"), command


def test_reconstruct_images_of_a_split(trained: Path) -> None:
    argv = ["reconstruct", str(trained), "--images", "5", "-n", "2", "--engine", "naive"]
    assert main(argv) == 0
    assert np.load("reconstruct.npz")["image"].shape == (15, 1, 8, 8)


def test_a_picture_of_the_wrong_kind_is_named(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (32, 32)).save("colour.png")
    assert main(["reconstruct", str(trained), "colour.png"]) == 1
    assert "colour.png" in capsys.readouterr().err


# Conformance


def test_check_tells_what_holds(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["check", "repr_toolkit.encoders.OneHot", "--init_args.num_classes", "7"]
    assert main(argv) == 0
    assert "✓ h is float32" in capsys.readouterr().out


def test_check_tells_what_does_not_hold(
    user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (user_folder / "broken_nets.py").write_text(
        "from torch import Tensor, nn\n"
        "\n"
        "class Doubled(nn.Module):\n"
        "    source = 'image'\n"
        "    h_dim = 1\n"
        "\n"
        "    def forward(self, x: Tensor) -> Tensor:\n"
        "        return x.double().mean((1, 2, 3))[:, None]\n"
    )
    assert main(["check", "broken_nets.Doubled"]) == 1
    assert "h is float32" in capsys.readouterr().err
