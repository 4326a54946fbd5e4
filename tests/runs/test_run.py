"""Run directories: never overwritten, and rebuilt from their own files alone or refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import repr_toolkit
from repr_toolkit.config.build import build
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.run import Run, load
from toys.runs import change_facts, small, untrained_run


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


def test_a_run_without_checksums_is_told_so_once(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    change_facts(run)
    load(run)
    load(run.path)
    assert capsys.readouterr().err == f"{run.info_file} has no checksums: damage may not show\n"


def test_damaged_files_are_named(run: Run) -> None:
    weights, config = run.weights_file.read_bytes(), run.config_file.read_text()
    facts = run.info_file.read_text()
    change_facts(run)
    for content in (weights[: len(weights) // 2], b""):
        run.weights_file.write_bytes(content)
        with pytest.raises(ValueError, match=r"safetensors is damaged.*; train or copy it again"):
            load(run)
    run.weights_file.write_bytes(weights)
    run.config_file.write_text(config.replace("levels: 5", "levels: 6"))
    with pytest.raises(ValueError, match=r"another architecture than the model.*config\.yaml"):
        load(run)
    run.config_file.write_text(config.replace("levels: 5", "levels: -5"))
    with pytest.raises(ValueError, match=r"config\.yaml describes no model.*; train or copy it"):
        load(run)
    run.config_file.write_text("seed: [")
    with pytest.raises(ValueError, match=r"config\.yaml is damaged"):
        load(run)
    run.config_file.write_text(config)
    run.info_file.write_text(facts.replace('"step": 12', '"step": 13'))
    with pytest.raises(ValueError, match=r"model\.json is damaged .its checksum is wrong"):
        load(run)
    run.info_file.write_text("{")
    with pytest.raises(ValueError, match=r"config\.yaml|model\.json is damaged"):
        _ = run.info


def test_a_model_of_other_images_than_those_of_the_training_is_not_loaded(tmp_path: Path) -> None:
    """Though its weights fit, as those of convolutions do whatever the size."""
    run = untrained_run(tmp_path / "run")
    change_facts(run, image_shape=[1, 8, 8])
    config = run.config
    config["model"]["decoder"]["init_args"]["image_shape"] = [1, 7, 8]
    run.config_file.write_text(yaml.safe_dump(config))
    stated = r"config\.yaml states model\.decoder\.init_args\.image_shape \[1, 7, 8\]"
    with pytest.raises(ValueError, match=rf"{stated}, but .*model\.json \[1, 8, 8\]"):
        load(run)


@pytest.mark.parametrize(("key", "most"), [("layers", 10**7), ("features", 10**4)])
def test_a_model_far_larger_than_its_weights_is_not_built(
    tmp_path: Path, key: str, most: int
) -> None:
    """It would take hours, or all the memory."""
    run = untrained_run(tmp_path / "run")
    change_facts(run)
    config = run.config
    config["model"]["decoder"]["init_args"][key] = most
    run.config_file.write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match=r"config\.yaml describes no model .* far more param"):
        load(run)


def test_bit_rot_is_named(run: Run) -> None:
    weights = bytearray(run.weights_file.read_bytes())
    weights[-3] ^= 4
    run.weights_file.write_bytes(weights)
    with pytest.raises(ValueError, match=r"safetensors is not as training left it.*`checksums`"):
        load(run.path)
    weights[-3] ^= 4
    run.weights_file.write_bytes(weights)
    config = run.config_file.read_text()
    run.config_file.write_text(config.replace("root: null", "root: elsewhere"))
    load(run.path)  # which changes no result
    run.config_file.write_text(config.replace("seed: 0", "seed: 1"))
    with pytest.raises(ValueError, match=r"config\.yaml is not as training left it"):
        load(run.path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"levels": "five"}, "levels is 'five'"),
        ({"step": [1]}, "step is"),
        ({"data": 7}, "data is '7'"),
        ({"data": {"fingerprint": 7}}, r"data\.fingerprint is '7'"),
        ({"data": {}}, "has no 'fingerprint'"),
        ({"checksums": 3}, "its checksum is wrong"),
    ],
)
def test_facts_of_odd_types_name_the_file(run: Run, changes: dict[str, Any], told: str) -> None:
    change_facts(run)
    run.info_file.write_text(json.dumps(json.loads(run.info_file.read_text()) | changes))
    with pytest.raises(ValueError, match=rf"model\.json.*{told}"):
        _ = run.info["data"]["fingerprint"]


def test_other_data_are_noticed(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", small(data__fingerprint="of something else"))
    with pytest.raises(ValueError, match="the data digits are not those that the run was trained"):
        run.load_data()


def test_unicode_and_numbers_survive_in_the_configuration(tmp_path: Path) -> None:
    config = small(about__what="σ of 1e-3", training__optimizer__init_args__lr=1e-5)
    assert Run.create(tmp_path / "run", config).config == config
