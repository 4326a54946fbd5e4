"""What a decoder initialises from data: once, before the first step, and beside training."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.run import load
from repr_toolkit.training.train import train
from toys.decoders import Independent
from toys.runs import prepared, small, two_checkpoints


def lines(journal: Path) -> list[str]:
    return [line.split()[0] for line in journal.read_text().splitlines()]


def test_it_is_prepared_once_before_the_first_step(tmp_path: Path) -> None:
    run = train(prepared(tmp_path / "journal"), tmp_path / "run")
    assert lines(tmp_path / "journal") == ["prepare", "loss"]
    images = run.load_data().splits["train"][:]["image"].float()
    start = load_file(run.weights_file)["decoder.start"].item()
    assert start == pytest.approx(float(images.mean()), rel=0.02)
    load(run)
    assert lines(tmp_path / "journal") == ["prepare", "loss"]


@two_checkpoints()
def test_it_is_skipped_on_resume(tmp_path: Path) -> None:
    config = prepared(tmp_path / "journal")
    run = train(config, tmp_path / "run")
    whole = load_file(run.weights_file)
    run.weights_file.unlink()
    run.checkpoints()[-1].unlink()
    train(config, run.path, resume=True)
    assert lines(tmp_path / "journal") == ["prepare", "loss", "loss"]
    resumed = load_file(run.weights_file)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


@two_checkpoints()
def test_weight_norms_with_dropout_and_an_average_are_resumed_bit_for_bit(tmp_path: Path) -> None:
    arguments = {"features": 4, "blocks": 1, "mixtures": 1, "dropout": 0.5}
    decoder = {"class_path": "repr_toolkit.decoders.PixelCNNpp", "init_args": arguments}
    config = small(model__decoder=decoder, training__ema_decay=0.9)
    run = train(config, tmp_path / "run")
    whole = load_file(run.weights_file)
    assert whole["decoder.prepared"]
    run.weights_file.unlink()
    run.checkpoints()[-1].unlink()
    train(config, run.path, resume=True)
    resumed = load_file(run.weights_file)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_training_draws_and_reads_what_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Preparing draws random numbers and reads the data; the weights come out the same."""
    plain = train(small(), tmp_path / "plain")
    counts = []

    def prepare(self: Independent, batches: Iterable[Any]) -> None:
        torch.rand(5)
        counts.append(len(list(batches)))

    monkeypatch.setattr(Independent, "prepare", prepare)
    beside = train(small(), tmp_path / "beside")
    assert counts == [1024 // 16]
    one, two = (load_file(run.weights_file) for run in (plain, beside))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_batch_is_of_all_the_data_though_they_are_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(
        Independent, "prepare", lambda self, batches: seen.extend(x for x, _ in batches)
    )
    for name in ("run", "again"):
        run = train(small(), tmp_path / name)
    images = run.load_data().splits["train"][:]["image"]
    numbers = [[int((images == x).flatten(1).all(1).nonzero()[0]) for x in part] for part in seen]
    half = len(seen) // 2
    assert numbers[:half] == numbers[half:]
    assert len({number for part in numbers for number in part}) > 1000  # some digits are equal
    thirds = [{3 * number // len(images) for number in part} for part in numbers]
    assert all(part == {0, 1, 2} for part in thirds)


def test_the_encoder_is_in_eval_mode_and_the_decoder_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(train(small(), tmp_path / "run"))
    assert isinstance(model, EncoderDecoder)
    encoder = model.get_submodule("encoder")
    modes = []

    def prepare(self: Independent, batches: Iterable[Any]) -> None:
        modes.append((encoder.training, self.training, torch.is_grad_enabled()))

    monkeypatch.setattr(Independent, "prepare", prepare)
    model.train()
    model.prepare([])
    assert modes == [(False, True, False)]
    assert model.training
    assert encoder.training
