"""A run starts from another's weights, and says so; or goes on for more steps."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from repr_toolkit.cli import main
from repr_toolkit.report.inputs import find_runs
from repr_toolkit.report.training import curves
from repr_toolkit.runs.run import Run, load
from repr_toolkit.training.train import train
from repr_toolkit.training.variants import trained_variants
from toys.runs import assert_same_weights, metrics, prepared, small

STILL = {"training__optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.0}}}


def steps(count: int, **settings: Any) -> dict[str, Any]:
    return small(training__schedule="constant", training__steps=count, **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps in a/, and one of eight in b/."""
    folder = tmp_path_factory.mktemp("runs")
    train(steps(4), folder / "a")
    train(steps(8), folder / "b")
    return folder


def copy(run: Path, path: Path) -> Run:
    shutil.copytree(run, path)
    return Run(path)


# Longer


def test_more_steps_lead_where_they_would_have_led_at_once(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, whole = copy(folder / "a", tmp_path / "a"), Run(folder / "b")
    train(steps(8), run.path, resume=True)
    assert_same_weights(run, whole)
    assert metrics(run) == metrics(whole)
    assert run.config["training"]["steps"] == run.info["step"] == 8
    load(run)  # whose checksums are those of its files now
    train(steps(8, training__keep="weights"), run.path, resume=True)
    told = f"finished already; repr-toolkit runs {run.path} --prune drops its checkpoint"
    assert told in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"other settings \(training\.steps\)"):
        train(steps(4), run.path, resume=True)


def test_more_steps_of_what_is_calibrated_lead_to_the_same_weights(tmp_path: Path) -> None:
    """The validation at the former end, of more images, is another than at once, and no more."""
    deconv = {"class_path": "repr_toolkit.decoders.Deconv", "init_args": {"features": 4}}
    short = {"training__validate_every": 2, "model__decoder": deconv}
    whole = train(steps(4, **short), tmp_path / "whole")
    train(steps(2, **short), tmp_path / "run")
    assert_same_weights(train(steps(4, **short), tmp_path / "run", resume=True), whole)


def test_a_finished_run_stays_until_the_longer_one_is_finished(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy(folder / "a", tmp_path / "a")
    former, save = run.weights_file.read_bytes(), torch.save

    def full(state: dict[str, Any], file: Any) -> None:
        if state["global_step"] == 16:
            raise OSError("full")
        save(state, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"step_0000012\.ckpt is whole"):
        train(steps(16), run.path, resume=True)
    monkeypatch.undo()
    assert run.weights_file.read_bytes() == former
    assert load(run) is not None
    assert run.info["step"] == 4
    with pytest.raises(ValueError, match=r"is at step 12 already: training\.steps is 8"):
        train(steps(8), run.path, resume=True)


def test_a_run_that_was_cut_may_get_more_steps_too(folder: Path, tmp_path: Path) -> None:
    run = copy(folder / "a", tmp_path / "a")
    run.weights_file.unlink()
    run.info_file.unlink()
    train(steps(8), run.path, resume=True)
    assert_same_weights(run, Run(folder / "b"))
    assert run.config["training"]["steps"] == 8


def test_a_cosine_says_what_to_do(tmp_path: Path) -> None:
    run = train(small(training__steps=4), tmp_path / "cosine")
    with pytest.raises(ValueError, match=r"cosine that ends at step 4.*--from .*cosine --name NEW"):
        train(small(training__steps=8), run.path, resume=True)
    run.drop_checkpoints(0)
    assert load(run) is not None


def test_without_a_checkpoint_there_is_no_way_on(folder: Path, tmp_path: Path) -> None:
    run = copy(folder / "a", tmp_path / "a")
    run.drop_checkpoints(0)
    with pytest.raises(FileNotFoundError, match=r"its weights alone are kept.*--from"):
        train(steps(8), run.path, resume=True)


def test_a_run_that_patience_ended_is_refused_more_steps(tmp_path: Path) -> None:
    """As it would have ended there too, had they been asked for at once."""
    settings = {"training__patience": 1, "training__validate_every": 1, **STILL}
    run = train(steps(6, **settings), tmp_path / "run")
    assert run.info["step"] == 2
    former = run.weights_file.read_bytes()
    with pytest.raises(ValueError, match=r"patience ended it at step 2.*--from .*run --name NEW"):
        train(steps(20, **settings), run.path, resume=True)
    assert run.weights_file.read_bytes() == former
    assert run.config["training"]["steps"] == 6


# From another run


def test_a_run_starts_from_the_weights_of_another_and_says_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They and their moving average: a learning rate of 0 leaves them as they are."""
    source = copy(folder / "a", tmp_path / "a")
    run = train(steps(4, **STILL, training__start=str(source.path)), tmp_path / "still")
    assert f"from the weights of {source.path}\n" in capsys.readouterr().out
    assert_same_weights(run, source)
    stated = run.config["training"]
    assert stated["start"] == str(source.path)
    assert stated["start_weights"] == source.weights_digest
    assert run.info["start"] == {"run": str(source.path), "weights": source.weights_digest}
    section = curves(find_runs([run.path]))
    assert any(str(source.path) in str(getattr(block, "text", "")) for block in section.blocks)
    # Resumed, with the other run gone and unnamed.
    run.weights_file.unlink()
    shutil.rmtree(source.path)
    train(steps(4, **STILL), run.path, resume=True)
    assert_same_weights(run, Run(folder / "a"))
    run.weights_file.unlink()
    run.drop_checkpoints(0)
    with pytest.raises(FileNotFoundError, match=r"no run .*a: "):
        train(steps(4, **STILL), run.path, resume=True)


def test_other_weights_than_those_it_started_from_are_refused(folder: Path, tmp_path: Path) -> None:
    source = copy(folder / "a", tmp_path / "a")
    run = train(steps(4, training__start=str(source.path)), tmp_path / "run")
    shutil.rmtree(source.path)
    copy(folder / "b", source.path)
    with pytest.raises(ValueError, match="other weights now than those"):
        train({**run.config}, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    train(steps(4, training__start=str(source.path)), run.path, resume=True)  # it began long ago
    with pytest.raises(ValueError, match=r"other settings \(training\.start_weights\)"):
        train(steps(4, training__start=str(folder / "b")), run.path, resume=True)


def test_weights_that_do_not_fit_are_listed_by_name(folder: Path, tmp_path: Path) -> None:
    wider = {"class_path": "toys.encoders.ChannelMean", "init_args": {"h_dim": 5}}
    config = steps(4, model__encoder=wider, training__start=str(folder / "a"))
    with pytest.raises(ValueError, match="another architecture than the model to be") as error:
        train(config, tmp_path / "run")
    names = [key for key in load_file(folder / "a/model.safetensors") if "weight" in key]
    assert sum(repr(name) in str(error.value) for name in names) >= 2
    assert not (tmp_path / "run").exists()


def test_what_is_initialised_from_data_is_not_prepared_again(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    source = train(prepared(journal), tmp_path / "a")
    journal.unlink()
    run = train(prepared(journal, training__start=str(source.path)), tmp_path / "b")
    assert "prepare" not in journal.read_text()
    assert_same_weights(run, source)


def test_the_command_line_says_from_which_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy(folder / "a", tmp_path / "runs/a")
    recipe = ["train", str(folder / "a/config.yaml")]
    assert main([*recipe, "--from", "runs/a", "--name", "new"]) == 0
    assert Run("runs/new").info["start"]["run"] == str(tmp_path / "runs/a")
    assert main([*recipe, "--from", "runs/none", "--name", "other"]) == 1
    assert not Path("runs/other").exists()


def test_a_run_starts_from_one_that_started_from_another(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the command that errors name, and drawn anew where the start is taken back."""
    monkeypatch.chdir(tmp_path)
    copy(folder / "a", tmp_path / "runs/a")
    recipe = ["train", "runs/b/config.yaml"]
    assert main(["train", str(folder / "a/config.yaml"), "--from", "runs/a", "--name", "b"]) == 0
    assert main([*recipe, "--from", "runs/b", "--name", "c"]) == 0
    assert Run("runs/c").info["start"]["weights"] == Run("runs/b").weights_digest
    assert main([*recipe, "--training.start", "null", "--name", "d"]) == 0
    stated = Run("runs/d").config["training"]
    assert [stated["start"], stated["start_weights"]] == [None, None]
    # One that went on is another start.
    argv = ["train", str(folder / "a/config.yaml"), "--name", "a", "--resume"]
    assert main([*argv, "--training.steps", "8"]) == 0
    assert main([*recipe, "--from", "runs/a", "--name", "e"]) == 0
    assert Run("runs/e").info["start"]["weights"] == Run("runs/a").weights_digest
    # And one that was moved is named anew.
    Path("runs").rename("moved")
    capsys.readouterr()
    assert main(["train", "moved/b/config.yaml", "--name", "f"]) == 1
    assert "no run" in (told := capsys.readouterr().err)
    assert "--from names the place where it is now" in told


def test_a_given_accumulation_takes_the_place_of_a_run_s_parts(
    folder: Path, tmp_path: Path
) -> None:
    assert Run(folder / "a").config["training"]["micro_batch"] is not None
    run = train(folder / "a/config.yaml", tmp_path / "a", {"trainer.accumulate_grad_batches": 2})
    assert run.config["training"]["micro_batch"] is None


def test_a_study_goes_on_with_its_variants(tmp_path: Path) -> None:
    study = {"study": {"a": {}, "b": {"training.start": str(tmp_path / "s/a")}}}
    with trained_variants({**steps(4), "study": {"a": {}}}, tmp_path / "s"):
        pass
    for count in (4, 8, 8):
        with trained_variants({**steps(count), **study}, tmp_path / "s") as runs:
            assert [run.info["step"] for run in runs.values()] == [count, count]
