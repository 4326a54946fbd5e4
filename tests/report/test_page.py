"""The report as a file: what it shows, that it is whole by itself, and what it never replaces."""

import re
from functools import partial
from html import escape
from itertools import pairwise
from pathlib import Path

import pytest

from repr_toolkit.analyses import load_analysis
from repr_toolkit.analyses.comparison.measure import measure
from repr_toolkit.cli import main
from repr_toolkit.page import html
from repr_toolkit.page.blocks import Missing, Notes
from repr_toolkit.report import inputs, write_report
from repr_toolkit.report.inputs import find_runs
from repr_toolkit.report.missing import not_measured
from repr_toolkit.runs.kept import Result
from repr_toolkit.runs.run import Run
from repr_toolkit.support.stats import Number
from repr_toolkit.support.tables import number_parts
from toys.reports import HOSTILE, HOSTILE_TEXT, QUICK, Page, contrast
from toys.runs import change_facts, untrained_run

CSS = Path(html.__file__).parent / "templates" / "report.css"


@pytest.fixture(scope="module")
def text(reported: Path) -> str:
    return reported.read_text("utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_it_is_well_formed(page: Page) -> None:
    assert page.wrong == []
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = [a[key] for _, a in page.elements for key in ("for", "aria-labelledby") if key in a]
    referred += [a["href"][1:] for a in page.all("a")]
    assert set(referred) <= set(ids)
    assert len(referred) > 10


def test_headings_go_down_one_by_one(page: Page) -> None:
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_summary_comes_first_and_the_sections_in_their_order(page: Page) -> None:
    ids = [attributes["id"] for attributes in page.all("section")]
    expected = [
        *("summary", "figures", "probing"),
        *("information", "frozen", "invariance", "traversal"),
    ]
    assert ids == [*expected, "training", "origins", "notes"]


def test_what_scrolls_and_what_slides_is_told_apart(page: Page) -> None:
    names = [
        a["aria-label"] for _, a in page.elements if a.get("role") == "region" and "aria-label" in a
    ]
    assert len(names) == len(set(names))
    assert min(map(len, names)) > 5


def test_every_picture_says_what_is_seen(page: Page) -> None:
    pictures = page.all("img")
    assert len(pictures) > 5
    assert all(len(picture["alt"]) > 20 for picture in pictures)
    charts = page.all("svg")
    assert len(charts) >= 4
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)


def test_every_table_has_a_caption_and_scopes(page: Page) -> None:
    assert len(page.all("caption")) == len(page.all("table")) >= 4
    assert {cell.get("scope") for cell in page.all("th")} == {"col", "row", "rowgroup"}


def test_it_loads_nothing(text: str, page: Page) -> None:
    for _, attributes in page.elements:
        for key in ("src", "href", "srcset", "action", "data", "xlink:href"):
            assert attributes.get(key, "#").startswith(("#", "data:"))
    assert page.all("script") == [{}]
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_names_and_configurations_are_escaped(text: str, page: Page) -> None:
    assert HOSTILE not in text
    assert HOSTILE_TEXT not in text
    assert escape(HOSTILE) in text
    assert "alert(2)" in page.text
    assert not [a for _, a in page.elements if any(key.startswith("on") for key in a)]


def test_no_number_is_missing_or_no_number(page: Page) -> None:
    for word in ("nan", "None", "inf", "undefined"):
        assert not re.search(rf"\b{word}\b", page.text, re.IGNORECASE if word == "nan" else 0)


def test_it_shows_the_numbers_of_the_comparison(reported: Path, page: Page) -> None:
    numbers = find_runs([reported.parent]).comparison["variants"]["pixelcnn_m3"]["numbers"]
    assert number_parts(Number(**numbers["bits_per_dim"]))[0] in page.text.split()
    assert f"{100 * numbers['probe']['value']:.1f}" in page.text
    assert "repr-toolkit train" in page.text
    assert "class_path: repr_toolkit.decoders.GatedPixelCNN" in page.text


def test_what_is_missing_names_the_command_that_adds_it(page: Page) -> None:
    for command in ("probe", "information", "invariance", "traverse"):
        assert f"repr-toolkit {command} " in page.text


def test_it_is_small(reported: Path) -> None:
    assert reported.stat().st_size < 2**20


def test_its_colours_have_enough_contrast() -> None:
    style = CSS.read_text("utf-8").partition("@media print")[0]
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", part))
        for part in style.split("@media (prefers-color-scheme: dark)")
    )
    for theme in (light, dark):
        for ink in ("ink", "soft", "link"):
            assert contrast(theme[ink], theme["page"]) >= 4.5
            assert contrast(theme[ink], theme["raised"]) >= 4.5
        for number in range(1, 7):
            assert contrast(theme[f"series-{number}"], theme["page"]) >= 3
        assert contrast(theme["focus"], theme["page"]) >= 3


# The file


def test_a_report_is_replaced_and_nothing_else(reported: Path, tmp_path: Path) -> None:
    assert write_report([reported.parent]) == reported
    other = tmp_path / "mine.html"
    other.write_text("<p>mine</p>")
    with pytest.raises(FileExistsError, match="not a report"):
        write_report([reported.parent], other)
    assert other.read_text() == "<p>mine</p>"
    write_report([reported.parent], other, overwrite=True)
    assert other.read_text("utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(ValueError, match=r"\.html"):
        write_report([reported.parent], tmp_path / "report.pdf")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_report([reported.parent], tmp_path / "nowhere" / "report.html")


def test_one_run_is_measured_and_its_comparison_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def quick(runs: dict[str, Run], split: str) -> Result:
        calls.append(split)
        return measure(runs, split, **QUICK)

    monkeypatch.setattr(inputs, "measure", quick)
    run = untrained_run(tmp_path / "alone", encoder=None)
    for _ in range(2):
        assert main(["report", str(run.path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(run.path / "report.html")
    assert calls == ["test"]
    page = Page((run.path / "report.html").read_text("utf-8"))
    assert page.wrong == []
    assert "information" not in [section["id"] for section in page.all("section")]
    main(["report", str(run.path), "--split", "val"])
    assert calls == ["test", "val"]


def test_analyses_of_another_split_are_not_shown(reported: Path) -> None:
    information = load_analysis("information")
    assert find_runs([reported.parent]).kept(information)
    of_val = find_runs([reported.parent], "val")
    assert of_val.kept(load_analysis("probing"))  # always of test images
    assert not of_val.kept(information)
    left, line = not_measured(of_val, information)
    assert isinstance(left, Notes)
    assert left.items == ["Left out of pixelcnn_m3: 1 of another split (test)."]
    assert isinstance(line, Missing)
    assert line.command.endswith(" --split val")


def test_folders_and_runs_are_found(reported: Path, tmp_path: Path) -> None:
    study = reported.parent
    found = find_runs([study])
    assert [*found.runs] == ["pixelcnn_m3", HOSTILE]  # as the comparison has them
    assert found.folder == study.resolve()
    assert [*find_runs([study / "pixelcnn_m3", study]).runs] == ["pixelcnn_m3", HOSTILE]
    assert find_runs([study / "pixelcnn_m3"]).folder == (study / "pixelcnn_m3").resolve()
    with pytest.raises(FileNotFoundError, match="no folder of finished runs"):
        find_runs([tmp_path])
    with pytest.raises(FileNotFoundError, match="no run"):
        find_runs([tmp_path / "nowhere"])
    other = untrained_run(tmp_path / "pixelcnn_m3")
    apart = find_runs([study / "pixelcnn_m3", other.path])
    assert len(apart.runs) == 2
    assert apart.folder is None
    with pytest.raises(ValueError, match="name the file by out"):
        write_report([study / "pixelcnn_m3", other.path])


def test_runs_of_other_images_cannot_stand_in_one_report(tmp_path: Path) -> None:
    untrained_run(tmp_path / "a")
    second = untrained_run(tmp_path / "b")
    change_facts(second, levels=8, data={**second.info["data"], "fingerprint": "0"})
    config = second.config_file.read_text("utf-8")
    second.config_file.write_text(config.replace("levels: null", "levels: 8"), "utf-8")
    with pytest.raises(ValueError, match="other images"):
        write_report([tmp_path])


def test_the_same_images_in_several_files_are_compared_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a study of frozen representations, whose embeddings differ."""
    monkeypatch.setattr(inputs, "measure", partial(measure, **QUICK))
    untrained_run(tmp_path / "a")
    second = untrained_run(tmp_path / "b")
    change_facts(second, data={**second.info["data"], "fingerprint": "0"})
    reported = find_runs([tmp_path])
    assert [*reported.comparison["variants"]] == ["a", "b"]
    assert [[*part.numbers["variants"]] for part in reported.compared] == [["a"], ["b"]]
    again = find_runs([tmp_path])
    monkeypatch.setattr(inputs, "measure", None)
    assert [*again.comparison["variants"]] == ["a", "b"]  # kept
