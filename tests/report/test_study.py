"""What a report shows of studies of frozen h and of other data, and the commands that it names."""

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repr_toolkit.analyses import judge
from repr_toolkit.analyses.frozen.blocks import frozen, frozen_study
from repr_toolkit.analyses.information.blocks import information
from repr_toolkit.analyses.information.pieces import interval_of
from repr_toolkit.cli import main
from repr_toolkit.page.blocks import Chart, Heading, Missing, Source, Table
from repr_toolkit.page.html import rich
from repr_toolkit.report import missing, write_report
from repr_toolkit.report.inputs import Analysis, find_runs
from repr_toolkit.report.provenance import GENERAL, analysis_commands, where_runs_are
from repr_toolkit.runs.kept import save_analysis
from repr_toolkit.support.files import write_json
from toys.reports import HOSTILE, Page

ONE_SEED = "bootstrap over 500 images; leaves out fit bias and training seeds"
SEEDS = "bootstrap over 500 images, Student's t over 3 training seeds; leaves out fit bias"
OF_BOUND = "95 %, Student's t over the draws; leaves out training seeds"


@pytest.fixture
def study(reported: Path, tmp_path: Path) -> Path:
    """A folder of two runs of one's own, the first with all analyses."""
    return Path(shutil.copytree(reported.parent, tmp_path / "study"))


def numbers_of(run: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "analysis" / f"{name}.json").read_text("utf-8"))
    return found


def usable(bits: float) -> dict[str, Any]:
    return {"bits": bits, "low": bits - 1, "high": bits + 1, "interval": SEEDS}


def frozen_numbers(**given: Any) -> dict[str, Any]:
    source = {
        "name": "pixelcnn_m3", "dim": 3, "usable": usable(9.5), "minus_best": None,
        "shuffled_costs": usable(20), "lower_bound": usable(2) | {"interval": OF_BOUND},
        "masked": None, "cumulative": [0.5, 2.0, 9.5],
    }  # fmt: skip
    other = {**source, "name": "labels", "cumulative": [0.25, 0.5, 7.25]}
    return {
        "command": "repr-toolkit information digits_recipe elsewhere/pixelcnn_m3 labels",
        "data": "digits", "split": "test", "steps": 100, "seeds": [0, 1, 2], "null_bits": 90.25,
        "what": "bits that are *usable*", "sources": [source, other], **given,
    }  # fmt: skip


def frozen_folder(path: Path, run: Path, **given: Any) -> Path:
    """A folder as `repr-toolkit information RECIPE SOURCE…` writes it, of a run's images."""
    of_run = numbers_of(run, "information")
    path.mkdir()
    told = {key: of_run[key] for key in ("fingerprint", "levels")}
    write_json(path / "information.json", frozen_numbers(**{**told, **given}))
    return path


# Other data


@pytest.mark.parametrize("change", [{"fingerprint": "0" * 64}, {"levels": 4}])
def test_an_analysis_of_other_data_is_not_the_runs(study: Path, change: dict[str, Any]) -> None:
    name = "information"
    run = study / "pixelcnn_m3"
    assert [*find_runs([study]).analyses(name)] == ["pixelcnn_m3"]
    write_json(run / "analysis" / f"{name}.json", {**numbers_of(run, name), **change})
    found = find_runs([study])
    assert not found.analyses(name)
    assert found.of_other_data(name) == ["pixelcnn_m3"]
    [line] = missing.missing(found, name, [], "what it tells")
    assert isinstance(line, Missing)
    assert line.what.endswith(" What is kept of pixelcnn_m3 is of other data.")
    assert line.command.endswith(" --keep")


def test_an_analysis_that_names_no_data_is_the_runs(study: Path) -> None:
    run = study / "pixelcnn_m3"
    numbers = numbers_of(run, "information")
    del numbers["fingerprint"], numbers["levels"]
    write_json(run / "analysis" / "information.json", numbers)
    found = find_runs([study])
    assert [*found.analyses("information")] == ["pixelcnn_m3"]
    assert not found.of_other_data("information")
    [line] = missing.missing(found, "information", found.analyses("information"), "what")
    assert isinstance(line, Missing)
    assert "other data" not in line.what
    assert "--keep" not in line.command


def test_all_replaces_what_is_of_other_data(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = study / "pixelcnn_m3"
    other = {"command": "x --y", "fingerprint": "0" * 64, "levels": 17, "asked": {"seed": 5}}
    for name in ("information",):
        save_analysis(run, name, other, {"image": np.zeros(3)}, keep=True)
    monkeypatch.setattr(judge, "SHOWN", 100)
    monkeypatch.setattr(judge, "EPOCHS", 1)
    missing.measure_missing(found := find_runs([run]))
    for name in ("information",):
        assert [*found.analyses(name)] == ["pixelcnn_m3"], name
        assert not found.of_other_data(name)


# A study of frozen h


def test_a_study_of_frozen_h_stands_in_the_report_of_the_runs(study: Path, tmp_path: Path) -> None:
    folder = frozen_folder(tmp_path / "information_study", study / "pixelcnn_m3")
    assert main(["report", str(study), "--information", str(folder)]) == 0
    text = (study / "report.html").read_text("utf-8")
    page = Page(text)
    assert page.wrong == []
    assert "Frozen h, fresh decoders" in page.text
    assert "Not measured here" not in page.text
    assert "<em>usable</em>" in text
    [command] = re.findall(r"repr-toolkit report .*--out.*", page.text)
    assert f"--information {folder}" in command
    assert "repr-toolkit information digits_recipe elsewhere/pixelcnn_m3 labels" in page.text


def test_folders_without_a_study_and_studies_of_other_images_are_refused(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = study / "pixelcnn_m3"
    with pytest.raises(FileNotFoundError, match="nowhere holds no study of frozen h; name"):
        write_report([study], information=tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="analysis holds no study"):  # of the run's own h
        write_report([study], information=run / "analysis")
    for number, change in enumerate([{"fingerprint": "0" * 64}, {"levels": 4}]):
        other = frozen_folder(tmp_path / f"other{number}", run, **change)
        with pytest.raises(ValueError, match=f"other{number} is of other images.*RECIPE"):
            write_report([study], information=other)
    assert main(["report", str(study), "--information", str(other)]) != 0
    assert "other images" in capsys.readouterr().err
    of_val = frozen_folder(tmp_path / "of_val", run, split="val")
    with pytest.raises(ValueError, match="--split val"):
        write_report([study], information=of_val)


def test_without_a_study_the_page_says_how_to_have_one(study: Path) -> None:
    found = find_runs([study])
    [told] = frozen(found)
    assert isinstance(told, Source)
    assert told.folded
    first, second = map(shlex.split, told.text.splitlines())
    assert first[:3] == ["repr-toolkit", "information", "RECIPE"]
    assert first[3:5] == [str(study / "pixelcnn_m3"), str(study / HOSTILE)]
    written = Path(first[first.index("--runs-dir") + 1]) / first[first.index("--name") + 1]
    assert second[-2:] == ["--information", str(written)]
    assert written.parent == study.parent
    assert frozen(find_runs([study / "pixelcnn_m3"])) == []


def test_the_study_of_a_folder_stands_in_its_own_report(study: Path) -> None:
    write_json(study / "information.json", frozen_numbers())
    heading, *_ = frozen(find_runs([study]))
    assert isinstance(heading, Heading)


def test_a_study_of_frozen_h_says_when_bits_are_saved_and_what_intervals_cover() -> None:
    blocks = frozen_study(Analysis(frozen_numbers(), Path("none.npz")), ["a", "pixelcnn_m3"])
    table, chart, _ = blocks
    assert isinstance(table, Table)
    assert f"interval: {SEEDS}. Of lower bounds: Student's t over the draws" in table.caption
    assert isinstance(chart, Chart)
    assert "against a decoder without h" in chart.caption
    assert "pixelcnn_m3 ends at 9.5; labels ends at 7.2" in chart.svg
    assert "var(--series-2)" in chart.svg  # the run's own colour
    assert "var(--series-3)" in chart.svg
    assert "var(--series-1)" not in chart.svg
    without = frozen_numbers()
    for source in without["sources"]:
        source["cumulative"] = None
    assert [b.kind for b in frozen_study(Analysis(without, Path("none.npz")))] == ["table", "notes"]


# What intervals cover


def test_tables_of_bits_say_what_their_intervals_cover(study: Path) -> None:
    table = information(find_runs([study])).blocks[0]
    assert isinstance(table, Table)
    of = numbers_of(study / "pixelcnn_m3", "information")
    assert of["saves"]["shuffled"]["interval"] in table.caption
    assert of["lower_bound"]["interval"].removeprefix("95 %, ") in table.caption
    both = interval_of([{"interval": ONE_SEED}, {"interval": SEEDS}, {"interval": SEEDS}])
    assert both == f"In small print the 95 % interval: {ONE_SEED} or {SEEDS}."


def test_the_general_note_leaves_room_for_seeds() -> None:
    assert "one run a column" not in " ".join(GENERAL)
    assert "unless the interval is said to be over training seeds" in GENERAL[0]


# The commands


def test_the_commands_of_all_analyses_come_before_the_report(study: Path) -> None:
    run = study / "pixelcnn_m3"
    for name in ("information",):
        command = f"repr-toolkit {missing.COMMANDS[name]} moved/pixelcnn_m3 --seed 3"
        write_json(run / "analysis" / f"{name}.json", {**numbers_of(run, name), "command": command})
    path = write_report([study])
    told = re.findall(r"<code>(repr-toolkit[^<]*)</code></pre>", path.read_text("utf-8"))
    [again] = [text.splitlines() for text in told if "repr-toolkit report" in text
               and "RECIPE" not in text]  # fmt: skip
    words = [line.split()[1] for line in again]
    assert words == ["information", "probe", "invariance", "traverse", "report"]
    assert again[2:4] == [
        f"repr-toolkit invariance {run} --images 6",
        f"repr-toolkit traverse {run} --steps 3",
    ]
    assert again[0] == f"repr-toolkit information {run} --seed 3 --keep"
    assert "--all" not in again[-1]
    assert "new run beside each" in path.read_text("utf-8")


def test_the_reports_own_options_are_in_its_command(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from repr_toolkit.report import write as page

    done: list[str] = []
    monkeypatch.setattr(page, "measure_missing", lambda found: done.append("measured"))
    monkeypatch.setattr(page, "_log", lambda *given: done.append("logged"))
    text = write_report([study], measure=True, wandb=True).read_text("utf-8")
    assert done == ["measured", "logged"]
    [command] = re.findall(r"repr-toolkit report .*--out.*html(.*?)</code>", text)
    assert command.split() == ["--all", "--wandb"]


def test_commands_name_runs_where_they_are_now(study: Path) -> None:
    found = find_runs([study])
    now = str(study / "pixelcnn_m3")
    words = [
        "a=old/pixelcnn_m3",
        "untrained:old/pixelcnn_m3",
        "pixelcnn_m3",
        "other/labels",
        "--seed",
    ]
    assert where_runs_are(words, found) == [f"a={now}", f"untrained:{now}", *words[2:]]
    two = ["old/pixelcnn_m3", "--without", "older/pixelcnn_m3"]
    assert where_runs_are(two, found) == two  # which of them it is cannot be told
    one = replace(found, runs={"pixelcnn_m3": found.runs["pixelcnn_m3"]})
    assert analysis_commands(one)  # those of the toolkit's own analyses


# Texts


def test_single_stars_emphasise_and_stars_that_stand_free_stay() -> None:
    assert rich("*a* **b** *c d*") == "<em>a</em> <strong>b</strong> <em>c d</em>"
    assert rich("2 * 3 * 4, a*b*c, `*x*`") == "2 * 3 * 4, a*b*c, <code>*x*</code>"


def test_help_names_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    told = capsys.readouterr().out
    assert "edit" not in told
    assert "--information STUDY" in told
