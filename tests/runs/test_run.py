"""Run directories: never overwritten, and rebuilt from their own files alone or refused."""

from pathlib import Path

import pytest
import torch

import repr_toolkit
from repr_toolkit.config.build import build
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.run import Run, load
from toys.runs import small


class Shape:
    image_shape = (1, 4, 3)
    levels = 5


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run whose data exist nowhere."""
    config = small(data__source="no_such_data", training__channels_last=False)
    encoder, decoder, resolved = build(config, Shape())
    run = Run.create(tmp_path / "run", resolved)
    run.save_model(EncoderDecoder(encoder, decoder), {"step": 12, "data": {"fingerprint": "abc"}})
    return run


def test_a_model_is_rebuilt_without_its_data(run: Run) -> None:
    state = torch.get_rng_state()
    model = repr_toolkit.load(run.path)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module.training for module in model.modules())
    batch = {"image": torch.ones(2, 1, 4, 3, dtype=torch.uint8)}
    again = load(run)
    assert torch.equal(model.log_prob(batch), again.log_prob(batch))
    assert model.decoder.levels == 5
    assert run.info["step"] == 12
    with pytest.raises((ValueError, FileNotFoundError), match="no_such_data"):
        run.load_data()


def test_a_directory_is_never_overwritten(run: Run) -> None:
    with pytest.raises(FileExistsError, match=r"run exists already; resume it"):
        Run.create(run.path, {})
    assert run.finished


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no run .*nowhere"):
        load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no run .*config\.yaml"):
        load(tmp_path)


def test_a_run_still_in_training_says_how_to_go_on(run: Run) -> None:
    run.weights_file.unlink()
    hint = rf"train {run.config_file} --runs-dir {run.path.parent} --name run --resume"
    with pytest.raises(FileNotFoundError, match=hint):
        load(run.path)
    with pytest.raises(FileNotFoundError, match="still in training"):
        _ = run.info


def test_damaged_files_are_named(run: Run) -> None:
    weights, config = run.weights_file.read_bytes(), run.config_file.read_text()
    run.weights_file.write_bytes(weights[: len(weights) // 2])
    with pytest.raises(
        ValueError, match=r"model\.safetensors is damaged.*header.*\); train or copy it again"
    ):
        load(run)
    run.weights_file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        load(run)
    run.weights_file.write_bytes(weights)
    run.config_file.write_text(config.replace("levels: 5", "levels: 6"))
    with pytest.raises(ValueError, match=r"another architecture than the model.*config\.yaml"):
        load(run)
    run.config_file.write_text("seed: [")
    with pytest.raises(ValueError, match=r"config\.yaml is damaged"):
        load(run)
    run.info_file.write_text("{")
    with pytest.raises(ValueError, match=r"config\.yaml|model\.json is damaged"):
        _ = run.info


def test_other_data_are_noticed(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", small(data__fingerprint="of something else"))
    with pytest.raises(ValueError, match="the data digits are not those that the run was trained"):
        run.load_data()


def test_unicode_and_numbers_survive_in_the_configuration(tmp_path: Path) -> None:
    config = small(about__what="σ of 1e-3", training__optimizer__init_args__lr=1e-5)
    assert Run.create(tmp_path / "run", config).config == config
