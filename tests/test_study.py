"""A study trains what is not done, resumes what was cut, refuses what does not fit, compares."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from repr_toolkit.analyses.comparison import measure as comparison
from repr_toolkit.config.recipe import complete
from repr_toolkit.runs.kept import Result
from repr_toolkit.runs.run import Run, load
from repr_toolkit.study import run_study
from repr_toolkit.training.train import train
from toys.runs import change_facts, small, two_checkpoints

Compared = list[dict[str, Path]]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    """What the study asks to have compared; the comparison itself has its own tests."""
    calls: Compared = []

    def measure(runs: Mapping[str, Run]) -> Result:
        calls.append({name: run.path for name, run in runs.items()})
        asked = {"split": "test", "protocol": comparison.PROTOCOL}
        return Result(asked, {}, {"table.md": np.frombuffer(b"told", np.uint8)})

    monkeypatch.setattr(comparison, "measure", measure)
    return calls


def study(**variants: Any) -> dict[str, Any]:
    config = small(training__steps=4, training__validate_every=2)
    return complete({**config, "study": variants})


VARIANTS = {
    "narrow": {"model.encoder.init_args.h_dim": 2},
    "wide": {
        "model.encoder.init_args.h_dim": 5,
        "model.decoder": {
            "class_path": "repr_toolkit.decoders.Deconv",
            "init_args": {"features": 4},
        },
    },
}


@two_checkpoints()
def test_variants_are_trained_once_and_compared(
    tmp_path: Path, compared: Compared, capsys: pytest.CaptureFixture[str]
) -> None:
    config = study(**VARIANTS)
    runs = run_study(config, tmp_path / "s")
    assert [run.path.name for run in runs] == ["narrow", "wide"]
    assert [run.info["h_dim"] for run in runs] == [2, 5]
    assert type(runs[1].config["model"]["decoder"]) is dict
    assert compared == [{run.path.name: run.path for run in runs}]
    weights = [run.weights_file.read_bytes() for run in runs]
    capsys.readouterr()

    # Finished runs are left alone, one that was cut is resumed to the same end.
    times = runs[0].weights_file.stat().st_mtime_ns
    runs[1].weights_file.unlink()
    runs[1].checkpoints()[-1].unlink()
    run_study(config, tmp_path / "s")
    said = capsys.readouterr().out
    assert "[1/2] narrow\n  done before" in said
    assert "[2/2] wide\nresuming at step 2" in said
    assert runs[0].weights_file.stat().st_mtime_ns == times
    assert [run.weights_file.read_bytes() for run in runs] == weights
    # The weights are the same, so nothing is compared again; what was deleted is written again.
    assert "compared before; delete " in said
    (tmp_path / "s" / "table.md").unlink()
    run_study(config, tmp_path / "s")
    assert (tmp_path / "s" / "table.md").read_text() == "told"
    assert len(compared) == 1
    runs[0].save_model(load(runs[1]), runs[0].info)
    run_study(config, tmp_path / "s")
    assert len(compared) == 2


def test_a_comparison_by_another_protocol_is_made_again(
    tmp_path: Path, compared: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = study(narrow=VARIANTS["narrow"])
    run_study(config, tmp_path / "s")
    monkeypatch.setattr(comparison, "PROTOCOL", comparison.PROTOCOL + 1)
    for _ in range(2):
        run_study(config, tmp_path / "s")
        assert len(compared) == 2


def test_a_variant_trains_as_it_does_alone(tmp_path: Path, compared: Compared) -> None:
    runs = run_study(study(**VARIANTS), tmp_path / "s")
    alone = small(training__steps=4, training__validate_every=2, model__encoder__init_args__h_dim=2)
    run = train(alone, tmp_path / "alone")
    one, other = load_file(run.weights_file), load_file(runs[0].weights_file)
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert compared


def test_other_settings_stop_the_study_before_it_trains(tmp_path: Path, compared: Compared) -> None:
    folder = tmp_path / "s"
    made = small(training__steps=4, training__validate_every=2, seed=3)
    Run.create(folder / "wide", made)
    with pytest.raises(ValueError, match=r"wide was made with other settings.*seed"):
        run_study(study(**VARIANTS), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["wide"]
    assert not compared


def test_a_setting_that_is_younger_than_a_run_counts_as_its_default(
    tmp_path: Path, compared: Compared
) -> None:
    narrow = VARIANTS["narrow"]
    [run] = run_study(study(narrow=narrow), tmp_path / "s")
    made = run.weights_file.stat().st_mtime_ns
    older = deepcopy(run.config)
    del older["model"]["decoder"]["init_args"]["poison_at"]
    run.config_file.write_text(yaml.safe_dump(older, sort_keys=False))
    change_facts(run)
    [again] = run_study(study(narrow=narrow), tmp_path / "s")
    assert again.weights_file.stat().st_mtime_ns == made
    assert compared
    other = {**narrow, "model.decoder.init_args.poison_at": 9}
    with pytest.raises(ValueError, match=r"made with other settings.*poison_at"):
        run_study(study(narrow=other), tmp_path / "s")


def test_a_run_that_can_no_longer_be_built_is_told_as_of_other_settings(
    tmp_path: Path, compared: Compared
) -> None:
    config = study(narrow=VARIANTS["narrow"])
    [run] = run_study(config, tmp_path / "s")
    older = deepcopy(run.config)
    older["model"]["decoder"]["init_args"]["of_old"] = 1
    run.config_file.write_text(yaml.safe_dump(older, sort_keys=False))
    change_facts(run)
    with pytest.raises(ValueError, match=r"narrow was made with other settings.*of_old"):
        run_study(config, tmp_path / "s")


def test_a_variant_that_cannot_be_stops_the_study_before_it_trains(
    tmp_path: Path, compared: Compared
) -> None:
    bad = {**VARIANTS, "bad": {"model.decoder.init_args.droput": 0.1}}
    with pytest.raises(ValueError, match=r"study\.bad: .*droput.*did you mean dropout"):
        run_study(study(**bad), tmp_path / "s")
    assert not (tmp_path / "s").exists()
    with pytest.raises(ValueError, match="not a study"):
        run_study(small(), tmp_path / "s")
    assert not compared
