"""Training an encoder alone: by which loss, to which end, and how it fails."""

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_metric_learning import distances, losses, miners

from repr_toolkit.cli import main
from repr_toolkit.config.recipe import apply_settings, complete
from repr_toolkit.data import load_data
from repr_toolkit.models.assemble import assemble
from repr_toolkit.models.metric import MetricLearner
from repr_toolkit.models.pairs import (
    make_pairs,
    nearest_neighbour,
    roc_auc,
    similarities,
    spread,
)
from repr_toolkit.models.verification import verify
from repr_toolkit.runs.run import Run, load, load_with_decoder
from repr_toolkit.training.embedding_validation import Collapse
from repr_toolkit.training.train import train
from toys.encoders import WIDE_CONV, Long
from toys.runs import assert_same_weights, metrics, narrow, small_metric, two_checkpoints

PML = "pytorch_metric_learning"


@pytest.fixture(scope="module")
@two_checkpoints()
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with random views, never interrupted."""
    config = small_metric(model__encoder__init_args__augment=True)
    return train(config, tmp_path_factory.mktemp("runs") / "whole")


# What is configured


def test_triplets_are_mined_semi_hard_unless_told_otherwise() -> None:
    metric = small_metric()["model"]["metric"]
    assert metric["loss"]["class_path"] == f"{PML}.losses.TripletMarginLoss"
    assert metric["miner"]["class_path"] == f"{PML}.miners.TripletMarginMiner"
    assert metric["miner"]["init_args"] == {"margin": 0.2, "type_of_triplets": "semihard"}
    loss = {"class_path": f"{PML}.losses.TripletMarginLoss", "init_args": {"margin": 0.5}}
    changed = apply_settings(small_metric(), {"model.metric": {"loss": loss}})
    assert changed["model"]["metric"]["miner"]["init_args"]["margin"] == 0.5
    # Radians, degrees and cosines are no distances.
    for other in ({"margin": 28.6, "num_classes": 10}, {"num_classes": 10}):
        loss = {"class_path": f"{PML}.losses.ArcFaceLoss", "init_args": other}
        changed = apply_settings(small_metric(), {"model.metric": {"loss": loss}})
        assert changed["model"]["metric"]["miner"]["init_args"]["margin"] == 0.2
    without = apply_settings(small_metric(), {"model.metric.miner": None})
    assert without["model"]["metric"]["miner"] is None
    assert complete(without) == without
    model = assemble(without, load_data("digits")).join()
    assert isinstance(model, MetricLearner)
    assert model.miner is None


def test_a_distance_is_built_from_its_class_path() -> None:
    spec = {"class_path": f"{PML}.distances.CosineSimilarity"}
    config = small_metric(model__metric__loss__init_args__distance=spec)
    model = assemble(config, load_data("digits")).join()
    assert isinstance(model, MetricLearner)
    assert isinstance(model.loss.distance, distances.CosineSimilarity)
    again = small_metric(model__metric__loss__init_args__distance={**spec, "init_args": {"q": 1}})
    with pytest.raises(ValueError, match=r"loss\.init_args\.distance\.init_args\.q.* has none"):
        assemble(again, load_data("digits"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data__images_per_identity": None}, r"data\.images_per_identity is missing"),
        ({"data__batch_size": 26}, r"data\.batch_size \(26\) is not a multiple of .* \(4\)"),
        ({"model__encoder": None}, r"model\.encoder is missing: model\.metric"),
        ({"model__decoder": WIDE_CONV}, r"model\.metric trains an encoder alone"),
        ({"model__metric__los": {}}, r"unknown setting model\.metric\.los .did you mean"),
        ({"model__metric": {"lose": {}}}, r"unknown key model\.metric\.lose"),
        ({"model__metric": None}, r"model\.decoder is missing"),
        ({"data__fold": 4}, r"data\.fold is 0…3 for data\.folds 4, not 4"),
    ],
)
def test_what_cannot_be_configured(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_metric(**settings)


# What is minimised


def by_hand(h: torch.Tensor, people: list[int], margin: float, semihard: bool) -> torch.Tensor:
    """The mean hinge over the triplets that violate the margin, each by loops (FaceNet's Eq. 1)."""
    hinges = []
    for a, p, n in np.ndindex(3 * (len(people),)):
        if a != p and people[a] == people[p] != people[n]:
            gap = (h[a] - h[n]).norm() - (h[a] - h[p]).norm()
            if gap < margin and (gap > 0 or not semihard):
                hinges.append(margin - gap)
    return torch.stack(hinges).mean()


@pytest.mark.parametrize("semihard", [True, False])
@pytest.mark.parametrize("key", ["identity", "label"])
def test_the_loss_is_that_of_the_batchs_triplets(key: str, semihard: bool) -> None:
    torch.manual_seed(0)
    as_it_is = distances.LpDistance(normalize_embeddings=False)
    loss = losses.TripletMarginLoss(margin=0.6, distance=as_it_is)
    kind = "semihard" if semihard else "all"
    miner = miners.TripletMarginMiner(0.6, type_of_triplets=kind, distance=as_it_is)
    model = MetricLearner(Long(), loss, miner)
    people = [0, 0, 1, 1, 2, 2]
    batch = {
        "image": torch.randint(3, (6, 1, 4, 4), dtype=torch.uint8),
        key: torch.tensor(people),
        "label" if key == "identity" else "other": torch.zeros(6).long(),
    }
    h = model.encoder(batch["image"])
    assert h.norm(dim=1).max() > 1.1  # nothing is normalised on the way
    expected = by_hand(h, people, 0.6, semihard)
    assert expected > 0
    torch.testing.assert_close(model.training_step(batch), expected)


def test_a_validation_measures_all_images_of_the_averaged_weights(whole: Run) -> None:
    split = load_data("digits").splits["val"]
    model = load(whole)
    with torch.no_grad():
        h = model.encode(split[list(range(len(split)))])
    assert h is not None
    people = split.column("label").numpy()
    pairs = make_pairs(people)
    hits, _ = nearest_neighbour(h.numpy(), people)
    info = whole.info
    auc = roc_auc(similarities(h.numpy(), pairs), pairs.same)
    assert info["val_auc"] == pytest.approx(auc, abs=1e-6)
    assert info["val_one_nn"] == pytest.approx(hits.mean(), abs=1e-6)
    assert info["val_spread"] == pytest.approx(spread(h.numpy()), rel=1e-4)
    found = verify(h.numpy(), people)
    assert info["val_accuracy"] == pytest.approx(found.accuracy.value, abs=1e-3)
    for far, rate in found.tar.items():
        assert rate is not None
        assert info[f"val_tar_at_{far:g}"] == pytest.approx(rate.value, abs=1e-3)


def test_training_tells_people_apart_better_than_its_beginning(tmp_path: Path) -> None:
    run = train(small_metric(training__steps=60, training__validate_every=20), tmp_path / "run")
    torch.manual_seed(0)
    fresh = assemble(run.config).join().eval()
    assert isinstance(fresh, MetricLearner)
    split = load_data("digits").splits["val"]
    with torch.no_grad():
        h = fresh.encode(split[list(range(len(split)))])
    fresh.measure(h.numpy(), split.column("label").numpy())
    assert run.info["val_auc"] > fresh.validation_results["val/auc"] + 0.05


# A run


def test_a_run_directory_holds_everything(whole: Run) -> None:
    assert whole.finished
    assert [p.name for p in whole.checkpoints()] == ["step_0000008.ckpt", "step_0000012.ckpt"]
    pictures = sorted(p.name for p in whole.image_dir.iterdir())
    assert pictures == ["step_0000004.png", "step_0000008.png", "step_0000012.png"]
    with Image.open(whole.image_dir / pictures[0]) as picture:
        assert picture.width > 500
    info = whole.info
    assert (info["step"], info["levels"], info["h_dim"]) == (12, 17, 6)
    assert "likelihood" not in info
    assert info["parameters"] == {"encoder": sum(p.numel() for p in load(whole).parameters())}
    rows = metrics(whole)
    assert [row["step"] for row in rows] == ["4", "4", "8", "8", "12", "12"]
    for key in ("auc", "accuracy", "tar_at_0.01", "tar_at_0.001", "one_nn", "spread"):
        assert [bool(row[f"val/{key}"]) for row in rows] == 3 * [False, True]
    assert all(0 < float(row["train/loss"]) < 1 for row in rows if row["train/loss"])


def test_what_a_user_sees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(small_metric(training__pictures=0), tmp_path / "seen")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "training TripletNet → h (6) by TripletMarginLoss of TripletMarginMiner (semihard), "
    )
    assert "10 of the people to validate are trained on too" in lines[4]  # the digits' classes
    assert lines[5].split()[:3] == ["step", "4/12", "val/auc"]
    assert "val/spread" in lines[-1]
    assert not Run(tmp_path / "seen").image_dir.exists()


@pytest.mark.parametrize("kept", [1, 2])
@pytest.mark.parametrize("workers", [0, 1])
def test_any_checkpoint_leads_to_the_same_weights(
    whole: Run, tmp_path: Path, kept: int, workers: int
) -> None:
    run = Run(tmp_path / "cut")
    shutil.copytree(whole.path, run.path)
    run.weights_file.unlink()
    run.info_file.unlink()
    for checkpoint in run.checkpoints()[kept:]:
        checkpoint.unlink()
    config = small_metric(model__encoder__init_args__augment=True, data__workers=workers)
    train(config, run.path, resume=True)
    assert_same_weights(run, whole)
    assert metrics(run) == metrics(whole)


def test_compiled_training_is_the_same_training(whole: Run, tmp_path: Path) -> None:
    settings = {"training__steps": 4, "training__ema_decay": 0}
    eager = train(small_metric(**settings), tmp_path / "eager")
    compiled = train(small_metric(**settings, training__compile=True), tmp_path / "compiled")
    for row, other in zip(metrics(eager), metrics(compiled), strict=True):
        for key in row:
            assert float(row[key] or 0) == pytest.approx(float(other[key] or 0), rel=1e-3)


def test_weights_of_a_loss_are_trained_and_kept(tmp_path: Path) -> None:
    loss = {"class_path": f"{PML}.losses.ArcFaceLoss", "init_args": {"num_classes": 10}}
    config = small_metric(
        model__metric={"loss": loss, "miner": None}, training__schedule="constant"
    )
    run = train(config, tmp_path / "run")
    assert run.config["model"]["metric"]["loss"]["init_args"]["embedding_size"] == 6
    assert run.info["parameters"]["loss"] == 60
    model = load(run)
    assert isinstance(model, MetricLearner)
    torch.manual_seed(0)
    fresh = assemble(run.config).join()
    assert isinstance(fresh, MetricLearner)
    assert not torch.equal(model.loss.W, fresh.loss.W)
    other = {**loss, "init_args": {"num_classes": 10, "embedding_size": 9}}
    config = apply_settings(config, {"model.metric.loss": other})
    with pytest.raises(ValueError, match="embedding_size is 9, but the encoder's"):
        train(config, tmp_path / "other")


def test_people_apart_are_not_spoken_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(small_metric(data__fold=0, data__batch_size=8), tmp_path / "apart")
    assert "trained on too" not in capsys.readouterr().out


def test_the_folds_of_a_run_are_its_own(tmp_path: Path) -> None:
    """A fold belongs to what a run states of its data, and a resume on another is refused."""
    run = train(small_metric(data__fold=1, data__folds=2, data__batch_size=8), tmp_path / "run")
    data = run.load_data()
    assert data.fingerprint == load_data("digits", fold=1, folds=2).fingerprint
    assert set(data.splits["train"].column("label").tolist()).isdisjoint(
        data.splits["test"].column("label").tolist()
    )
    with pytest.raises(ValueError, match=r"not those that the run was trained on"):
        train(small_metric(data__fold=0, data__folds=2, data__batch_size=8), run.path, resume=True)


# Collapse


def test_a_collapsed_run_stops_with_advice(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with pytest.raises(Collapse, match=r"after step 4 .*practically equal.*collapsed; no checkpoi"):
        train(narrow(1e-3, training__optimizer__init_args__lr=1e-4), run.path)
    assert not run.finished
    with run.metrics_file.open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["val/spread"]) < 1e-6  # logged before it stopped


def test_a_run_that_collapses_on_the_way_names_its_last_good_checkpoint(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with pytest.raises(FloatingPointError, match=r"step 8 .*last good checkpoint is .*4\.ckpt"):
        train(narrow(1.0, fade=0.5), run.path)
    assert not run.finished
    spreads = [float(row["val/spread"]) for row in metrics(run) if row["val/spread"]]
    assert spreads[0] > 1e-4 > spreads[1]
    # Nor does a resume, which begins before it, end otherwise.
    with pytest.raises(Collapse, match="after step 8 "):
        train(narrow(1.0, fade=0.5), run.path, resume=True)


def test_a_slow_start_is_no_collapse(tmp_path: Path) -> None:
    """Embeddings that begin almost equal and move apart are left to do so."""
    config = narrow(0.03, training__optimizer__init_args__lr=0.02, training__ema_decay=0)
    run = train(config, tmp_path / "run")
    spreads = [float(row["val/spread"]) for row in metrics(run) if row["val/spread"]]
    assert spreads[0] < 1e-4 < spreads[-1]


def test_weights_that_diverge_are_named(tmp_path: Path) -> None:
    config = small_metric(
        training__optimizer={"class_path": "torch.optim.SGD", "init_args": {"lr": 1e38}},
        training__warmup=0,
        trainer__gradient_clip_val=1e38,
    )
    with pytest.raises(FloatingPointError, match="not finite"):
        train(config, tmp_path / "run")
    assert not Run(tmp_path / "run").checkpoints()


def test_embeddings_that_are_not_finite_give_no_numbers() -> None:
    """NaN for all that could be measured: nothing of an earlier validation is left to be read."""
    model = MetricLearner(Long(), losses.TripletMarginLoss(), None)
    people = np.repeat(np.arange(10), 4)
    model.measure(np.random.default_rng(0).normal(size=(40, 2)), people)
    measured = model.validation_results
    model.measure(np.full((40, 2), np.nan), people)
    assert measured.keys() == model.validation_results.keys()
    assert "val/accuracy" in measured
    assert all(value != value for value in model.validation_results.values())
    assert model.validation_curve is None


def test_what_few_images_cannot_tell_is_left_out() -> None:
    """Accuracy takes ten pairs of each kind, TAR ten times as many different ones as accepted."""
    model = MetricLearner(Long(), losses.TripletMarginLoss(), None)
    draw = np.random.default_rng(0)
    always = {"val/auc", "val/one_nn", "val/spread"}
    for people, more in (
        (np.repeat([0, 1], 3), set()),
        (np.repeat(np.arange(5), 4), {"val/accuracy"}),
        (np.repeat(np.arange(20), 3), {"val/accuracy", "val/tar_at_0.01"}),
    ):
        model.measure(draw.normal(size=(len(people), 2)), people)
        assert model.validation_results.keys() == always | more


# Data that do not do


def people_file(path: Path, train: list[int], val: list[int], key: str = "identity") -> Path:
    draw = np.random.default_rng(0)
    arrays = {}
    for split, people in (("train", train), ("val", val), ("test", val)):
        arrays[f"{split}_image"] = draw.integers(0, 256, (len(people), 1, 8, 8), dtype=np.uint8)
        arrays[f"{split}_{key}"] = np.array(people)
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("train_people", "val_people", "key", "message"),
    [
        ([0, 0, 0, 0], [1, 1, 2], "identity", "there is one identity only"),
        ([0, 0, 1, 1], [2, 2, 3], "identity", "needs 6 identities .* but there are 2"),
        ([0, 1, 2, 3], [4, 4, 5], "identity", "4 identities has a single image"),
        ([0, 0, 1, 1], [2, 2, 3], "height", "says of no image who is in it: it has height, image"),
        ([0, 0, 1, 1], [2, 3, 4], "identity", r"faces\.npz, val: .* no pair of one person"),
        ([0, 0, 1, 1], [2, 2, 2], "label", r"faces\.npz, val: .* no pair of two people"),
    ],
)
def test_nothing_is_made_for_people_who_cannot_be_told_apart(
    tmp_path: Path, train_people: list[int], val_people: list[int], key: str, message: str
) -> None:
    file = people_file(tmp_path / "faces.npz", train_people, val_people, key)
    with pytest.raises(ValueError, match=message):
        train(small_metric(data__source=str(file)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# A run without a decoder


def test_the_trained_model_is_loaded_in_eval_mode(whole: Run) -> None:
    model = load(whole)
    assert isinstance(model, MetricLearner)
    assert not any(module.training for module in model.modules())
    batch = {"image": torch.randint(17, (3, 1, 8, 8), dtype=torch.uint8)}
    torch.testing.assert_close(model.encode(batch).norm(dim=1), torch.ones(3))
    assert torch.equal(model.encode(batch), model.encode(batch))


@pytest.mark.parametrize("command", ["sample", "evaluate", "reconstruct"])
def test_what_needs_a_decoder_says_so_in_one_line(
    command: str, whole: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [] if command == "evaluate" else ["--out", str(tmp_path / "out.png")]
    assert main([command, str(whole.path), *out]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"repr-toolkit: error: {whole.path} trained an encoder alone: it has")
    assert error.count("\n") == 1
    with pytest.raises(ValueError, match="repr-toolkit verify"):
        load_with_decoder(whole)
