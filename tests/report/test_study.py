"""What a report shows of studies of frozen h and of other data, and the commands that it names."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from repr_toolkit.analyses.frozen import blocks as frozen_blocks
from repr_toolkit.analyses.frozen.study import PROTOCOL
from repr_toolkit.analyses.information import ANALYSIS as INFORMATION
from repr_toolkit.cli import main
from repr_toolkit.page.blocks import Chart, Notes, Source, Table
from repr_toolkit.page.html import rich
from repr_toolkit.report import write_report
from repr_toolkit.report.frozen import frozen
from repr_toolkit.report.inputs import find_runs
from repr_toolkit.report.provenance import GENERAL, analysis_commands
from repr_toolkit.runs.kept import Kept, kept_in
from repr_toolkit.runs.run import Run
from repr_toolkit.support.files import write_json
from toys.reports import HOSTILE, Page

COMMAND = "repr-toolkit frozen digits_recipe elsewhere/pixelcnn_m3 labels"
SEEDS = "Student's t over 500 images, and over 3 training seeds; leaves out fit bias"
OF_BOUND = "Student's t over 5 groups of 4 images; leaves out training seeds"


@pytest.fixture
def study(reported: Path, tmp_path: Path) -> Path:
    """A folder of two runs of one's own, the first with all analyses."""
    return Path(shutil.copytree(reported.parent, tmp_path / "study"))


def usable(bits: float, how: str = SEEDS) -> dict[str, Any]:
    number = {"value": bits, "low": bits - 1, "high": bits + 1, "how": how}
    return {"bits": number, "of_seeds": [bits] * 3, "over_seeds": number, "sign": 1}


def frozen_numbers(**given: Any) -> dict[str, Any]:
    source = {
        "name": "pixelcnn_m3", "dim": 3, "bits": 80.75, "usable": usable(9.5), "minus_best": None,
        "shuffled_costs": usable(20), "masked": None, "cumulative": [0.5, 2.0, 9.5],
        "lower_bound": usable(2, OF_BOUND) | {"ceiling": 2.5, "saturated": False},
        "control": False, "curve": {"steps": [25, 50, 75, 100], "rise": 1.5, "rising": True,
                                    "of_seeds": [[1, 5, 8, 9.5]] * 3},
    }  # fmt: skip
    other = {**source, "name": "labels", "cumulative": [0.25, 0.5, 7.25]}
    return {
        "data": "digits", "split": "test", "images": 500, "steps": 100, "seeds": [0, 1, 2],
        "nulls": [{"dim": 3, "bits_of_seeds": [90, 90.25, 90.5]}], "dims": 64, "levels": 17,
        "control_worth": None, "weights_of_runs": {}, "likelihood": "exact",
        "what": "*usable* bits", "sources": [source, other], **given,
    }  # fmt: skip


def frozen_folder(path: Path, run: Path, protocol: int = PROTOCOL, **given: Any) -> Path:
    """A folder as `repr-toolkit frozen RECIPE SOURCE…` writes it, of a run's images."""
    info = Run(run).info
    data = {"fingerprint": info["data"]["fingerprint"], "levels": info["levels"]}
    numbers = frozen_numbers(**{**data, **given})
    (path / "analysis").mkdir(parents=True, exist_ok=True)
    asked = {"split": numbers["split"], "protocol": protocol}
    question = {"asked": asked, "weights": "", "when": ""}
    write_json(
        path / "analysis" / "frozen.0.json", {**question, "command": COMMAND, "numbers": numbers}
    )
    return path


def kept_study(numbers: dict[str, Any]) -> dict[str, Kept]:
    return {"study": Kept({}, "", "", "", numbers, Path("none.json"))}


# A study of frozen h


def test_a_study_of_frozen_h_stands_in_the_report_of_the_runs(study: Path, tmp_path: Path) -> None:
    folder = frozen_folder(tmp_path / "frozen_study", study / "pixelcnn_m3")
    assert main(["report", str(study), "--frozen", str(folder)]) == 0
    text = (study / "report.html").read_text("utf-8")
    page = Page(text)
    assert page.wrong == []
    assert "Frozen h, fresh decoders" in page.text
    assert "Not measured here" not in page.text
    assert "<em>usable</em>" in text
    assert f"repr-toolkit report {study} --frozen {folder}" in page.text
    assert COMMAND in page.text


def test_folders_without_a_study_and_studies_of_other_images_are_refused(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = study / "pixelcnn_m3"
    with pytest.raises(FileNotFoundError, match="nowhere holds no study of frozen h; name"):
        write_report([study], frozen=tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="analysis holds no study"):  # of the run's own h
        write_report([study], frozen=run / "analysis")
    for number, change in enumerate([{"fingerprint": "0" * 64}, {"levels": 4}]):
        other = frozen_folder(tmp_path / f"other{number}", run, **change)
        with pytest.raises(ValueError, match=f"other{number} is of other images.*RECIPE"):
            write_report([study], frozen=other)
    assert main(["report", str(study), "--frozen", str(other)]) != 0
    assert "other images" in capsys.readouterr().err
    of_val = frozen_folder(tmp_path / "of_val", run, split="val")
    with pytest.raises(ValueError, match="split=val"):
        write_report([study], frozen=of_val)
    earlier = frozen_folder(tmp_path / "earlier", run, protocol=1)
    with pytest.raises(ValueError, match="was measured by an earlier version; measure again by"):
        write_report([study], frozen=earlier)


def test_without_a_study_the_page_says_how_to_have_one(study: Path) -> None:
    found = find_runs([study])
    section = frozen(found)
    assert section is not None
    [told] = section.blocks
    assert isinstance(told, Source)
    assert told.folded
    first, second = map(shlex.split, told.text.splitlines())
    assert first[:3] == ["repr-toolkit", "frozen", "RECIPE"]
    assert first[3:5] == [str(study / "pixelcnn_m3"), str(study / HOSTILE)]
    written = Path(first[first.index("--runs-dir") + 1]) / first[first.index("--name") + 1]
    assert second[-2:] == ["--frozen", str(written)]
    assert written.parent == study.parent
    assert frozen(find_runs([study / "pixelcnn_m3"])) is None


def test_the_study_of_a_folder_stands_in_its_own_report(study: Path) -> None:
    frozen_folder(study, study / "pixelcnn_m3")
    section = frozen(find_runs([study]))
    assert section is not None
    assert isinstance(section.blocks[0], Table)
    other = frozen(find_runs([study], "val"))
    assert other is not None
    assert isinstance(other.blocks[0], Source)


def test_a_study_of_other_weights_or_images_is_left_out(study: Path) -> None:
    run = Run(study / "pixelcnn_m3")
    weights = {run.path.name: run.weights_digest, "gone": "0"}
    frozen_folder(study, run.path, weights_of_runs=weights, fingerprint="0" * 64)
    section = frozen(find_runs([study]))
    assert section is not None
    assert [block.kind for block in section.blocks] == ["notes", "source"]
    assert f"{HOSTILE} was trained on other images" in section.blocks[0].items[0]
    frozen_folder(study, run.path, protocol=1)
    section = frozen(find_runs([study]))
    assert section is not None
    assert f"by an earlier version; measure again by `{COMMAND}`" in section.blocks[0].items[0]

    frozen_folder(study, run.path, weights_of_runs=weights)
    section = frozen(find_runs([study]))
    assert section is not None
    assert isinstance(section.blocks[0], Table)
    with run.weights_file.open("ab") as file:
        file.write(b" ")
    section = frozen(find_runs([study]))
    assert section is not None
    assert (
        f"pixelcnn_m3 has other weights now; measure again by `{COMMAND}`"
        in (section.blocks[0].items[0])
    )
    assert COMMAND not in analysis_commands(find_runs([study]))


def test_a_study_of_frozen_h_says_when_bits_are_saved_and_what_intervals_cover() -> None:
    blocks = frozen_blocks(kept_study(frozen_numbers()), ["a", "pixelcnn_m3"])
    table, learning, chart, _ = blocks
    assert isinstance(table, Table)
    assert isinstance(blocks[-1], Notes)
    said = " ".join(blocks[-1].items)
    for name in ("bits saved", "h of another image"):
        assert re.search(f"“{name}”[^:;]*: {re.escape(SEEDS)}", said)
    assert f"“I(x; h) ≥”: {OF_BOUND}" in said
    assert isinstance(chart, Chart)
    assert "Noise floor: decoders given h = 0 lie 0.5 bits apart (m = 3: 90.0, " in table.caption
    texts = {row.label: [cell.text for cell in row.cells] for row in table.rows}
    assert texts["verdict"] == ["saves bits", "saves bits"]
    assert [row.cells[0].detail for row in table.rows if row.label == "rise at the end"] == [
        "still rises"
    ]
    assert isinstance(learning, Chart)
    assert "labels ends at 9.5" in learning.svg
    assert "against a decoder given h = 0" in chart.caption
    assert "pixelcnn_m3 ends at 9.5; labels ends at 7.2" in chart.svg
    assert "var(--series-2)" in chart.svg  # the run's own colour
    assert "var(--series-3)" in chart.svg
    assert "var(--series-1)" not in chart.svg
    without = frozen_numbers()
    for source in without["sources"]:
        source["cumulative"] = source["curve"] = None
    assert [block.kind for block in frozen_blocks(kept_study(without))] == ["table", "notes"]


# What intervals cover


def test_tables_of_bits_say_what_their_intervals_cover(study: Path) -> None:
    [kept] = kept_in(study / "pixelcnn_m3", "information")
    *_, notes = INFORMATION.shown({"run": kept})
    assert isinstance(notes, Notes)
    text = " ".join(notes.items)
    assert kept.numbers["saves"]["shuffled"]["bits"]["how"] in text
    assert kept.numbers["lower_bound"]["bits"]["how"] in text
    numbers = frozen_numbers()
    numbers["sources"][0]["usable"]["bits"]["how"] = "no interval: 2 photographs are few"
    *_, notes = frozen_blocks(kept_study(numbers))
    assert isinstance(notes, Notes)
    [reason] = [item for item in notes.items if item.startswith("No interval: ")]
    assert "“bits saved”" in reason
    assert reason.endswith(": 2 photographs are few.")


def test_the_general_note_leaves_room_for_seeds() -> None:
    assert "one run a column" not in " ".join(GENERAL)
    assert "unless the interval is said to be over training seeds" in GENERAL[0]


# The commands


def test_the_commands_of_all_analyses_come_before_the_report(study: Path) -> None:
    path = write_report([study])
    told = re.findall(r"<code>(repr-toolkit[^<]*)</code></pre>", path.read_text("utf-8"))
    [again] = [text.splitlines() for text in told if "repr-toolkit report" in text
               and "RECIPE" not in text]  # fmt: skip
    words = [line.split() for line in again]
    assert [word[1] for word in words] == [
        *("probe", "information", "invariance", "traverse", "report")
    ]
    # As they were typed, when the folder lay elsewhere.
    assert all(word[2].endswith("/pixelcnn_m3") for word in words[:-1])
    assert words[0][3:] == ["--images", "60"]
    assert "--all" not in again[-1]
    assert "new run beside each" in path.read_text("utf-8")


def test_the_reports_own_options_are_in_its_command(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from repr_toolkit.report import write as page

    done: list[str] = []
    monkeypatch.setattr(page, "measure_all", lambda found: done.append("measured"))
    monkeypatch.setattr(page, "_log", lambda *given: done.append("logged"))
    assert main(["report", str(study), "--all", "--wandb"]) == 0
    assert done == ["measured", "logged"]
    text = (study / "report.html").read_text("utf-8")
    assert f"repr-toolkit report {study} --all --wandb</code>" in text


# Texts


def test_single_stars_emphasise_and_stars_that_stand_free_stay() -> None:
    assert rich("*a* **b** *c d*") == "<em>a</em> <strong>b</strong> <em>c d</em>"
    assert rich("2 * 3 * 4, a*b*c, `*x*`") == "2 * 3 * 4, a*b*c, <code>*x*</code>"


def test_help_names_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    told = capsys.readouterr().out
    assert "edit" not in told
    assert "--frozen STUDY" in told
