"""Sections of a report from numbers that are made up here, and what goes to W&B."""

import io
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from repr_toolkit.analyses import ANALYSES, frozen, load_analysis
from repr_toolkit.analyses.classification.pixel_classifiers import Baseline
from repr_toolkit.analyses.comparison import measure as comparison
from repr_toolkit.analyses.information.measure import measure
from repr_toolkit.analyses.invariance.blocks import _deviations
from repr_toolkit.analyses.invariance.blocks import _table as samples_table
from repr_toolkit.page.blocks import Cell, Missing, Paragraph, Picture, Row, Section, Strip, Table
from repr_toolkit.page.cells import nats_cell, number_cell, share_of
from repr_toolkit.page.charts import Series, bar_chart, line_chart
from repr_toolkit.page.html import rich
from repr_toolkit.page.pictures import overlay, shown, tiled
from repr_toolkit.page.wandb import loggable
from repr_toolkit.report import missing, write_report
from repr_toolkit.report.inputs import find_runs
from repr_toolkit.report.missing import measure_all
from repr_toolkit.report.sections import analysis_sections, pictures, summary
from repr_toolkit.report.training import curves
from repr_toolkit.runs.kept import Kept, keep, keep_together
from repr_toolkit.runs.metrics import read_metrics
from repr_toolkit.runs.run import Run
from repr_toolkit.support.stats import Number
from toys.encoders import ONE_HOT
from toys.offline_wandb import records, values
from toys.runs import untrained_run

NAN = float("nan")


def test_cells_show_numbers_to_their_errors_digits_and_no_nan() -> None:
    mean = Number(0.42691, 0.4177, 0.4361, error=0.0047)
    assert number_cell(mean) == Cell("0.4269", "0.4177–0.4361", "0.0047")
    assert share_of(Number(0.862, 0.829, 0.8895)) == Cell("86.2", "82.9–88.9")
    assert number_cell(Number(-1.5), digits=1) == Cell("−1.5")
    assert number_cell(Number(-1.5, -2.0, 1.0), digits=1) == Cell("−1.5", "−2.0 to 1.0")
    assert number_cell(Number(NAN, 0.1, 0.2, error=0.1)) == share_of(Number(NAN)) == Cell()
    assert number_cell(Number(1.0, NAN, 2.0), digits=1) == Cell("1.0")
    assert number_cell(None) == share_of(None) == Cell()


def test_bits_of_two_levels_stand_in_nats_too() -> None:
    bits = Number(0.25, 0.2, 0.3, error=0.01)
    digits = {"levels": 2, "dims": 784}
    assert nats_cell(bits, digits) == Cell("135.9", "108.7–163.0", "5.4")  # 784 · ln 2 of each
    assert nats_cell(None, digits) == nats_cell(bits, {**digits, "levels": 3}) == Cell()


def test_captions_say_what_all_runs_were_measured_with() -> None:
    share = {"value": 0.5, "low": 0.4, "high": 0.6}

    def measured(images: int, key: str, k: int) -> dict[str, Any]:
        judge = {"key": key, "accuracy": share}
        of: dict[str, Any] = {"images": images, "samples": 16, "split": "test", "judge": judge}
        of |= {"variance": 0.1, "data_variance": 0.2, "agreement": {"with_source": share}}
        of |= {"temperature": 1.0, "reencoding": None}
        return {**of, "neighbours": {"k": k, "by_h": share}}

    table = samples_table(["a", "b"], [measured(64, "label", 5), measured(1_000, "smile", 9)])
    assert table.caption.startswith("64 to 1,000 test images, 16 samples of each h at temperature")
    groups = {row.group for row in table.rows}
    assert "Samples judged by a classifier of the label or smile, %" in groups
    assert "The 5 to 9 nearest training images, %" in groups


def test_rich_text_is_escaped_first() -> None:
    assert rich("**<b>** `a<b`") == "<strong>&lt;b&gt;</strong> <code>a&lt;b</code>"


def test_tiles_keep_every_pixel_and_leave_gaps_clear() -> None:
    images = np.arange(2 * 3 * 1 * 2 * 2, dtype=np.uint8).reshape(2, 3, 1, 2, 2)
    png, size = tiled(shown(images, 256))
    with Image.open(io.BytesIO(png)) as picture:
        pixels = np.asarray(picture)
    assert size == (8, 5) == (pixels.shape[1], pixels.shape[0])
    assert np.array_equal(pixels[3:, 6:, 0], images[1, 2, 0])
    assert (pixels[2, :, 3] == 0).all()
    assert (pixels[:2, :2, 3] == 255).all()


def test_a_map_is_violet_where_h_saves_orange_where_it_costs_and_clear_at_0() -> None:
    bits = np.zeros((1, 1, 1, 3), np.float32)
    bits[..., 0], bits[..., 1] = 2.0, -2.0
    black = np.zeros((1, 1, 1, 3), np.uint8)
    [[drawn]] = overlay(bits, black, 256, 2.0)
    saves, costs, clear = drawn[0].astype(int)
    assert saves[2] > saves[0] > saves[1]  # blue most, green least
    assert costs[0] > costs[1] > costs[2]  # red most, blue least
    assert clear.tolist() == [166, 166, 166]  # the pale image itself


def test_charts_take_the_pages_colours_and_share_no_id() -> None:
    lines = [Series("a_$b$", [0, 1], [2, 3], 0), Series("_c", [0, 1], [3, 2], 1)]
    drawn = [line_chart(prefix, 'a "quoted" <b>', lines, x="x", y="y") for prefix in ("p", "q")]
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in drawn]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg in drawn:
        assert svg.startswith("<svg viewBox=")
        assert "var(--series-1)" in svg
        assert "var(--series-2)" in svg
        assert "currentColor" in svg
        assert "#0102" not in svg
        assert "http" not in svg
        assert "&lt;b&gt;" in svg
        assert "a_$b$" in svg
    assert "h[3]" in bar_chart("r", "bars", ["h[3]"], [1.0], [(0.5, 1.5)], x="bits")


def test_training_curves_of_two_levels_have_nats_at_the_right(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text("step,val/bits_per_dim\n1,0.5\n2,0.25\n", "utf-8")

    def shown(levels: int | None, width: int) -> list[Any]:
        arguments: dict[str, Any] = {"a": {"levels": 2, "image_shape": [1, 28, 28]}}
        arguments["b"] = {"levels": levels, "image_shape": [1, 28, width]}
        if levels is None:
            del arguments["b"]["levels"]
        configs = {
            name: {"model": {"decoder": {"class_path": "X", "init_args": of}}}
            for name, of in arguments.items()
        }
        info = {"a": {}, "b": {"likelihood": "upper bound, ELBO"}}
        runs = {name: SimpleNamespace(metrics_file=file, info=info[name]) for name in configs}
        reported: Any = SimpleNamespace(runs=runs, configs=configs)
        return curves(reported).blocks

    [chart] = shown(2, 28)
    assert "nats an image" in chart.caption
    assert "(b: upper bound, ELBO)" in chart.caption
    assert "In nats an image: a from 272 to 136;" in chart.svg  # 784 · ln 2 of 0.5 and 0.25
    assert chart.svg.count("nats an image") == 2  # a label of the axis, and for readers
    for others in ((3, 28), (2, 27), (None, 28)):
        [chart] = shown(*others)
        assert "nats" not in chart.svg + chart.caption


def test_it_is_told_which_weights_a_run_has(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    rows = "1,3.0,3.1,2.9\n2,2.5,2.6,\n3,2.0,2.8,2.2\n"
    file.write_text(f"step,train/bits_per_dim,val/bits_per_dim,train/loss\n{rows}", "utf-8")

    def said(info: dict[str, Any]) -> list[str]:
        config = {"model": {"decoder": {"class_path": "X", "init_args": {}}}}
        run = SimpleNamespace(metrics_file=file, info=info)
        reported: Any = SimpleNamespace(runs={"a": run}, configs={"a": config})
        blocks = curves(reported).blocks
        return [block.text for block in blocks if isinstance(block, Paragraph)]

    assert said({"weights": {"step": 2, "validations": 3}}) == [
        "a: weights of step 2, best of 3 validations."
    ]
    assert said({}) == [
        "a: val/bits_per_dim rose from 2.6000 at step 2 to 2.8000 at step 3: the model learns its "
        "training images by heart."
    ]
    file.write_text(f"step,train/bits_per_dim,val/bits_per_dim,train/loss\n{rows[:-14]}", "utf-8")
    assert said({}) == []


def test_a_chart_may_be_of_a_run_with_a_backslash_in_its_name() -> None:
    alt = r"Loss of a\d, \1 and \g<0>"
    svg = line_chart("p", alt, [Series(r"a\d", [0, 1], [2, 3], 0)], x="x", y="y")
    assert f'aria-label="{escape(alt)}"' in svg


def test_a_single_pixel_that_varies_is_drawn(tmp_path: Path) -> None:
    variance = np.zeros((2, 1, 30, 30), np.float32)
    variance[0, 0, 3, 4] = 0.25
    images = np.zeros((2, 1, 30, 30), np.uint8)
    file = tmp_path / "invariance.npz"
    np.savez(file, image=images, sample=images[:, None], variance=variance, levels=17)
    [drawn] = _deviations({"run": Kept({}, "", "", "", {}, file)})
    assert isinstance(drawn, Picture)
    assert drawn.bar
    assert (drawn.bar.low, drawn.bar.high) == ("0", "0.5")


def test_metrics_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text("step,a,b\n1,2.5,\n2,nan,inf\n3,x,4\n,5,6\n")
    assert read_metrics(file) == {"a": {1: 2.5}, "b": {3: 4.0}}
    assert read_metrics(tmp_path / "none.csv") == {}


def test_models_of_labels_have_figure_3_and_bayes_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracy = Number(0.9, 0.8, 0.95)
    hits = np.ones(180, bool)
    known = [Baseline(name, "so", accuracy, 100, hits) for name in ("3-NN", "Some New One")]
    monkeypatch.setattr(comparison, "pixel_baselines", lambda data, split: known)
    run = untrained_run(tmp_path / "labels", encoder=ONE_HOT)
    runs = {"labels": run}
    keep_together(run.path, "comparison", runs, comparison.measure(runs, rows=2))
    found = find_runs([run.path])
    samples = pictures(found)
    assert samples
    assert samples.title == "Samples of each class"
    table, classifiers = summary(found).blocks
    assert isinstance(classifiers, Table)
    assert [row.label for row in classifiers.rows] == [
        *("Bayes' rule, labels", "3-NN", "Some New One", "logistic regression")
    ]
    accuracy_cell, minus, how = classifiers.rows[2].cells
    assert (accuracy_cell, how) == (Cell("90.0", "80.0–95.0"), Cell("so"))
    assert minus.detail.endswith("p < 0.001")  # all right, beside a model that was not trained
    assert isinstance(table, Table)
    labels = [row.label for row in table.rows]
    assert "bits/dim, label not told" in labels
    assert "MSE × 10³, one draw" not in labels
    sections = {section.id: section for section in analysis_sections(found) if section}
    [missing_line] = sections["classification"].blocks
    assert missing_line == Missing(
        "Not measured yet: how well Bayes’ rule reads the label.",
        f"repr-toolkit classify {run.path}",
    )
    measure_all(replace(found, split="val"))
    found = find_runs([run.path], "val")
    sections = {section.id: section for section in analysis_sections(found) if section}
    assert [block.kind for block in sections["classification"].blocks] == [
        *("table", "table", "notes")
    ]


def usable(bits: float, sign: int | None = None) -> dict[str, Any]:
    number = {"value": bits, "low": bits - 1, "high": bits + 1, "how": "over images"}
    return {"bits": number, "of_seeds": [bits] * 2, "over_seeds": number, "sign": sign}


def test_a_study_of_frozen_h_has_its_table_and_maps(tmp_path: Path) -> None:
    bound = {**usable(3.9), "ceiling": 4.0, "saturated": True}
    numbers = {
        "data": "digits", "split": "test", "images": 180, "levels": 17, "likelihood": "exact",
        "steps": 100, "seeds": [0, 1], "control_worth": 20.0, "nulls": [
            {"dim": 64, "bits_of_seeds": [90, 90.5]}, {"dim": 8, "bits_of_seeds": [91, 90.25]},
        ],
        "dims": 64, "what": "usable", "sources": [
            {"name": "pixels", "dim": 64, "bits": 80.75, "usable": usable(9.5),
             "minus_best": None, "shuffled_costs": usable(20), "lower_bound": bound,
             "cumulative": None, "curve": None, "control": False,
             "masked": {"against_own_null": usable(5),
                        "coordinates": [{"name": "h[1]", **usable(2)}]}},
            {"name": "pca", "dim": 8, "bits": 91.25, "usable": usable(-0.625, 0),
             "minus_best": usable(-4, -1), "shuffled_costs": usable(11), "cumulative": None,
             "lower_bound": usable(2.5) | {"saturated": False}, "masked": None, "control": True,
             "made_by": "means", "curve": {"steps": [50, 100], "of_seeds": [[0, 2], [1, 2]],
                                           "rise": 1.5, "rising": True}},
        ],
    }  # fmt: skip
    maps = {
        "names": np.array(["pixels", "pca"]),
        "saved_map": np.stack([np.ones((1, 8, 8)), np.full((1, 8, 8), 0.5)]).astype(np.float32),
        "shown": np.ones((2, 3, 1, 8, 8), np.float32),
        "image": np.zeros((3, 1, 8, 8), np.uint8),
        "levels": np.array(16),
    }
    np.savez(tmp_path / "frozen.npz", **maps)
    blocks = frozen.blocks({"study": Kept({}, "", "", "", numbers, tmp_path / "frozen.json")})
    table = blocks[0]
    assert isinstance(table, Table)
    texts = {row.label: [cell.text for cell in row.cells] for row in table.rows}
    details = {row.label: [cell.detail for cell in row.cells] for row in table.rows}
    assert table.columns == ["pixels", "pca (control)"]
    assert texts["h = 0"] == ["90.2", "90.6"]
    assert texts["bits saved"] == ["9.5", "−0.6"]
    assert details["bits saved"][1].endswith("; below 0: fit, not information")
    assert texts["minus the best"] == ["–", "−4.0"]
    assert (texts["verdict"], details["verdict"][0]) == (
        ["none", "not told apart"],
        "2 of at least 3 seeds",
    )
    assert texts["verdict, to the best"] == ["–", "saves fewer"]
    assert (texts["rise at the end"][1], details["rise at the end"][1]) == ("1.5", "still rises")
    assert "lie 1.0 bits apart (m = 64: 90.0, 90.5; m = 8: 91.0, 90.2)" in table.caption
    assert (
        "pca, the means, saves −0.6 bits; whoever makes use of all of it saves at least 20.0"
        in table.caption
    )
    assert table.rows[-1].cells[0].detail == "2.90–4.90; at its ceiling, 4.00"
    assert "2 seeds" in table.caption
    assert [b.kind for b in blocks[1:]] == [
        *("chart", "picture", "picture", "chart", "table", "notes")
    ]
    mean = blocks[2]
    assert isinstance(mean, Picture)
    assert mean.columns == ["pixels (±1)", "pca (±0.5)"]  # each map has a scale of its own


def test_what_cannot_be_measured_is_told_and_left_out(
    reported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []

    def refuse(run: Run, split: str) -> Any:
        made.append((run.path.name, split))
        raise ValueError("it has no labels")

    for name in ANALYSES:
        analysis = replace(load_analysis(name), measure=refuse)
        monkeypatch.setattr(f"repr_toolkit.analyses.{name}.ANALYSIS", analysis)
    found = find_runs([reported.parent])
    missing.measure_all(found)
    [_, other] = found.runs  # the first one has them all
    run = found.runs[other]
    asked = [name for name in ANALYSES if load_analysis(name).obstacle(run) is None]
    assert made == [(other, "test")] * len(asked)
    assert len(asked) > 3
    printed = capsys.readouterr().out
    assert f"{other}: probing\n  left out: it has no labels" in printed
    made.clear()
    missing.measure_all(find_runs([reported.parent], "val"))
    assert made.count((other, "test")) == 1  # probes are of the test images in any case


def test_what_goes_to_wandb_is_what_the_page_shows() -> None:
    png, size = tiled(np.zeros((1, 2, 4, 4, 3), np.uint8))
    rows = [Row("bits", [Cell("1.5", "1 to 2"), Cell()])]
    section = Section("s", "S", "", [
        Table("caption", ["a", "a"], rows),
        Picture(png, size, "alt", "**a** picture", scale=4),
        Strip(png, size, ["α = 0", "α = 1"], ["0", "1"], 0, "along", "alt", "α"),
    ])  # fmt: skip
    logged = loggable([section])
    table, picture, strip = logged.values()
    assert [*logged] == ["report/s/1", "report/s/2", "report/s/3"]
    assert table.columns == ["Measure", "a", "a (1)"]
    assert table.data == [["bits", "1.5 (1 to 2)", "–"]]
    assert picture.image.size == (size[0] * 67, size[1] * 67)  # 9 pixels to 600 at least
    assert picture._caption == "a picture"
    assert strip.image.getpixel((0, 0)) == (0, 0, 0)


def test_wandb_gets_the_report_of_a_study_in_its_group(
    reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline: the file of the run holds what was logged."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    write_report([reported.parent], wandb=True)
    (file,) = reported.parent.glob("wandb/offline-run-*/*.wandb")
    found = records(file)
    (start,) = [record.run for record in found if record.HasField("run")]
    assert (start.run_group, start.display_name) == ("study", "report")
    history = [values(record.history.item) for record in found if record.HasField("history")]
    logged = {
        key.removesuffix("/_type"): row[key] for row in history for key in row if "_type" in key
    }
    assert logged["report/summary/1"] == "table-file"
    assert logged["report/figures/1"] == "image-file"
    assert logged["report/page"] == "html-file"
    assert {key.split("/")[1] for key in logged} >= {
        "probing",
        "information",
        "invariance",
        "traversal",
    }


def test_damaged_numbers_are_named(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run")
    folder = run.path / "analysis"
    folder.mkdir()
    for text in ("{", json.dumps([1])):
        (folder / "probing.0.json").write_text(text)
        with pytest.raises(ValueError, match=r"probing\.0\.json is damaged .*make it again"):
            find_runs([run.path]).kept(load_analysis("probing"))


ODD = (None, "x", {"value": "x", "how": 3}, [[{}]])


def test_odd_values_deep_in_kept_numbers_are_told_in_one_line(tmp_path: Path) -> None:
    """Whatever stands in place of any value: a page, or an error that names the file."""
    run = untrained_run(tmp_path / "run")
    options = {"parts": 1, "part_images": 4, "candidates": 4, "bound_images": 32}
    keep(run, "information", measure(run, **options), "", load_analysis("information").protocol)
    [file] = (run.path / "analysis").glob("information.*.json")
    whole = json.loads(file.read_text("utf-8"))
    del whole["checksum"]  # which would refuse them all

    def places(value: Any, *at: Any) -> Iterator[tuple[Any, ...]]:
        inner = value.items() if isinstance(value, dict) else enumerate(value[:1])
        for key, part in inner:
            yield (*at, key)
            if isinstance(part, dict | list):
                yield from places(part, *at, key)

    refused, every = [], [(place, odd) for place in places(whole["numbers"]) for odd in ODD]
    for (*at, key), odd in every:
        changed = deepcopy(whole)
        holder = changed["numbers"]
        for step in at:
            holder = holder[step]
        holder[key] = odd
        file.write_text(json.dumps(changed), "utf-8")
        analysis = load_analysis("information")
        try:
            analysis.shown(find_runs([run.path]).kept(analysis))
        except ValueError as error:
            refused.append(str(error))
    assert 0 < len(refused) < len(every)
    assert all(str(file) in said and "\n" not in said for said in refused)
