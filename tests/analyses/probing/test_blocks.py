"""The tables of probes: what may share one, and what their numbers are called."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from repr_toolkit.analyses.probing.blocks import blocks as blocks_of_results
from repr_toolkit.analyses.probing.result import protocol
from repr_toolkit.page.blocks import Block, Cell, Heading, Notes, Paragraph, Row, Table
from repr_toolkit.runs.kept import Kept
from repr_toolkit.support.stats import difference

BASELINE = {"name": "majority", "score": {"value": 0.1, "low": 0.07, "high": 0.13}}


def reading(name: str, value: float, selectivity: float | None = 0.5) -> dict[str, Any]:
    types = "none" if selectivity is None else "view"
    control = {"types": types, "accuracy": {"value": 0.25}, "selectivity": selectivity}
    score = {"value": value, "low": value - 0.1, "high": value + 0.1}
    common = {"representation": name, "probe": "logistic", "settings": {"C": 0.1}}
    return {**common, "score": score, "control": control}


def code(name: str, bits: float) -> dict[str, Any]:
    length = {"value": bits, "low": bits, "high": bits + 1}
    chosen = [[None, 0.1], [1.0, 10.0]]
    code = {"bits": length, "uniform_bits": 332.2, "compression_against_uniform": 332.2 / bits}
    code["null_bits"], code["bits_saved"] = {"value": 333.4}, {"value": 333.4 - bits}
    code["C_of_portions"], code["bits_of_portions"] = chosen, [[32, bits - 31], [32, bits - 33]]
    return {"representation": name, "probe": "mdl", "code": code}


def probed(*readings: Mapping[str, Any], images: int = 100, seed: int = 0) -> dict[str, Any]:
    """The JSON of a probe of labels."""
    names = dict.fromkeys(of["representation"] for of in readings)
    target = {
        "name": "label", "kind": "classification", "classes": 10,
        "images": dict.fromkeys(("train", "val", "test"), images), "baseline": deepcopy(BASELINE),
        "readings": list(readings), "dropped": {"train": 0}, "unseen": 0,
    }  # fmt: skip
    return {
        "data": "digits", "fingerprint": "f", "levels": 17, "split": "test", "seed": seed,
        "protocol": protocol(["logistic"], seed, 3, True, images), "targets": [target],
        "representations": [{"name": name, "made_by": f"maker of {name}"} for name in names],
        "skipped": [], "left_out": {},
    }  # fmt: skip


def blocks_of(**found: Mapping[str, Any]) -> list[Block]:
    kept = {run: Kept({}, "", "", "", numbers, None) for run, numbers in found.items()}
    return blocks_of_results(kept)


def tables(blocks: Sequence[Block]) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def row(table: Table, label: str) -> Row:
    [found] = [row for row in table.rows if row.label == label]
    return found


def test_runs_that_were_probed_alike_are_columns_of_one_table() -> None:
    a = probed(reading("a", 0.8), reading("pixels", 0.6))
    b = probed(reading("b", 0.7), reading("pixels", 0.6))
    [table] = tables(blocks_of(a=a, b=b))
    assert table.columns == ["a", "b", "pixels"]
    cells = row(table, "logistic regression").cells
    assert [cell.text for cell in cells] == ["80.0", "70.0", "60.0"]


def test_another_protocol_has_a_table_with_its_own_caption_and_baseline() -> None:
    a = probed(reading("a", 0.8), reading("pixels", 0.6))
    b = probed(reading("b", 0.7), reading("pixels", 0.3), images=20, seed=5)
    b["targets"][0]["baseline"]["score"] = {"value": 0.2, "low": 0.1, "high": 0.3}
    b["protocol"]["standardisation"] = "none"
    blocks = blocks_of(a=a, b=b)
    first, second = tables(blocks)
    assert (first.columns, second.columns) == (["a", "pixels"], ["b", "pixels"])
    assert [table.rows[0].cells[1].text for table in (first, second)] == ["60.0", "30.0"]
    assert "fitted on 100 training images" in first.caption
    assert "fitted on 20 training images" in second.caption
    assert "seed 5" in second.caption
    assert [table.rows[-1].cells[0].text for table in (first, second)] == ["10.0", "20.0"]
    kinds = [block.kind for block in blocks]
    table = ["heading", "table", "notes"]
    assert kinds == ["paragraph", *table, *table, "notes"]
    assert [block.text for block in blocks if isinstance(block, Heading)] == ["a", "b"]
    own, other, common = (block.items for block in blocks if isinstance(block, Notes))
    assert "of train alone" in own[0]
    assert other == ["h is standardised: none."]
    assert len(common) == 2  # said once of both
    assert isinstance(blocks[0], Paragraph)


def test_other_data_levels_or_baselines_part_tables_too() -> None:
    a = probed(reading("a", 0.8))
    for key, value in {"fingerprint": "g", "levels": 4}.items():
        assert len(tables(blocks_of(a=a, b={**a, key: value}))) == 2
    # Keys that one was not asked for are told, and part nothing.
    blocks = blocks_of(a=a, b={**a, "skipped": [{"name": "x", "why": "y"}]})
    assert len(tables(blocks)) == 1
    assert any("Not probed: x, since y." in of.items for of in blocks if isinstance(of, Notes))
    b = deepcopy(a)
    b["targets"][0]["baseline"]["score"]["value"] = 0.3
    assert len(tables(blocks_of(a=a, b=b))) == 2


def test_what_is_said_of_several_targets_is_said_once() -> None:
    numbers = probed(reading("a", 0.8), code("a", 100))
    other, third = (deepcopy(numbers["targets"][0]) for _ in range(2))
    other["name"], third["name"], third["unseen"] = "smile", "hat", 3
    third["readings"] = third["readings"][:1]  # no code
    blocks = blocks_of(a={**numbers, "targets": [*numbers["targets"], other, third]})
    kinds = ["heading", "table", "heading", "table", "heading", "table", "notes", "notes"]
    assert [block.kind for block in blocks] == kinds
    own, common = (block.items for block in blocks if isinstance(block, Notes))
    assert own == [
        "hat: 3 of 100 test images have a value that no training image has; they count as errors."
    ]
    assert sum("The code" in note for note in common) == 1


def test_representations_of_one_name_by_different_makers_are_told_apart() -> None:
    a, b = probed(reading("m", 0.8)), probed(reading("m", 0.7))
    b["representations"][0]["made_by"] = "another"
    [table] = tables(blocks_of(**{"x/m": a, "y/m": b}))
    assert table.columns == ["m (x/m)", "m (y/m)"]
    assert [cell.text for cell in table.rows[0].cells] == ["80.0", "70.0"]


def test_where_nothing_recurs_the_training_accuracy_is_shown_and_called_so() -> None:
    blocks = blocks_of(a=probed(reading("a", 0.8, None)))
    [table] = tables(blocks)
    assert row(table, "… selectivity").cells == [Cell("–", "random labels, training 25.0")]
    [notes] = [block for block in blocks if isinstance(block, Notes)]
    assert any("training images themselves" in item for item in notes.items)
    [table] = tables(blocks := blocks_of(a=probed(reading("a", 0.8))))
    assert row(table, "… selectivity").cells == [Cell("50.0", "random labels 25.0")]
    [notes] = [block for block in blocks if isinstance(block, Notes)]
    assert not any("themselves" in item for item in notes.items)


def test_the_code_has_its_own_interval_and_both_codes_without_h() -> None:
    blocks = blocks_of(a=probed(reading("a", 0.8), code("a", 100)))
    [table] = tables(blocks)
    assert row(table, "given h").cells == [Cell("100", "100–101")]
    assert row(table, "without h").cells == [Cell("333")]
    assert row(table, "bits saved").cells == [Cell("233")]
    assert row(table, "uniform code").cells == [Cell("332")]
    [notes] = [block for block in blocks if isinstance(block, Notes)]
    assert any("the mean of 3 orders" in item for item in notes.items)
    [covers] = [item for item in notes.items if "cover" in item]
    assert covers.endswith(
        "cover the draw of the test images; not that of the training images, nor seeds."
    )
    alone = probed(code("a", 100))
    alone["protocol"]["mdl"]["orders"] = [0]
    [notes] = [block for block in blocks_of(a=alone) if isinstance(block, Notes)]
    assert any(item.endswith("in one order, and so without an interval.") for item in notes.items)


def test_a_column_without_the_code_has_none() -> None:
    [table] = tables(blocks_of(a=probed(reading("a", 0.8), reading("b", 0.7), code("a", 100))))
    assert [cell.text for cell in row(table, "given h").cells] == ["100", "–"]
    assert [cell.text for cell in row(table, "against uniform, ×").cells] == ["3.32", "–"]


def test_columns_are_paired_with_the_first() -> None:
    """By the images that each missed, and by the orders of the code."""
    readings = [reading("a", 0.8), reading("b", 0.7), code("a", 100), code("b", 110)]
    missed = {name: np.arange(100) < wrong for name, wrong in (("a", 20), ("b", 30))}
    arrays = {"missed_0_0": missed["a"], "missed_0_1": missed["b"]}
    kept = Kept({}, "", "", "", probed(*readings), None, arrays)
    [table] = tables(blocks_of_results({"a": kept}))
    score, bits = [row for row in table.rows if row.label == "… minus a"]
    expected = difference(~missed["b"], ~missed["a"])
    assert score.cells[0] == bits.cells[0] == Cell()
    assert score.about == "this score less that of a"
    assert score.cells[1].how.endswith("over 100 test images, p by McNemar's exact test")
    shown = blocks_of_results({"a": kept})
    [said] = [n for b in shown if isinstance(b, Notes) for n in b.items if n.startswith("… minus")]
    assert "same test images" in said
    assert score.cells[1].text == "−10.0"
    assert score.cells[1].detail.endswith("p = 0.002")
    assert expected.p == pytest.approx(2 * 0.5**10)
    assert bits.cells[1].text == "−10"


def test_settings_at_an_end_of_the_grid_are_told() -> None:
    def told(numbers: Mapping[str, Any]) -> list[str]:
        notes = [block for block in blocks_of(a=numbers) if isinstance(block, Notes)]
        return [item for block in notes for item in block.items if item.startswith("At an end")]

    numbers = probed(reading("a", 0.8), reading("b", 0.7), code("a", 100))
    assert told(numbers) == []
    first, second, sent = numbers["targets"][0]["readings"]
    first["settings"], second["settings"] = {"C": 1e4}, {"C": 1e-5}
    sent["code"]["C_of_portions"] = [[None, 1e4], [1e-5, 1.0]]
    assert told(numbers) == [
        "At an end of what was tried, so that others might do better: logistic regression of a "
        "(C = 10000); logistic regression of b (C = 1e-05); C in 2 of 3 portions of the code given "
        "a."
    ]
