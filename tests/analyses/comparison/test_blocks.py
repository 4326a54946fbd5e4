"""The table of a comparison fits a terminal, whatever its number of variants."""

from typing import Any

from repr_toolkit.analyses.comparison.blocks import blocks
from repr_toolkit.analyses.comparison.rows import BITS, ROWS
from repr_toolkit.page.terminal import as_text
from repr_toolkit.support.stats import Number, as_json


def variant() -> dict[str, Any]:
    some, probe = Number(0.123456, 0.1, 0.15, error=0.0123), Number(0.912, 0.884, 0.934)
    numbers = dict.fromkeys(("bits_per_dim", "bits_per_dim_other_h", "mse_one"), some)
    numbers |= {"difference": Number(-0.2, -0.2196, -0.1804, error=0.01), "probe": probe}
    counts = ("h_dim", "encoder_parameters", "decoder_parameters", "seconds", "steps")
    return {**dict.fromkeys(counts, 9), "likelihood": "exact", "numbers": as_json(numbers)}


def comparison(names: list[str]) -> dict[str, Any]:
    variants = {name: variant() for name in names}
    asked = {"split": "test", "images": 500, "draws": 4}
    return {**asked, "variants": variants, "classifiers": []}


def test_four_variants_stand_side_by_side() -> None:
    names = ["mse_m10", "mse_m100", "pixelcnn_m10", "pixelcnn_m100"]
    table = as_text(blocks(comparison(names))).partition("\n\n")[2]
    widths = {len(line) for line in table.splitlines()}
    assert len(widths) == 1
    assert widths.pop() <= 100
    assert "\n\n" not in table
    assert "−0.200 ± 0.010" in table
    assert "91.2 (88.4–93.4)" in table


def test_bits_of_two_levels_have_nats_below_them() -> None:
    numbers = comparison(["first", "second"])
    assert "nats" not in as_text(blocks(numbers))
    table = as_text(blocks({**numbers, "levels": 2, "dims": 784}))
    assert "bits/dim, other h, nats" in table
    assert "−108.7 ± 5.4" in table  # the difference, −0.2 · 784 · ln 2


def test_every_row_of_bits_a_dim_has_its_nats() -> None:
    of_a_dim = {
        key
        for group, key, label, _ in ROWS
        if group == BITS or "bits/dim" in label or key.startswith("bits_per_dim")
    }
    for key in of_a_dim - {"bits_per_dim", "nats"}:  # the first's nats are the second
        numbers = comparison(["first", "second"])
        for each in numbers["variants"].values():
            each["numbers"] = {key: {"value": 0.5}}
        [table] = blocks({**numbers, "levels": 2, "dims": 784})
        [row] = [row for row in table.rows if row.label.endswith(", nats")]
        assert [cell.text for cell in row.cells] == ["271.714"] * 2


def test_more_variants_go_below() -> None:
    table = as_text(blocks(comparison([f"variant_{n}" for n in range(7)])))
    assert max(map(len, table.splitlines())) <= 100
    assert table.count("| bits/dim ") == 2
    for n in range(7):
        assert f"variant_{n} " in table
