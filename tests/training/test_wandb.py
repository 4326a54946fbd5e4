"""Weights & Biases without account or network: what an offline run's file holds."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import wandb
from PIL import Image

from repr_toolkit.cli import main
from repr_toolkit.training.train import train
from toys.offline_wandb import records, values
from toys.runs import small, small_metric, two_checkpoints


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


@two_checkpoints()
def test_an_offline_run_holds_config_metrics_and_pictures(tmp_path: Path) -> None:
    config = small(training__steps=8)
    run = train(config, tmp_path / "run", wandb=True, group="a study")
    (file,) = run.path.glob("wandb/offline-run-*/*.wandb")
    found = records(file)
    (start,) = [record.run for record in found if record.HasField("run")]
    assert start.run_group == "a study"
    assert start.display_name == "run"
    assert start.project == "repr-toolkit"
    assert start.run_id == run.wandb_id_file.read_text().strip()
    logged: dict[str, Any] = values(start.config.update)
    for record in found:
        if record.HasField("config"):
            logged |= values(record.config.update)
    for section in ("data", "model", "training", "trainer", "seed"):
        assert logged[section] == run.config[section]
    history = [values(record.history.item) for record in found if record.HasField("history")]
    losses = {
        row["trainer/global_step"]: row["train/loss"] for row in history if "train/loss" in row
    }
    assert list(losses) == [4, 8]
    bits = [row["val/bits_per_dim"] for row in history if "val/bits_per_dim" in row]
    assert bits[-1] == run.info["val_bits_per_dim"]
    pictures = [row for row in history if row.get("validation/_type") == "images/separated"]
    assert [row["trainer/global_step"] for row in pictures] == [4, 8]
    for row in pictures:
        (name,) = row["validation/filenames"]
        with Image.open(file.parent / "files" / name) as picture:
            assert picture.width == row["validation/width"] >= 600
        (caption,) = row["validation/captions"]
        assert caption.startswith("Rows: original, reconstruction, sample, sample. Columns: val")
    assert any(record.HasField("exit") and record.exit.exit_code == 0 for record in found)

    # A run that was cut goes on as the same one.
    run.weights_file.unlink()
    run.checkpoints()[-1].unlink()
    train(config, run.path, wandb=True, resume=True, group="a study")
    files = sorted(run.path.glob("wandb/offline-run-*/*.wandb"))
    ids = {r.run.run_id for file in files for r in records(file) if r.HasField("run")}
    assert ids == {start.run_id}


def test_without_an_answer_training_goes_on_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wandb.teardown()  # which would keep the mode of the tests before
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections and says nothing
        monkeypatch.delenv("WANDB_MODE")
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
        run = train(small(training__steps=4), tmp_path / "run", wandb=True)
    said = capsys.readouterr().out
    assert said.count("logging offline, since Weights & Biases does not answer (") == 1
    assert f"by: wandb sync {run.path}/wandb/offline-run-*" in said
    assert run.finished
    (file,) = run.path.glob("wandb/offline-run-*/*.wandb")
    found = records(file)
    (start,) = [record.run for record in found if record.HasField("run")]
    assert start.run_id == run.wandb_id_file.read_text().strip()
    history = [values(record.history.item) for record in found if record.HasField("history")]
    bits = [row["val/bits_per_dim"] for row in history if "val/bits_per_dim" in row]
    assert bits[-1] == run.info["val_bits_per_dim"]


def test_an_encoder_trained_alone_logs_its_roc(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(small_metric(), tmp_path / "run", wandb=True)
    (file,) = run.path.glob("wandb/offline-run-*/*.wandb")
    found = records(file)
    history = [values(record.history.item) for record in found if record.HasField("history")]
    for key in ("auc", "accuracy", "tar_at_0.01", "tar_at_0.001", "one_nn", "spread"):
        logged = [row[f"val/{key}"] for row in history if f"val/{key}" in row]
        assert len(logged) == 3
        assert logged[-1] == run.info[f"val_{key}"]
    pictures = [row for row in history if row.get("roc/_type") == "images/separated"]
    assert [row["trainer/global_step"] for row in pictures] == [4, 8, 12]
    (name,) = pictures[-1]["roc/filenames"]
    with Image.open(file.parent / "files" / name) as picture:
        assert picture.width > 500

    # The same run is given what a split says of it later.
    capsys.readouterr()
    assert main(["verify", str(run.path), "--wandb", "--json"]) == 0
    (later,) = set(run.path.glob("wandb/offline-run-*/*.wandb")) - {file}
    found = records(later)
    (start,) = [record.run for record in found if record.HasField("run")]
    assert start.run_id == run.wandb_id_file.read_text().strip()
    assert start.project == "repr-toolkit"
    (row,) = [values(record.history.item) for record in found if record.HasField("history")]
    numbers = json.loads(capsys.readouterr().out)["methods"]
    for prefix, method in (("", "TripletNet, h (6)"), ("raw pixels/", "raw pixels")):
        for key in ("auc", "accuracy", "one_nn"):
            assert row[f"verify/test/{prefix}{key}"] == numbers[method][key]["value"]
        for far, rate in numbers[method]["tar"].items():
            assert row[f"verify/test/{prefix}tar_at_{far}"] == rate["value"]
    name = row["report/verification/2/path"]
    with Image.open(later.parent / "files" / name) as picture:
        assert picture.width > 500
