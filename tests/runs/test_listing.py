"""What runs show by their files alone, damaged ones and anybody's included."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from repr_toolkit.runs import listing
from repr_toolkit.runs.kept import Result, keep, keep_together
from repr_toolkit.runs.listing import describe, find_runs, prune
from repr_toolkit.runs.lock import sole_trainer
from repr_toolkit.runs.run import Run
from toys.runs import change_facts, untrained_run


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return untrained_run(tmp_path_factory.mktemp("runs") / "original")


@pytest.fixture
def run(original: Run, tmp_path: Path) -> Run:
    """A finished run of seven steps, as configured, with a checkpoint."""
    run = Run(tmp_path / "runs" / "run")
    shutil.copytree(original.path, run.path)
    text = run.config_file.read_text().replace("steps: 1000\n", "steps: 7\n")
    run.config_file.write_text(text.replace("validate_every: 500\n", "validate_every: 7\n"))
    change_facts(run, likelihood="exact", val_bits_per_dim=1.25)
    checkpoint(run, 7)
    return run


def checkpoint(run: Run, step: int) -> None:
    run.checkpoint_dir.mkdir(exist_ok=True)
    run.checkpoint(step).write_bytes(bytes(1000))


def cut(run: Run) -> None:
    run.weights_file.unlink()
    rows = "step,train/loss,val/bits_per_dim\n5,2.0,\n5,,3.5\n6,1.5,\n"
    run.metrics_file.write_text(rows)
    run.checkpoint(7).rename(run.checkpoint(5))


def test_a_finished_run(run: Run) -> None:
    listed = describe(run.path)
    assert (listed.state, listed.why, listed.step, listed.steps) == ("finished", "", 7, 7)
    assert (listed.val, listed.test, listed.measure) == (1.25, None, "bits/dim")
    assert listed.checkpoint_bytes == 1000
    assert listed.bytes == sum(p.stat().st_size for p in run.path.rglob("*") if p.is_file())
    assert json.loads(json.dumps(listed.as_dict()))["run"] == str(run.path)


def test_what_was_measured_of_the_weights_as_they_are(run: Run, original: Run) -> None:
    shutil.copy(original.info_file, run.info_file)  # with the weights' checksum
    shutil.copy(original.config_file, run.config_file)
    assert describe(run.path).test is None

    def measured(value: Any) -> dict[str, Any]:
        return {"bits_per_dim": {"value": value}}

    keep(run, "evaluate", Result({"split": "val"}, measured(9.0)), "")
    assert describe(run.path).test is None
    file = keep(run, "information", Result({"split": "test"}, measured(1.5)), "").file
    assert describe(run.path).test == 1.5
    variants = {"run": {"numbers": measured(1.75)}}
    keep_together(
        run.path.parent,
        "comparison",
        {"run": run},
        Result({"split": "test"}, {"variants": variants}),
    )
    assert describe(run.path).test == 1.75
    keep(run, "evaluate", Result({"split": "test"}, measured(2.0)), "")
    assert describe(run.path).test == 2.0
    for odd in ("no number", None, [1], float("inf")):
        keep(run, "evaluate", Result({"split": "test"}, measured(odd)), "")
        assert describe(run.path).test is None
    assert file is not None
    for other in run.path.glob("analysis/evaluate.*"):
        other.write_text("{")  # of which `evaluate` itself would tell
    assert describe(run.path).test == 1.75


def test_one_that_was_cut_short(run: Run) -> None:
    cut(run)
    listed = describe(run.path)
    assert (listed.state, listed.step, listed.steps, listed.val) == ("cut short", 5, 7, 3.5)


def test_one_in_training(run: Run) -> None:
    cut(run)
    with sole_trainer(run.path):
        listed = describe(run.path)
        assert (listed.state, listed.step) == ("in training", 6)
        assert listed.why.startswith("process ")
        assert not prune(run.path)
        assert run.checkpoints()
    assert describe(run.path).state == "cut short"


def test_one_whose_longer_training_was_cut_short_is_finished(run: Run) -> None:
    """Its checkpoint is ahead of its weights, which are as they were."""
    checkpoint(run, 9)
    listed = describe(run.path)
    assert (listed.state, listed.step, listed.steps, listed.val) == ("finished", 7, 7, 1.25)
    assert listed.why.endswith("a checkpoint of step 9")


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("config.yaml", "a: [1", "config.yaml"),
        ("config.yaml", "- 1", "config.yaml"),
        ("config.yaml", "a: &a [*a, *a]", "config.yaml"),
        ("config.yaml", "{data: {source: x}, model: {decoder: {class_path: 3}}}", "config.yaml"),
        ("config.yaml", "!!python/object/apply:os.system ['touch code_ran']", "config.yaml"),
        ("config.yaml", "\0\1", "config.yaml"),
        ("config.yaml", None, "config.yaml"),
        ("model.json", "{", "model.json"),
        ("model.json", "[1]", "model.json"),
        ("model.json", '{"step": "seven"}', "model.json"),
        ("model.json", None, "model.json"),
        ("model.safetensors", "", "model.safetensors"),
        ("model.safetensors", "x" * 100, "model.safetensors"),
    ],
)
def test_a_damaged_one_says_so_and_is_not_pruned(
    run: Run, file: str, content: str | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.path.parent)
    if content is None:
        (run.path / file).unlink()
    else:
        (run.path / file).write_text(content)
    assert [*find_runs(run.path.parent)] == [run.path]
    listed = describe(run.path)
    assert listed.state == "damaged"
    assert why in listed.why
    assert "\n" not in listed.why
    assert not Path("code_ran").exists()


def test_weights_that_lack_their_end(run: Run) -> None:
    run.weights_file.write_bytes(run.weights_file.read_bytes()[:-1])
    assert describe(run.path).state == "damaged"


def test_a_configuration_that_was_changed_since(original: Run, tmp_path: Path) -> None:
    run = Run(shutil.copytree(original.path, tmp_path / "run"))
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace("seed: 0", "seed: 1"))
    assert "not as training left it" in describe(run.path).why
    run.config_file.write_text(text.replace("root: null", "root: elsewhere"))
    assert describe(run.path).state == "finished"


def test_what_a_run_names_is_not_imported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.path.parent)
    Path("evil.py").write_text("open('code_ran', 'w')")
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace("repr_toolkit.decoders.GatedPixelCNN", "evil.Net"))
    assert describe(run.path).state == "finished"
    assert not Path("code_ran").exists()


def test_runs_are_found_in_studies_and_behind_links(run: Run) -> None:
    folder = run.path.parent
    for place in ("study/a", "study/.inner/a.b.0", "study/.c.host.7.tmp"):
        shutil.copytree(run.path, folder / place)
    (folder / "study" / "loop").symlink_to(folder)
    (folder / "data").mkdir()
    found = [str(path.relative_to(folder)) for path in find_runs(folder)]
    assert found == ["run", "study/.inner/a.b.0", "study/a"]
    assert [*find_runs(run.path)] == [run.path]
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        list(find_runs(folder / "nowhere"))


def test_pruning_leaves_all_but_checkpoints(run: Run) -> None:
    mine = run.checkpoint_dir / "notes.txt"
    mine.write_text("my own")
    before = {p for p in run.path.rglob("*") if p.suffix != ".ckpt"}
    assert prune(run.path)
    assert {*run.path.rglob("*")} == before | {run.path / listing.LOCK}
    assert describe(run.path).state == "finished"
